"""Arithmetic of an epoch, by which the measured time of one configuration predicts that of another.

Legend: W windows, D width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, without_held_out_items
from bert4rec.data.windows import training_windows, with_cold_start_windows


@dataclass(frozen=True)
class Arithmetic:
    """Multiply-adds of the matrix products of one epoch, forward and backward, without padding."""

    events: int
    """Number of supervised tokens; each has a logit for every item."""
    linear: float
    attention: float
    head: float

    @property
    def multiply_adds(self) -> float:
        """Multiply-adds of all products."""
        return self.linear + self.attention + self.head


def arithmetic(dataset: PreparedDataset, split: Split, config: RunConfig) -> Arithmetic:
    """Least arithmetic of an epoch; a backward pass takes twice its forward pass.

    A causal token attends to its past and itself, a masked one to its complete window.
    """
    dataset, split = without_held_out_items(dataset, split)
    windows = training_windows(dataset, split, config.model, config.training, epoch=0)
    random = np.random.default_rng(config.training.seed)
    windows = with_cold_start_windows(
        windows, dataset, split, config.model, config.training, random
    )
    causal_W = (windows.stop_W - windows.start_W).astype(float)
    masked_W = np.minimum(causal_W, config.model.seq_length)
    weights = config.training.task_weights
    next_item, item_prediction = bool(weights.next_item), bool(weights.item_prediction)
    tokens = next_item * causal_W.sum() + item_prediction * masked_W.sum()
    pairs = (
        next_item * (causal_W * (causal_W + 1) / 2).sum() + item_prediction * (masked_W**2).sum()
    )
    supervised = (
        next_item * causal_W.sum()
        + item_prediction * config.training.mask_probability * masked_W.sum()
    )
    D, layers = config.model.hidden_size, config.model.num_layers
    products = {"transformer": 4 + 2 * config.model.feed_forward_factor, "gated": 5}[
        config.model.block
    ]
    return Arithmetic(
        events=round(supervised),
        linear=3.0 * layers * products * D * D * tokens,
        attention=3.0 * layers * 2 * D * pairs,
        head=3.0 * D * dataset.num_items * supervised,
    )
