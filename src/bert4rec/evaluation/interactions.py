"""Training events as pairs of user and item, from which baselines and item traits start.

Legend: N training events, X distinct pairs among them.
"""

from __future__ import annotations

import numpy as np

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, training_events


def training_pairs(dataset: PreparedDataset, split: Split) -> tuple[Ints, Ints]:
    """User row and item row of every training event, in the dataset's order."""
    event_N = training_events(dataset, split)
    user_N = np.searchsorted(np.asarray(dataset.start_U1), event_N, side="right") - 1
    return user_N, np.asarray(dataset.item_N)[event_N].astype(np.int64)


def distinct_training_pairs(dataset: PreparedDataset, split: Split) -> tuple[Ints, Ints]:
    """User row and item row of every distinct pair, by user and then by item."""
    user_N, item_N = training_pairs(dataset, split)
    # np.unique hashes, and takes ten times as long (numpy 2.4).
    key_N = np.sort(user_N * dataset.item_rows + item_N)
    key_X = key_N[np.flatnonzero(np.diff(key_N, prepend=-1))]
    return key_X // dataset.item_rows, key_X % dataset.item_rows
