"""Atomic writing and checked reading of checkpoints; Lightning decides on their content and time.

Lightning's own writer makes a file in the system's temporary folder and moves it. Between two disks
that is a copy, which a full disk cuts off.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from bert4rec.errors import DataError
from bert4rec.files import write_atomically


class AtomicCheckpoints(TorchCheckpointIO):
    """Write beside the replaced file, then rename."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint; on an OSError the earlier one stays."""
        content = io.BytesIO()  # torch's own file errors hide the cause
        torch.save(checkpoint, content)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(Path(path), content.getbuffer())

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Content of a checkpoint; plain values only, nothing is unpickled."""
        return read_checkpoint(Path(path))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Content of a checkpoint, on the CPU. Raises DataError if it is absent or damaged."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as problem:  # torch raises many types for a truncated file
        raise DataError(
            f"{path}: absent or damaged; --overwrite trains from the start"
        ) from problem
