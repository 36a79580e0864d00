"""Locks on folders: one process at a time trains into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from bert4rec.errors import UsageError

LOCK = ".lock"
"""Name of the file that is locked while a process writes into a folder."""


@contextmanager
def exclusive_folder(folder: Path) -> Iterator[None]:
    """Make the folder and lock it against other processes. The lock of a killed process is free.

    Raises:
        UsageError: Another process holds the lock.
        OSError: The folder cannot be written.
    """
    is_new = not folder.exists()
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
        with suppress(OSError):  # some systems do not delete an open file
            (folder / LOCK).unlink()
        lock.release()
        if is_new:
            with suppress(OSError):  # a folder with files stays
                folder.rmdir()


def holds_files(folder: Path) -> bool:
    """True if the folder holds any file, at any depth, besides the locks of `exclusive_folder`."""
    return any(path.is_file() and path.name != LOCK for path in folder.rglob("*"))
