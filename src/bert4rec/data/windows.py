"""The stretches of histories that training reads, drawn anew for each epoch; batches are made of them.

Legend: U user rows, W windows.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from bert4rec.config import ModelConfig, TrainingConfig
from bert4rec.data.arrays import Ints
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split

COLD_START_LENGTH = 32
"""The most events of a stranger's window; half, a quarter, … as many are as frequent."""
COLD_START_RANGE = 64
"""A stranger's window begins at any of so many first events: who is new has not been there for long."""


@dataclass(frozen=True)
class Windows:
    """Stretches of events to train on: window w is `start_W[w] : stop_W[w]` of user `user_W[w]`."""

    user_W: Ints
    start_W: Ints
    stop_W: Ints
    cold_user_W: NDArray[np.bool_]
    """Whether it is read as that of somebody new."""

    def __len__(self) -> int:
        return len(self.user_W)

    def take(self, which: Ints) -> Windows:
        """Some of them, in the order asked for."""
        return Windows(
            self.user_W[which], self.start_W[which], self.stop_W[which], self.cold_user_W[which]
        )

    def joined_by(self, others: Windows) -> Windows:
        """These, then others."""
        return Windows(
            *(
                np.concatenate([getattr(part, of.name) for part in (self, others)])
                for of in fields(self)
            )
        )


def training_windows(
    dataset: PreparedDataset, split: Split, model: ModelConfig, training: TrainingConfig, epoch: int
) -> Windows:
    """Windows of up to seq_length + 1 training events: the inputs and, one further, the targets.

    Users with a single training event take part too: the start token and the user's tokens predict it.
    """
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(split.train_stop_U)
    user_W: Ints = np.flatnonzero(stop_U > start_U)
    size = model.seq_length + 1
    first_W, stop_W = start_U[user_W], stop_U[user_W]
    spare_W = np.maximum(stop_W - first_W - size, 0)
    if training.windows == "sliding":
        stride = training.window_stride or max(1, model.seq_length // 2)
        count_W = -(-spare_W // stride) + 1
        back_X = np.arange(count_W.sum()) - np.repeat(np.cumsum(count_W) - count_W, count_W)
        user_W, first_W, stop_W = (np.repeat(array, count_W) for array in (user_W, first_W, stop_W))
        stop_W = np.maximum(stop_W - back_X * stride, np.minimum(stop_W, first_W + size))
    elif training.windows == "random":
        random = np.random.default_rng((training.seed, epoch, 1))
        stop_W = stop_W - random.integers(0, spare_W + 1)
    first_W = np.maximum(first_W, stop_W - size)
    return Windows(user_W, first_W, stop_W, np.zeros(len(user_W), dtype=np.bool_))


def with_cold_start_windows(
    windows: Windows,
    dataset: PreparedDataset,
    split: Split,
    model: ModelConfig,
    training: TrainingConfig,
    random: np.random.Generator,
) -> Windows:
    """The windows and those of cold_users that they bring: few events from early in the same users' histories.

    The longest are first.
    """
    user_W = np.repeat(windows.user_W, training.cold_start_windows)
    first_W, stop_W = (
        np.asarray(dataset.start_U1[:-1])[user_W],
        np.asarray(split.train_stop_U)[user_W],
    )
    longest = min(COLD_START_LENGTH, model.seq_length + 1)
    length_W = np.exp2(random.random(len(user_W)) * np.log2(longest + 1)).astype(np.int64)
    start_W = random.integers(first_W, np.minimum(first_W + COLD_START_RANGE, stop_W))
    stop_W = np.minimum(start_W + length_W, stop_W)
    joined = windows.joined_by(
        Windows(user_W, start_W, stop_W, np.ones(len(user_W), dtype=np.bool_))
    )
    return joined.take(np.argsort(joined.start_W - joined.stop_W, kind="stable"))
