"""Locks on folders, between processes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bert4rec.errors import UsageError
from bert4rec.locks import exclusive_folder, holds_files

HOLDER = """
import sys
from pathlib import Path

from bert4rec.locks import exclusive_folder

with exclusive_folder(Path(sys.argv[1])):
    print("in", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds `tmp_path / "run"`."""
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in\n"
        yield process
        process.kill()


def test_folder_is_locked_against_other_processes(
    holder: subprocess.Popen[str], tmp_path: Path
) -> None:
    with (
        pytest.raises(UsageError, match="run: another process is writing into it"),
        exclusive_folder(tmp_path / "run"),
    ):
        pass
    holder.communicate("")
    with exclusive_folder(tmp_path / "run"):
        pass


def test_killed_process_holds_no_lock(holder: subprocess.Popen[str], tmp_path: Path) -> None:
    holder.kill()
    holder.wait()
    with exclusive_folder(tmp_path / "run"):
        assert not holds_files(tmp_path / "run")


def test_folder_keeps_its_files_and_no_lock(tmp_path: Path) -> None:
    for name in ("empty", "full"):
        with exclusive_folder(tmp_path / name):
            if name == "full":
                (tmp_path / name / "below").mkdir()
                (tmp_path / name / "below" / "file").touch()
            assert holds_files(tmp_path / name) == (name == "full")
    assert [path.relative_to(tmp_path).as_posix() for path in sorted(tmp_path.rglob("*"))] == [
        "full",
        "full/below",
        "full/below/file",
    ]
    (tmp_path / "mine").mkdir()
    with exclusive_folder(tmp_path / "mine"):
        pass
    assert (tmp_path / "mine").is_dir()  # it was there before
