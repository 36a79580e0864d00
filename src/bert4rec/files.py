"""Files that are whole or not there. What is in them is left to whoever writes them."""

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
def whole(path: Path) -> Iterator[Path]:
    """Another name to write to, which becomes `path` in the end; it goes if it cannot be finished.

    Raises OSError that names `path`, and then leaves what was there before.
    """
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        try:
            unfinished.touch()
            yield unfinished
            with unfinished.open("rb+") as written:
                os.fsync(written.fileno())
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as problem:
        what = (
            problem.errno or errno.EIO,
            problem.strerror or str(problem),
        )  # not every library says it in two parts
        raise OSError(*what, str(path)) from problem  # a full disk names no file


def write_whole(path: Path, content: bytes | memoryview) -> None:
    """The whole file or nothing, as `whole` has it."""
    with whole(path) as unfinished:
        unfinished.write_bytes(content)


def write_picture(path: Path, figure: Figure, dpi: int = 120) -> None:
    """A figure as a PNG, as `write_whole` writes it."""
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=dpi)
    write_whole(path, picture.getbuffer())
