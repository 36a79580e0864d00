"""What a run will cost: the arithmetic of an epoch, so that one measured configuration tells the time of another.

Legend: T tokens, D width, V item rows.
"""

from __future__ import annotations

import numpy as np

from bert4rec.config import ModelConfig, RunConfig, TaskWeights, TrainingConfig
from bert4rec.data.batches import training_windows
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split

SMALL = RunConfig(
    model=ModelConfig(hidden_size=64, num_heads=2, num_layers=2, seq_length=100, block="gated", relative_time=True),
    training=TrainingConfig(
        learning_rate=1e-3, max_epochs=30, windows="random", task_weights=TaskWeights(item_prediction=0.0)
    ),
)
"""`configs/small.yaml`, named where a run would take long."""


def multiply_adds(dataset: PreparedDataset, split: Split, run: RunConfig) -> float:
    """Multiply-adds of the matrix products in one epoch, forward and backward, at real tokens only."""
    windows = training_windows(dataset, split, run.model, run.training, epoch=0)
    length_W = np.minimum(windows.stop_W - windows.start_W, run.model.seq_length).astype(float)
    D, weights = run.model.hidden_size, run.training.task_weights
    linear = {"transformer": 12, "gated": 5}[run.model.block] * D * D * length_W.sum()
    pairs = 2 * D * (length_W**2).sum()
    read_twice = bool(weights.next_item) + bool(weights.item_prediction)
    asked = length_W.sum() * (bool(weights.next_item) + bool(weights.item_prediction) * run.training.mask_probability)
    return 3.0 * (run.model.num_layers * (linear + pairs) * read_twice + asked * D * dataset.item_rows)
