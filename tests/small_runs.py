"""A run of seconds, and what may be looked up in the folder it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.config import ModelConfig, RunConfig, TrainingConfig

RUN = RunConfig(
    ModelConfig(hidden_size=8, num_heads=2, num_layers=1, seq_length=6, dropout=0.1, feature_size=4, user_size=4),
    TrainingConfig(
        batch_size=20,  # of 80 users: 4 batches an epoch
        learning_rate=3e-3,
        max_epochs=3,
        windows="random",
        accelerator="cpu",
    ),
)


def run_of(**changes: Any) -> RunConfig:
    """The run, with other settings by their flat names."""
    return RunConfig.from_dict({**RUN.to_dict(), **changes})


def weights(folder: Path) -> dict[str, Tensor]:
    """What was saved."""
    return artefact.load(folder).network.state_dict()


def same_weights(first: Path, second: Path) -> bool:
    """To the last bit: what was saved, and where training ended."""
    pairs = [
        (weights(first), weights(second)),
        (last_checkpoint(first)["state_dict"], last_checkpoint(second)["state_dict"]),
    ]
    return all(
        ours.keys() == theirs.keys() and all(np.array_equal(ours[n], theirs[n], equal_nan=True) for n in ours)
        for ours, theirs in pairs
    )


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """What an unfinished run goes on from."""
    return torch.load(folder / "training" / "last.ckpt", weights_only=True)


Train = Callable[..., Path]
"""Trains, and gives the model folder."""
