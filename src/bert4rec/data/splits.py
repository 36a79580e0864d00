"""Which events train and which are asked for: every protocol is a `Split`.

A user's events are sorted by time, so what trains is a prefix of them, and what is known at a request is the stretch
`start : target` before the event asked for. That form holds leave-one-out and global-time, and has room for
cold users (nothing trains, a bounded `start`).

Legend: U user rows, C cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from bert4rec.config import SplitConfig
from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import PreparedDataset
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import NO_TIME


@dataclass(frozen=True)
class Cases:
    """C questions: given the user's events `start : target`, which item is event `target`?"""

    user_C: Ints
    """User rows, ascending."""
    start_C: Ints
    """Index of the first event that is visible."""
    target_C: Ints
    """Index of the event asked for; what is visible ends just before it."""

    def __len__(self) -> int:
        return len(self.user_C)

    def __getitem__(self, part: slice | NDArray[np.bool_] | Ints) -> Cases:
        return Cases(self.user_C[part], self.start_C[part], self.target_C[part])

    def pieces(self, size: int) -> Iterator[Cases]:
        """The cases in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self[first : first + size]

    def histories(self, dataset: PreparedDataset, request_time: bool) -> Histories:
        """What is known when the cases are asked, with or without the time of the request (the target's)."""
        asked_at_C = dataset.time_N[self.target_C] if request_time else np.full(len(self), NO_TIME)
        return dataset.histories(self.user_C, self.target_C, asked_at_C, self.start_C)


@dataclass(frozen=True)
class Split:
    """What trains, and the two sets of cases."""

    name: str
    train_stop_U: Ints
    """User row u trains on its events from `start_U1[u]` up to here."""
    validation: Cases
    test: Cases
    checksum: str


def make_split(dataset: PreparedDataset, config: SplitConfig) -> Split:
    """The split that the configuration names. A user too short for it trains and is not asked."""
    train_stop_U, validation, test = _RULES[config.split](dataset, config)
    if not len(test):
        raise DataError(f"{dataset.name}: split {config.split!r} leaves nobody to ask; it needs users with 3 events")
    if not (train_stop_U > np.asarray(dataset.start_U1[:-1])).any():
        raise DataError(f"{dataset.name}: split {config.split!r} leaves nothing to train on; take 'leave-one-out'")
    return Split(config.split, train_stop_U, validation, test, _checksum(dataset, train_stop_U, validation, test))


def _leave_one_out(dataset: PreparedDataset, config: SplitConfig) -> tuple[Ints, Cases, Cases]:
    """The last event of a user tests, the one before validates, the rest trains; users under 3 events only train."""
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(dataset.start_U1[1:])
    asked_U = stop_U - start_U >= 3
    user_C = np.flatnonzero(asked_U)
    start_C, stop_C = start_U[asked_U], stop_U[asked_U]
    return (
        np.where(asked_U, stop_U - 2, stop_U),
        Cases(user_C, start_C, stop_C - 2),
        Cases(user_C, start_C, stop_C - 1),
    )


def _global_time(dataset: PreparedDataset, config: SplitConfig) -> tuple[Ints, Cases, Cases]:
    """Before one date everything trains; after it each user's last event tests.

    The last `test_share` of all events lies after the test date, and the same share of what is before it after the
    validation date; the events between the two dates validate in the same way and do not train.
    """
    if not dataset.has_times:
        raise ConfigError(f"{dataset.name}: split 'global-time' needs event times; take 'leave-one-out'")
    sorted_N = np.sort(dataset.time_N)
    before_test = int(len(sorted_N) * (1 - config.test_share))
    test_date = sorted_N[before_test]
    validation_date = sorted_N[int(before_test * (1 - config.test_share))]
    start_U = np.asarray(dataset.start_U1[:-1])
    train_stop_U = _first_event_from(dataset, validation_date)
    test_start_U = _first_event_from(dataset, test_date)
    return (
        train_stop_U,
        _last_of(start_U, train_stop_U, test_start_U),
        _last_of(start_U, test_start_U, np.asarray(dataset.start_U1[1:])),
    )


def _first_event_from(dataset: PreparedDataset, date: np.int64) -> Ints:
    """For each user row the index of its first event at or after the date."""
    before_N1 = np.concatenate([[0], np.cumsum(dataset.time_N < date)])
    start_U = np.asarray(dataset.start_U1[:-1])
    return start_U + before_N1[dataset.start_U1[1:]] - before_N1[start_U]


def _last_of(start_U: Ints, from_U: Ints, stop_U: Ints) -> Cases:
    """One case for each user with an event in `from : stop` and at least one before it: the last one there."""
    asked_U = (stop_U > from_U) & (stop_U - 1 > start_U)
    return Cases(np.flatnonzero(asked_U), start_U[asked_U], stop_U[asked_U] - 1)


def training_counts(dataset: PreparedDataset, split: Split) -> Ints:
    """Training events of each item row."""
    trains_N = training_events(dataset, split)
    return np.bincount(dataset.item_N[trains_N], minlength=dataset.item_rows)


def training_events(dataset: PreparedDataset, split: Split) -> Ints:
    """The indices of the events that train."""
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(split.train_stop_U)
    mark_N1 = np.zeros(len(dataset.item_N) + 1, dtype=np.int64)
    np.add.at(mark_N1, start_U, 1)
    np.add.at(mark_N1, stop_U, -1)
    return np.flatnonzero(np.cumsum(mark_N1)[:-1])


_RULES: dict[str, Callable[[PreparedDataset, SplitConfig], tuple[Ints, Cases, Cases]]] = {
    "leave-one-out": _leave_one_out,
    "global-time": _global_time,
}


def _checksum(dataset: PreparedDataset, train_stop_U: Ints, *sets: Cases) -> str:
    digest = hashlib.sha256(dataset.checksum.encode())
    for array in (train_stop_U, *(part for cases in sets for part in (cases.user_C, cases.start_C, cases.target_C))):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
