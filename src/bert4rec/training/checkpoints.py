"""Checkpoints that are whole or not there. Lightning decides when one is written and what is in it.

Lightning's own writing collects a file in the system's folder for temporary files and moves it: between two disks that
is a copy, which a full disk cuts off.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from bert4rec.errors import DataError
from bert4rec.files import write_atomically


class WholeCheckpoints(TorchCheckpointIO):
    """Writes beside the file it replaces, and renames."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """The whole checkpoint, or the one that was there before and an OSError."""
        content = io.BytesIO()  # torch hides why a file could not be written
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """The content of a checkpoint; plain values, no code runs."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, on the CPU. Raises DataError where it is absent or damaged."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as problem:  # torch raises many kinds for a file that is cut off
        raise DataError(
            f"{path}: absent or damaged; --overwrite trains from the start"
        ) from problem
