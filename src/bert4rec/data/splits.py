"""Which events train and which are asked for: every protocol is a `Split`.

A user's events are sorted by time, so what trains is a prefix of them, and what is known at a request is the stretch
`start : target` before the event asked for. That form holds leave-one-out, global-time and cold users (nothing of
theirs trains); of cold items no event trains, wherever it stands. Who trains nothing is a stranger to every model,
under whatever split: the cases say so, and no scorer is told a row that it never learned. An item of which nothing
trains is a new item, likewise.

Legend: U user rows, V item rows, N events, C cases, X some rows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from bert4rec.config import FOLDED, FOLDS, SplitConfig
from bert4rec.data.arrays import Ints, Mask, offsets
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME

Subset: TypeAlias = Literal["validation", "test"]
"""Name of one of the two sets of cases that a split holds out."""

COLD_TARGET = 20
"""cold-start-users: which of a user's events is asked for, counted from 1. It is the same for everybody, however much of what
came before is shown: a later target is another question (MovieLens users meet the first films on a sign-up page)."""
COLD_ITEM_EVENTS = 5
"""cold-start-items: the least events of an item that may be cold. Of fewer a model learns next to nothing anyway."""
_FOLDS_SEED = 20
"""Of the shuffle that deals users or items into folds: the same for every run."""


@dataclass(frozen=True)
class Cases:
    """C questions: given the user's events `start : target`, which item is event `target`?"""

    user_C: Ints
    """User rows, ascending."""
    start_C: Ints
    """Index of the first event that is visible."""
    target_C: Ints
    """Index of the event asked for; what is visible ends just before it."""
    is_cold_start_C: Mask
    """Whether no event of the user trains."""

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
        """What is known when the cases are asked, with or without the time of the request (the target's)."""
        asked_at_C = dataset.time_N[self.target_C] if request_time else np.full(len(self), NO_TIME)
        return dataset.histories(
            self.user_C, self.target_C, asked_at_C, self.start_C, self.is_cold_start_C
        )

    def with_last_events(self, events: int) -> Cases:
        """The same questions with only the last so many events before the target visible."""
        return replace(self, start_C=np.maximum(self.start_C, self.target_C - events))


@dataclass(frozen=True)
class Split:
    """What trains, and the two sets of cases."""

    name: str
    train_stop_U: Ints
    """User row u trains on its events from `start_U1[u]` up to here, but for those of cold items."""
    validation: Cases
    test: Cases
    checksum: str
    cold_item_V: Mask | None = None
    """The items of which no event trains, for anybody; None where the split makes none cold."""

    def cases(self, subset: Subset) -> Cases:
        """Cases of one subset."""
        return self.test if subset == "test" else self.validation

    def cold_users(self, dataset: PreparedDataset) -> Ints:
        """The rows of the users of whom no event trains."""
        return np.flatnonzero(
            ~_is_known(dataset, _is_training(dataset, self.train_stop_U, self.cold_item_V))
        )

    def cold_items(self, dataset: PreparedDataset) -> Ints:
        """The rows of the items of which no event trains."""
        return FIRST_ITEM + np.flatnonzero(training_counts(dataset, self)[FIRST_ITEM:] == 0)


def make_split(dataset: PreparedDataset, config: SplitConfig) -> Split:
    """The split that the configuration names. A user too short for it trains and is not asked."""
    parts = _RULES[config.split](dataset, config)
    trains_N = _is_training(dataset, parts.train_stop_U, parts.cold_item_V)
    known_U = _is_known(dataset, trains_N)
    validation, test = (
        _cases(dataset, known_U, *asked) for asked in (parts.validation, parts.test)
    )
    if not len(test):
        raise DataError(
            f"{dataset.name}: split {config.split!r} leaves nobody to ask; it needs users with 3 events"
        )
    if not trains_N.any():
        raise DataError(
            f"{dataset.name}: split {config.split!r} leaves nothing to train on; take 'leave-one-out'"
        )
    name = f"{config.split}, fold {config.fold}" if config.split in FOLDED else config.split
    checksum = _checksum(dataset, parts, validation, test)
    return Split(name, parts.train_stop_U, validation, test, checksum, parts.cold_item_V)


Targets = tuple[Ints, Ints]
"""Who is asked, `[C]`, and the index of the event asked for, `[C]`."""


class _Parts(NamedTuple):
    """What a rule makes of a dataset."""

    train_stop_U: Ints
    validation: Targets
    test: Targets
    cold_item_V: Mask | None = None


def _cases(dataset: PreparedDataset, known_U: Mask, user_C: Ints, target_C: Ints) -> Cases:
    """The questions, everything before the target visible."""
    return Cases(
        user_C, np.asarray(dataset.start_U1)[user_C], target_C, is_cold_start_C=~known_U[user_C]
    )


def _leave_one_out(dataset: PreparedDataset, config: SplitConfig) -> _Parts:
    """The last event of a user tests, the one before validates, the rest trains; users under 3 events only train."""
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(dataset.start_U1[1:])
    asked_U = stop_U - start_U >= 3
    user_C = np.flatnonzero(asked_U)
    return _Parts(
        np.where(asked_U, stop_U - 2, stop_U),
        (user_C, stop_U[user_C] - 2),
        (user_C, stop_U[user_C] - 1),
    )


def _global_time(dataset: PreparedDataset, config: SplitConfig) -> _Parts:
    """Before one date everything trains; after it each user's last event tests.

    The last `test_share` of all events lies after the test date, and the same share of what is before it after the
    validation date; the events between the two dates validate in the same way and do not train.
    """
    if not dataset.has_times:
        raise ConfigError(
            f"{dataset.name}: split 'global-time' needs event times; take 'leave-one-out'"
        )
    sorted_N = np.sort(dataset.time_N)
    before_test = int(len(sorted_N) * (1 - config.test_share))
    test_date = sorted_N[before_test]
    validation_date = sorted_N[int(before_test * (1 - config.test_share))]
    start_U = np.asarray(dataset.start_U1[:-1])
    train_stop_U = _first_event_from(dataset, validation_date)
    test_start_U = _first_event_from(dataset, test_date)
    return _Parts(
        train_stop_U,
        _last_of(start_U, train_stop_U, test_start_U),
        _last_of(start_U, test_start_U, np.asarray(dataset.start_U1[1:])),
    )


def _first_event_from(dataset: PreparedDataset, date: np.int64) -> Ints:
    """For each user row the index of its first event at or after the date."""
    before_N1 = np.concatenate([[0], np.cumsum(dataset.time_N < date)])
    start_U = np.asarray(dataset.start_U1[:-1])
    return start_U + before_N1[dataset.start_U1[1:]] - before_N1[start_U]


def _last_of(start_U: Ints, from_U: Ints, stop_U: Ints) -> Targets:
    """For each user with an event in `from : stop` and at least one before it: the last one there."""
    user_C = np.flatnonzero((stop_U > from_U) & (stop_U - 1 > start_U))
    return user_C, stop_U[user_C] - 1


def _cold_users(dataset: PreparedDataset, config: SplitConfig) -> _Parts:
    """The users of one fold test and those of the next validate, none of them trains; everybody else does.

    Users with enough events are dealt into folds; those with fewer always train.
    """
    start_U, stop_U = np.asarray(dataset.start_U1[:-1]), np.asarray(dataset.start_U1[1:])
    folds = _dealt(
        dataset,
        config,
        np.flatnonzero(stop_U - start_U >= COLD_TARGET),
        f"users with {COLD_TARGET}",
    )
    test_C, validation_C = (folds[number % FOLDS] for number in (config.fold, config.fold + 1))
    train_stop_U = stop_U.copy()
    for user_C in (test_C, validation_C):
        train_stop_U[user_C] = start_U[user_C]
    last = COLD_TARGET - 1
    return _Parts(
        train_stop_U, (validation_C, start_U[validation_C] + last), (test_C, start_U[test_C] + last)
    )


def _cold_items(dataset: PreparedDataset, config: SplitConfig) -> _Parts:
    """As leave-one-out, but no event trains of the items of one fold, and none of them validates.

    Items with enough events are dealt into folds; those with fewer always train.
    """
    enough_V = np.bincount(dataset.item_N, minlength=dataset.item_rows) >= COLD_ITEM_EVENTS
    folds = _dealt(dataset, config, np.flatnonzero(enough_V), f"items with {COLD_ITEM_EVENTS}")
    cold_item_V = np.zeros(dataset.item_rows, dtype=np.bool_)
    cold_item_V[folds[config.fold]] = True
    train_stop_U, (user_C, target_C), test, _ = _leave_one_out(dataset, config)
    warm_C = ~cold_item_V[dataset.item_N[target_C]]
    return _Parts(train_stop_U, (user_C[warm_C], target_C[warm_C]), test, cold_item_V)


def _dealt(dataset: PreparedDataset, config: SplitConfig, row_X: Ints, what: str) -> list[Ints]:
    """The rows in folds, shuffled the same way for every run; those of a fold ascend."""
    if len(row_X) < FOLDS:
        raise DataError(
            f"{dataset.name}: split {config.split!r} needs {FOLDS} {what} events, one for each fold; "
            f"it has {len(row_X)}: take 'leave-one-out'"
        )
    return [
        np.sort(fold)
        for fold in np.array_split(np.random.default_rng(_FOLDS_SEED).permutation(row_X), FOLDS)
    ]


def training_counts(dataset: PreparedDataset, split: Split) -> Ints:
    """Training events of each item row."""
    trains_N = training_events(dataset, split)
    return np.bincount(dataset.item_N[trains_N], minlength=dataset.item_rows)


def training_events(dataset: PreparedDataset, split: Split) -> Ints:
    """The indices of the events that train."""
    return np.flatnonzero(_is_training(dataset, split.train_stop_U, split.cold_item_V))


def _is_training(dataset: PreparedDataset, train_stop_U: Ints, cold_item_V: Mask | None) -> Mask:
    """Whether each event trains, `[N]`."""
    mark_N1 = np.zeros(len(dataset.item_N) + 1, dtype=np.int64)
    np.add.at(mark_N1, np.asarray(dataset.start_U1[:-1]), 1)
    np.add.at(mark_N1, np.asarray(train_stop_U), -1)
    trains_N = np.cumsum(mark_N1)[:-1] > 0
    return trains_N if cold_item_V is None else trains_N & ~cold_item_V[dataset.item_N]


def _is_known(dataset: PreparedDataset, trains_N: Mask) -> Mask:
    """Whether any event of each user trains, `[U]`."""
    before_N1 = offsets(trains_N.astype(np.int64))
    return before_N1[dataset.start_U1[1:]] > before_N1[dataset.start_U1[:-1]]


def without_cold_item_events(
    dataset: PreparedDataset, split: Split
) -> tuple[PreparedDataset, Split]:
    """Both as if no event of a cold item had ever been, and nobody were asked: what training batches are made of.

    What trains of a user is then one stretch. Where no item is cold, the very same.
    """
    if split.cold_item_V is None:
        return dataset, split
    warm_N = ~split.cold_item_V[dataset.item_N]
    before_N1 = offsets(warm_N.astype(np.int64))
    return (
        replace(
            dataset,
            start_U1=before_N1[dataset.start_U1],
            item_N=dataset.item_N[warm_N],
            time_N=dataset.time_N[warm_N],
            rating_N=dataset.rating_N[warm_N],
        ),
        replace(
            split,
            train_stop_U=before_N1[split.train_stop_U],
            validation=split.validation[:0],
            test=split.test[:0],
            cold_item_V=None,
        ),
    )


_RULES: dict[str, Callable[[PreparedDataset, SplitConfig], _Parts]] = {
    "leave-one-out": _leave_one_out,
    "global-time": _global_time,
    "cold-start-users": _cold_users,
    "cold-start-items": _cold_items,
}


def _checksum(dataset: PreparedDataset, parts: _Parts, *sets: Cases) -> str:
    digest = hashlib.sha256(dataset.checksum.encode())
    asked = [part for cases in sets for part in (cases.user_C, cases.start_C, cases.target_C)]
    cold = [] if parts.cold_item_V is None else [np.flatnonzero(parts.cold_item_V)]
    for array in (parts.train_stop_U, *asked, *cold):
        digest.update(np.ascontiguousarray(array, dtype=np.int64).tobytes())
    return digest.hexdigest()[:16]
