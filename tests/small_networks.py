"""Networks, settings and packed sequences small enough for a test to check by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TaskWeights, TrainingConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.sequences import Sequences
from bert4rec.data.splits import make_split
from bert4rec.data.training_batches import TrainingBatches
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN
from bert4rec.model.network import Bert4Rec

SMALL = ModelConfig(
    hidden_size=16,
    num_heads=2,
    num_layers=2,
    seq_length=8,
    dropout=0.0,
    feature_embedding_size=4,
    user_embedding_size=4,
    id_dropout=0.0,
    user_dropout=0.0,
)
"""Configuration without any dropout: a forward pass draws nothing at random."""

ALL_TASKS = TaskWeights()


def settings(
    model: ModelConfig = SMALL, training: TrainingConfig | None = None, **changes: Any
) -> RunConfig:
    """Settings of a small run; `changes` are settings by their flat names."""
    run = RunConfig(model, training or TrainingConfig(batch_size=16, accelerator="cpu"))
    return RunConfig.from_dict({**run.to_dict(), **changes})


def network_of(
    dataset: PreparedDataset, tasks: TaskWeights = ALL_TASKS, seed: int = 0, **changes: Any
) -> Bert4Rec:
    """Untrained network; the same seed gives the same weights."""
    torch.manual_seed(seed)
    return Bert4Rec.for_dataset(replace(SMALL, **changes), dataset, tasks)


def batches_of(
    dataset: PreparedDataset, run: RunConfig | None = None, shards: int = 1
) -> TrainingBatches:
    """Training batches of a small run under leave-one-out."""
    run = run or settings()
    return TrainingBatches(
        dataset, make_split(dataset, SplitConfig()), run.model, run.training, shards
    )


def batch_of(dataset: PreparedDataset, **changes: Any) -> Batch:
    """First batch of the first epoch."""
    return batches_of(dataset, settings(**{"batch_size": 1000, **changes}))[0]


def packed(
    *lengths: int,
    items: Sequence[int] | None = None,
    times: Sequence[int] | None = None,
    request_times: Sequence[int] | None = None,
    users: Sequence[int] | None = None,
) -> Sequences:
    """Packed sequences of these lengths. Items are 2 unless given; anything else is unknown."""
    tokens = sum(lengths)
    return Sequences(
        item_T=torch.tensor(items or [2] * tokens),
        time_T=torch.tensor(times or [NO_TIME] * tokens),
        rating_T=torch.full((tokens,), NO_RATING),
        request_time_T=torch.tensor(request_times or times or [NO_TIME] * tokens),
        position_T=torch.cat([torch.arange(length) for length in lengths]),
        row_T=torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths)),
        user_B=torch.tensor(users or [UNKNOWN] * len(lengths)),
        length_B=torch.tensor(lengths),
        lengths=lengths,
    )


def split_sequences(x_TD: Tensor, lengths: Sequence[int]) -> list[Tensor]:
    """Tokens of each sequence."""
    return list(x_TD.split(list(lengths)))
