"""Inputs of one training run, as its steps share them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.training.run_directory import RunDirectory


@dataclass(frozen=True)
class TrainingRun:
    """Settings, data and directory of a run."""

    config: RunConfig
    dataset: PreparedDataset
    split: Split
    """Split without the validation users on whose answers a warm-start model was trained."""
    directory: RunDirectory
    log: Callable[[str], None]
    """Receives each line of progress."""
