"""Files that are whole or not there. What is in them is left to whoever writes them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
