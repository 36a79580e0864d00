"""Atomic writes: a file is complete or not there. Its content is left to the caller."""

from __future__ import annotations

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Temporary path to write to, which replaces `path` at the end.

    Raises:
        OSError: The file cannot be written. The error names `path`, and an older file is kept.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        try:
            unfinished.touch()
            yield unfinished
            # Without fsync a crash may leave the new name with the content unwritten.
            with unfinished.open("rb+") as written:
                os.fsync(written.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as problem:
        # A full disk names no file, and some libraries give neither a number nor a reason.
        number = problem.errno or errno.EIO
        reason = problem.strerror or str(problem)
        raise OSError(number, reason, str(path)) from problem


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file completely or not at all; errors are those of `atomic_path`."""
    with atomic_path(path) as unfinished:
        unfinished.write_bytes(content)


def write_figure(path: Path, figure: Figure, dpi: int = 120) -> None:
    """Write a figure as a PNG file, atomically."""
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=dpi)
    write_atomically(path, png.getbuffer())
