"""Atomic writes: a file is complete or not there, and errors name it."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from bert4rec.files import write_atomically


def full(descriptor: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_file_is_written_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for content in (b"first", b"second"):
        write_atomically(tmp_path / "a.json", content)
        assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": content}


def test_full_disk_keeps_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_atomically(tmp_path / "a.json", b"first")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left") as refused:
        write_atomically(tmp_path / "a.json", b"second")
    assert refused.value.filename == str(tmp_path / "a.json")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"a.json": b"first"}


@pytest.mark.parametrize(
    ("name", "error"), [("absent/a.json", FileNotFoundError), ("folder", IsADirectoryError)]
)
def test_error_names_the_intended_file(tmp_path: Path, name: str, error: type[OSError]) -> None:
    (tmp_path / "folder").mkdir()
    with pytest.raises(error) as refused:
        write_atomically(tmp_path / name, b"content")
    assert refused.value.filename == str(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]
