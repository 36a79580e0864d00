"""A run of seconds, and what may be looked up in the folder it leaves."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.config import ModelConfig, RunConfig, TrainingConfig

RUN = RunConfig(
    ModelConfig(
        hidden_size=8,
        num_heads=2,
        num_layers=1,
        seq_length=6,
        dropout=0.1,
        feature_embedding_size=4,
        user_embedding_size=4,
    ),
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
    """Weights of a model folder."""
    return artefact.load(folder).network.state_dict()


def same_weights(first: Path, second: Path) -> bool:
    """True if weights, and losses and metrics of every epoch, are equal to the last bit."""
    ours, theirs = weights(first), weights(second)
    saved = ours.keys() == theirs.keys() and all(
        np.array_equal(ours[n], theirs[n], equal_nan=True) for n in ours
    )
    return saved and way(first) == way(second)


def way(folder: Path) -> list[Any]:
    """Each epoch's losses and validation metrics."""
    history = json.loads((folder / "training.json").read_text())["history"]
    return [(epoch["losses"], epoch["validation"]) for epoch in history]


def steps(folder: Path) -> int:
    """The optimiser steps of a run."""
    with (folder / "training" / "log" / "version_0" / "metrics.csv").open() as log:
        return max(int(row["step"]) for row in csv.DictReader(log)) + 1


def last_checkpoint(folder: Path) -> dict[str, Any]:
    """Checkpoint that an unfinished run resumes from."""
    return torch.load(folder / "training" / "last.ckpt", weights_only=True)


Train = Callable[..., Path]
"""Trains, and gives the model folder."""
