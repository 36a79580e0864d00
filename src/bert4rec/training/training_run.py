"""Inputs of one training run, as its steps share them."""

from __future__ import annotations

from dataclasses import dataclass

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.log import Log
from bert4rec.training.run_directory import RunDirectory


@dataclass(frozen=True)
class TrainingRun:
    """Settings, data and directory of a run."""

    config: RunConfig
    dataset: PreparedDataset
    split: Split
    """Split without the validation users whose held-out events trained the warm-start model."""
    directory: RunDirectory
    log: Log
    """Receives each line of progress."""
