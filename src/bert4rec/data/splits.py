"""Which events train and which are asked for: every protocol is a `Split`.

A user's events are sorted by time, so what trains is a prefix of them, and what is known at a request is the stretch
`start : target` before the event asked for. That form holds leave-one-out, global-time and cold users (nothing of
theirs trains). Who trains nothing is a stranger to every model, under whatever split: the cases say so, and no scorer
is told a row that it never learned.

Legend: U user rows, C cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from bert4rec.config import FOLDS, SplitConfig
from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import PreparedDataset
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import NO_TIME

COLD_TARGET = 20
"""cold-users: which of a user's events is asked for, counted from 1. It is the same for everybody, however much of what
came before is shown: a later target is another question (MovieLens users meet the first films on a sign-up page)."""
_FOLDS_SEED = 20
"""Of the shuffle that deals the users into folds: the same for every run."""


@dataclass(frozen=True)
class Cases:
    """C questions: given the user's events `start : target`, which item is event `target`?"""

    user_C: Ints
    """User rows, ascending."""
    start_C: Ints
    """Index of the first event that is visible."""
    target_C: Ints
    """Index of the event asked for; what is visible ends just before it."""
    stranger_C: NDArray[np.bool_]
    """Whether no event of the user trains."""

    def __len__(self) -> int:
        return len(self.user_C)

    def __getitem__(self, part: slice | NDArray[np.bool_] | Ints) -> Cases:
        return Cases(self.user_C[part], self.start_C[part], self.target_C[part], self.stranger_C[part])

    def pieces(self, size: int) -> Iterator[Cases]:
        """The cases in order, `size` at a time."""
        for first in range(0, len(self), size):
            yield self[first : first + size]

    def histories(self, dataset: PreparedDataset, request_time: bool) -> Histories:
        """What is known when the cases are asked, with or without the time of the request (the target's)."""
        asked_at_C = dataset.time_N[self.target_C] if request_time else np.full(len(self), NO_TIME)
        return dataset.histories(self.user_C, self.target_C, asked_at_C, self.start_C, self.stranger_C)

    def seeing(self, events: int) -> Cases:
        """The same questions with only the last so many events before the target visible."""
        return replace(self, start_C=np.maximum(self.start_C, self.target_C - events))


@dataclass(frozen=True)
class Split:
    """What trains, and the two sets of cases."""

    name: str
    train_stop_U: Ints
    """User row u trains on its events from `start_U1[u]` up to here."""
    validation: Cases
    test: Cases
    checksum: str

    def strangers(self, dataset: PreparedDataset) -> Ints:
        """The rows of the users of whom no event trains."""
        return np.flatnonzero(np.asarray(self.train_stop_U) <= dataset.start_U1[:-1])


def make_split(dataset: PreparedDataset, config: SplitConfig) -> Split:
    """The split that the configuration names. A user too short for it trains and is not asked."""
    train_stop_U, *asked = _RULES[config.split](dataset, config)
    start_U = np.asarray(dataset.start_U1[:-1])
    validation, test = (_cases(start_U, train_stop_U, *of) for of in asked)
    if not len(test):
        raise DataError(f"{dataset.name}: split {config.split!r} leaves nobody to ask; it needs users with 3 events")
    if not (train_stop_U > start_U).any():
        raise DataError(f"{dataset.name}: split {config.split!r} leaves nothing to train on; take 'leave-one-out'")
    name = f"{config.split}, fold {config.fold}" if config.split == "cold-users" else config.split
    return Split(name, train_stop_U, validation, test, _checksum(dataset, train_stop_U, validation, test))


Asked = tuple[Ints, Ints]
"""Who is asked, `[C]`, and the index of the event asked for, `[C]`."""


def _cases(start_U: Ints, train_stop_U: Ints, user_C: Ints, target_C: Ints) -> Cases:
    """The questions, everything before the target visible."""
    start_C = start_U[user_C]
    return Cases(user_C, start_C, target_C, stranger_C=train_stop_U[user_C] <= start_C)


def _leave_one_out(dataset: PreparedDataset, config: SplitConfig) -> tuple[Ints, Asked, Asked]:
    """The last event of a user tests, the one before validates, the rest trains; users under 3 events only train."""
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(dataset.start_U1[1:])
    asked_U = stop_U - start_U >= 3
    user_C = np.flatnonzero(asked_U)
    return np.where(asked_U, stop_U - 2, stop_U), (user_C, stop_U[user_C] - 2), (user_C, stop_U[user_C] - 1)


def _global_time(dataset: PreparedDataset, config: SplitConfig) -> tuple[Ints, Asked, Asked]:
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


def _last_of(start_U: Ints, from_U: Ints, stop_U: Ints) -> Asked:
    """For each user with an event in `from : stop` and at least one before it: the last one there."""
    user_C = np.flatnonzero((stop_U > from_U) & (stop_U - 1 > start_U))
    return user_C, stop_U[user_C] - 1


def _cold_users(dataset: PreparedDataset, config: SplitConfig) -> tuple[Ints, Asked, Asked]:
    """The users of one fold test and those of the next validate, none of them trains; everybody else does.

    Users with enough events are dealt into folds; those with fewer always train.
    """
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(dataset.start_U1[1:])
    long_X = np.flatnonzero(stop_U - start_U >= COLD_TARGET)
    if len(long_X) < FOLDS:
        raise DataError(
            f"{dataset.name}: split 'cold-users' needs {FOLDS} users with {COLD_TARGET} events, one for each fold; "
            f"it has {len(long_X)}: take 'leave-one-out'"
        )
    folds = np.array_split(np.random.default_rng(_FOLDS_SEED).permutation(long_X), FOLDS)
    test_C, validation_C = (np.sort(folds[number % FOLDS]) for number in (config.fold, config.fold + 1))
    train_stop_U = stop_U.copy()
    for user_C in (test_C, validation_C):
        train_stop_U[user_C] = start_U[user_C]
    last = COLD_TARGET - 1
    return train_stop_U, (validation_C, start_U[validation_C] + last), (test_C, start_U[test_C] + last)


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


_RULES: dict[str, Callable[[PreparedDataset, SplitConfig], tuple[Ints, Asked, Asked]]] = {
    "leave-one-out": _leave_one_out,
    "global-time": _global_time,
    "cold-users": _cold_users,
}


def _checksum(dataset: PreparedDataset, train_stop_U: Ints, *sets: Cases) -> str:
    digest = hashlib.sha256(dataset.checksum.encode())
    for array in (train_stop_U, *(part for cases in sets for part in (cases.user_C, cases.start_C, cases.target_C))):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
