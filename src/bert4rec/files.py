"""Files that are whole or not there, and folders that one process writes into. What is in them is left to others."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LOCK = ".lock"
"""The name of the file that is held while a process writes into a folder."""


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
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
    """Whether anything is in a folder or below, besides the locks of `alone_in`."""
    return any(path.is_file() and path.name != LOCK for path in folder.rglob("*"))


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """The whole file or nothing: what is not yet on the disk has another name, and goes if it cannot be finished.

    Raises OSError that names `path`, and then leaves what was there before.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        try:
            with unfinished.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as problem:
        raise OSError(problem.errno, problem.strerror, str(path)) from problem  # a full disk names no file


def write_picture(path: Path, figure: Figure, dpi: int = 120) -> None:
    """A figure as a PNG, as `write_whole` writes it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    write_whole(path, picture.getbuffer())
