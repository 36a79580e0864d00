"""A file is whole or not there, and whoever cannot be written is named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bert4rec.files import write_atomically


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_file_is_written_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_atomically(tmp_path / "a.json", content)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": content}


def test_a_full_disk_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "a.json", b"first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as refused:
        write_atomically(tmp_path / "a.json", b"second")
    assert refused.value.filename == str(tmp_path / "a.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"first"}


@pytest.mark.parametrize(
    ("name", "error"), [("absent/a.json", FileNotFoundError), ("folder", IsADirectoryError)]
)
def test_the_file_that_was_meant_is_named_not_the_unfinished_one(
    tmp_path: Path, name: str, error: type[OSError]
) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(error) as refused:
        write_atomically(tmp_path / name, b"content")
    assert refused.value.filename == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
