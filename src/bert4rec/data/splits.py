"""Splits: training events, and the held-out cases of validation and test.

A user's events are sorted by time. The training events are a prefix of them, `start_U1[u] :
train_stop_U[u]`, and the history of a case is the range `start : target` before its target event. A
cold-start-items split also takes the events of its held-out items out of training, wherever they
stand.

A user without a training event is a cold-start user under every split. The cases mark it, so no
scorer reads a user row that was never trained. An item without a training event is a cold-start
item.

The protocols are the rules in `split_rules`.

Legend: C evaluation cases, N events, U user rows, V item rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

import numpy as np

from bert4rec.config import FOLDED, SplitConfig
from bert4rec.data.arrays import Ints, Mask, offsets
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.split_rules import RULES, SplitParts, Targets
from bert4rec.errors import DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME

Subset: TypeAlias = Literal["validation", "test"]
"""Name of one of the two sets of cases that a split holds out."""


@dataclass(frozen=True)
class Cases:
    """C evaluation cases: a user, the history `start : target`, and the target event."""

    user_C: Ints
    """User rows, ascending."""
    start_C: Ints
    """Event index of the first visible event."""
    target_C: Ints
    """Event index of the target; the visible events end just before it."""
    is_cold_start_C: Mask
    """True for users without a training event."""

    def __len__(self) -> int:
        return len(self.user_C)

    def __getitem__(self, part: slice | Mask | Ints) -> Cases:
        return Cases(
            self.user_C[part], self.start_C[part], self.target_C[part], self.is_cold_start_C[part]
        )

    def batches(self, size: int) -> Iterator[Cases]:
        """The cases in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self[first : first + size]

    def histories(self, dataset: PreparedDataset, request_time: bool) -> Histories:
        """Visible histories; the request time is the target's, or unknown."""
        unknown_C = np.full(len(self), NO_TIME)
        request_time_C = dataset.time_N[self.target_C] if request_time else unknown_C
        return dataset.histories(
            self.user_C, self.target_C, request_time_C, self.start_C, self.is_cold_start_C
        )

    def with_last_events(self, count: int) -> Cases:
        """Cases of which only the last `count` events before the target are visible."""
        return replace(self, start_C=np.maximum(self.start_C, self.target_C - count))


@dataclass(frozen=True)
class Split:
    """Training events and the two sets of cases."""

    name: str
    train_stop_U: Ints
    """User row u trains on its events before this one, except those of held-out items."""
    validation: Cases
    test: Cases
    checksum: str
    held_out_item_V: Mask | None = None
    """Items whose events do not train; None if the split holds out none."""

    def cases(self, subset: Subset) -> Cases:
        """Cases of one subset."""
        return self.test if subset == "test" else self.validation

    def cold_start_user_rows(self, dataset: PreparedDataset) -> Ints:
        """Rows of the users without a training event."""
        is_training_N = _is_training(dataset, self.train_stop_U, self.held_out_item_V)
        return np.flatnonzero(~_has_training_events(dataset, is_training_N))

    def cold_start_item_rows(self, dataset: PreparedDataset) -> Ints:
        """Rows of the items without a training event."""
        return FIRST_ITEM + np.flatnonzero(training_counts(dataset, self)[FIRST_ITEM:] == 0)


def make_split(dataset: PreparedDataset, config: SplitConfig) -> Split:
    """Split by the rule that the configuration names. Users with too few events for it only train.

    Raises:
        ConfigError: The rule needs event times, and the dataset has none.
        DataError: No user is left to evaluate, or no event to train on.
    """
    parts = RULES[config.split](dataset, config)
    is_training_N = _is_training(dataset, parts.train_stop_U, parts.held_out_item_V)
    is_cold_start_U = ~_has_training_events(dataset, is_training_N)
    validation = _cases(dataset, is_cold_start_U, parts.validation)
    test = _cases(dataset, is_cold_start_U, parts.test)
    if not len(test):
        raise DataError(
            f"{dataset.name}: split {config.split!r} leaves no user to evaluate; "
            "it needs users with 3 events"
        )
    if not is_training_N.any():
        raise DataError(
            f"{dataset.name}: split {config.split!r} leaves nothing to train on; "
            "take 'leave-one-out'"
        )
    return Split(
        name=f"{config.split}, fold {config.fold}" if config.split in FOLDED else config.split,
        train_stop_U=parts.train_stop_U,
        validation=validation,
        test=test,
        checksum=_checksum(dataset, parts, validation, test),
        held_out_item_V=parts.held_out_item_V,
    )


def _cases(dataset: PreparedDataset, is_cold_start_U: Mask, targets: Targets) -> Cases:
    """Cases of the targets, with all earlier events visible."""
    user_C, event_C = targets
    start_C = np.asarray(dataset.start_U1)[user_C]
    return Cases(user_C, start_C, event_C, is_cold_start_U[user_C])


def training_counts(dataset: PreparedDataset, split: Split) -> Ints:
    """Training events of each item row, `[V]`."""
    event_N = training_events(dataset, split)
    return np.bincount(dataset.item_N[event_N], minlength=dataset.item_rows)


def training_events(dataset: PreparedDataset, split: Split) -> Ints:
    """Event indices of the training events."""
    return np.flatnonzero(_is_training(dataset, split.train_stop_U, split.held_out_item_V))


def _is_training(
    dataset: PreparedDataset, train_stop_U: Ints, held_out_item_V: Mask | None
) -> Mask:
    """Mask of the training events, `[N]`."""
    # A step up at each start and one down at each stop: the running sum is 1 inside a range.
    step_N1 = np.zeros(len(dataset.item_N) + 1, dtype=np.int64)
    np.add.at(step_N1, np.asarray(dataset.start_U1[:-1]), 1)
    np.add.at(step_N1, np.asarray(train_stop_U), -1)
    is_training_N = np.cumsum(step_N1)[:-1] > 0
    if held_out_item_V is None:
        return is_training_N
    return is_training_N & ~held_out_item_V[dataset.item_N]


def _has_training_events(dataset: PreparedDataset, is_training_N: Mask) -> Mask:
    """Mask of the users with a training event, `[U]`."""
    before_N1 = offsets(is_training_N.astype(np.int64))
    return before_N1[dataset.start_U1[1:]] > before_N1[dataset.start_U1[:-1]]


def without_held_out_items(dataset: PreparedDataset, split: Split) -> tuple[PreparedDataset, Split]:
    """Dataset and split without the events of held-out items and without cases.

    Each user's training events are then one range, from which training windows are cut.
    """
    if split.held_out_item_V is None:
        return dataset, split
    is_kept_N = ~split.held_out_item_V[dataset.item_N]
    before_N1 = offsets(is_kept_N.astype(np.int64))
    kept_dataset = replace(
        dataset,
        start_U1=before_N1[dataset.start_U1],
        item_N=dataset.item_N[is_kept_N],
        time_N=dataset.time_N[is_kept_N],
        rating_N=dataset.rating_N[is_kept_N],
    )
    kept_split = replace(
        split,
        train_stop_U=before_N1[split.train_stop_U],
        validation=split.validation[:0],
        test=split.test[:0],
        held_out_item_V=None,
    )
    return kept_dataset, kept_split


def _checksum(dataset: PreparedDataset, parts: SplitParts, *subsets: Cases) -> str:
    """Checksum of the dataset, the training events and the cases."""
    arrays = [parts.train_stop_U]
    for cases in subsets:
        arrays += [cases.user_C, cases.start_C, cases.target_C]
    if parts.held_out_item_V is not None:
        arrays.append(np.flatnonzero(parts.held_out_item_V))
    digest = hashlib.sha256(dataset.checksum.encode())
    for array in arrays:
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
