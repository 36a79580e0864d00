"""Folders that one process at a time trains into."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bert4rec.errors import UsageError

LOCK = ".lock"
"""The name of the file that is held while a process writes into a folder."""


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Makes the folder and keeps every other process out that asks likewise; a killed one holds nothing any more.

    Raises UsageError where another one is in it, OSError where nothing can be written.
    """
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout as problem:
        raise UsageError(
            f"{folder}: another process is writing into it; wait for its end or choose another"
        ) from problem
    try:
        yield
    finally:
        with suppress(OSError):  # some systems keep a file that is open
            (folder / LOCK).unlink()
        lock.release()
        if new:
            with suppress(OSError):  # but what was written into it stays
                folder.rmdir()


def holds_files(folder: Path) -> bool:
    """Whether anything is in a folder or below, besides the locks of `exclusive_folder`."""
    return any(path.is_file() and path.name != LOCK for path in folder.rglob("*"))
