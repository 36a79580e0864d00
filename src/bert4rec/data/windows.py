"""Training windows: ranges of a user's training events, drawn anew for each epoch.

Legend: U user rows, W windows, X windows of several users, counted within a user.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np

from bert4rec.config import ModelConfig, TrainingConfig
from bert4rec.data.arrays import Ints, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split

COLD_START_LENGTH = 32
"""Longest cold-start window, in events; lengths are log-uniform."""
COLD_START_RANGE = 64
"""Cold-start windows begin among this many first events: a cold-start user has a short history."""


@dataclass(frozen=True)
class Windows:
    """Ranges of training events: window w is `start_W[w] : stop_W[w]` of user `user_W[w]`."""

    user_W: Ints
    start_W: Ints
    stop_W: Ints
    is_cold_start_W: Mask
    """True for windows that are read as a cold-start user's: without the user's row."""

    def __len__(self) -> int:
        return len(self.user_W)

    @property
    def length_W(self) -> Ints:
        """Events of each window."""
        return self.stop_W - self.start_W

    def take(self, window_X: Ints) -> Windows:
        """Some of the windows, in the given order."""
        return Windows(*(getattr(self, column.name)[window_X] for column in fields(self)))

    def joined_by(self, others: Windows) -> Windows:
        """These windows, followed by others."""
        pairs = [
            (getattr(self, column.name), getattr(others, column.name)) for column in fields(self)
        ]
        return Windows(*(np.concatenate(pair) for pair in pairs))


def training_windows(
    dataset: PreparedDataset, split: Split, model: ModelConfig, training: TrainingConfig, epoch: int
) -> Windows:
    """Windows of up to `seq_length` + 1 training events: inputs and, shifted by one, targets.

    Every user with a training event takes part. A single event is predicted from the start token
    and user tokens.
    """
    start_U = np.asarray(dataset.start_U1[:-1])
    stop_U = np.asarray(split.train_stop_U)
    user_U = np.flatnonzero(stop_U > start_U)
    is_cold_start_W = np.zeros(len(user_U), dtype=np.bool_)
    windows = Windows(user_U, start_U[user_U], stop_U[user_U], is_cold_start_W)
    size = model.seq_length + 1
    if training.windows == "sliding":
        windows = _sliding(windows, size, training.window_stride or max(1, model.seq_length // 2))
    elif training.windows == "random":
        random = np.random.default_rng((training.seed, epoch, 1))
        back_W = random.integers(0, _spare(windows, size) + 1)
        windows = replace(windows, stop_W=windows.stop_W - back_W)
    first_W = np.maximum(windows.start_W, windows.stop_W - size)
    return replace(windows, start_W=first_W)


def _spare(windows: Windows, size: int) -> Ints:
    """Events of each range beyond one window, `[W]`."""
    return np.maximum(windows.length_W - size, 0)


def _sliding(ranges: Windows, size: int, stride: int) -> Windows:
    """Ranges that end every `stride` events, from the last event back to the first full window."""
    count_W = -(-_spare(ranges, size) // stride) + 1
    repeated = ranges.take(np.repeat(np.arange(len(ranges)), count_W))
    number_X = np.arange(count_W.sum()) - np.repeat(np.cumsum(count_W) - count_W, count_W)
    first_stop_W = np.minimum(repeated.stop_W, repeated.start_W + size)
    stop_W = np.maximum(repeated.stop_W - number_X * stride, first_stop_W)
    return replace(repeated, stop_W=stop_W)


def with_cold_start_windows(
    windows: Windows,
    dataset: PreparedDataset,
    split: Split,
    model: ModelConfig,
    training: TrainingConfig,
    random: np.random.Generator,
) -> Windows:
    """Windows and `cold_start_windows` more for each, the longest first.

    A cold-start window holds a few events from early in the same user's history.
    """
    user_W = np.repeat(windows.user_W, training.cold_start_windows)
    first_W = np.asarray(dataset.start_U1[:-1])[user_W]
    stop_W = np.asarray(split.train_stop_U)[user_W]
    longest = min(COLD_START_LENGTH, model.seq_length + 1)
    # Log-uniform from 1 to `longest`.
    length_W = np.exp2(random.random(len(user_W)) * np.log2(longest + 1)).astype(np.int64)
    start_W = random.integers(first_W, np.minimum(first_W + COLD_START_RANGE, stop_W))
    stop_W = np.minimum(start_W + length_W, stop_W)
    is_cold_start_W = np.ones(len(user_W), dtype=np.bool_)
    joined = windows.joined_by(Windows(user_W, start_W, stop_W, is_cold_start_W))
    return joined.take(np.argsort(-joined.length_W, kind="stable"))
