"""Split rules: what each protocol trains on and which events it holds out as targets.

Legend: C evaluation cases, N events, U user rows, V item rows, X some users or items.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from bert4rec.config import FOLDS, SplitConfig
from bert4rec.data.arrays import Ints, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ConfigError, DataError

COLD_START_TARGET = 20
"""cold-start-users: number of the target event, counted from 1.

It is the same however many events are shown: a later target would be another question (MovieLens
users meet their first films on a sign-up page)."""
COLD_START_ITEM_EVENTS = 5
"""cold-start-items: fewest events of a held-out item. Fewer teach a model next to nothing."""
_FOLDS_SEED = 20
"""Seed of the shuffle into folds, the same for every run."""


class Targets(NamedTuple):
    """Held-out events and their users."""

    user_C: Ints
    """User rows, ascending."""
    event_C: Ints
    """Event indices."""


class SplitParts(NamedTuple):
    """Result of a split rule."""

    train_stop_U: Ints
    """User row u trains on its events before this one."""
    validation: Targets
    test: Targets
    held_out_item_V: Mask | None = None
    """Items whose events do not train; None if the rule holds out none."""


def leave_one_out(dataset: PreparedDataset, config: SplitConfig) -> SplitParts:
    """Leave-one-out: the last event of a user tests, the one before validates, and the rest trains.

    Users with fewer than 3 events only train.
    """
    start_U, stop_U = _bounds(dataset)
    is_evaluated_U = stop_U - start_U >= 3
    user_C = np.flatnonzero(is_evaluated_U)
    return SplitParts(
        train_stop_U=np.where(is_evaluated_U, stop_U - 2, stop_U),
        validation=Targets(user_C, stop_U[user_C] - 2),
        test=Targets(user_C, stop_U[user_C] - 1),
    )


def global_temporal(dataset: PreparedDataset, config: SplitConfig) -> SplitParts:
    """Global temporal split: events before one date train, each user's last one after it tests.

    The last `test_share` of all events lies after the test date. Of the events before it, the same
    share lies after the validation date. Events between the two dates validate in the same way and
    do not train.
    """
    if not dataset.has_times:
        raise ConfigError(
            f"{dataset.name}: split 'global-temporal' needs event times; take 'leave-one-out'"
        )
    sorted_N = np.sort(dataset.time_N)
    before_test = int(len(sorted_N) * (1 - config.test_share))
    before_validation = int(before_test * (1 - config.test_share))
    start_U, stop_U = _bounds(dataset)
    validation_start_U = _first_event_from(dataset, sorted_N[before_validation])
    test_start_U = _first_event_from(dataset, sorted_N[before_test])
    return SplitParts(
        train_stop_U=validation_start_U,
        validation=_last_events(start_U, validation_start_U, test_start_U),
        test=_last_events(start_U, test_start_U, stop_U),
    )


def _first_event_from(dataset: PreparedDataset, date: np.int64) -> Ints:
    """Index of each user's first event at or after the date."""
    # Events before the date are a prefix of each history, since histories are sorted by time.
    before_N1 = np.concatenate([[0], np.cumsum(dataset.time_N < date)])
    start_U, stop_U = _bounds(dataset)
    return start_U + before_N1[stop_U] - before_N1[start_U]


def _last_events(start_U: Ints, from_U: Ints, stop_U: Ints) -> Targets:
    """Last event in `from : stop` of each user with an event there and one before it."""
    user_C = np.flatnonzero((stop_U > from_U) & (stop_U - 1 > start_U))
    return Targets(user_C, stop_U[user_C] - 1)


def cold_start_users(dataset: PreparedDataset, config: SplitConfig) -> SplitParts:
    """Strong generalisation: users of one fold test, of the next validate; neither trains.

    Users with enough events are divided into folds; those with fewer always train.
    """
    start_U, stop_U = _bounds(dataset)
    enough_X = np.flatnonzero(stop_U - start_U >= COLD_START_TARGET)
    folds = _folds(dataset, config, enough_X, f"users with {COLD_START_TARGET}")
    test_C = folds[config.fold]
    validation_C = folds[(config.fold + 1) % FOLDS]
    train_stop_U = stop_U.copy()
    train_stop_U[test_C] = start_U[test_C]
    train_stop_U[validation_C] = start_U[validation_C]
    target_U = start_U + COLD_START_TARGET - 1
    return SplitParts(
        train_stop_U,
        validation=Targets(validation_C, target_U[validation_C]),
        test=Targets(test_C, target_U[test_C]),
    )


def cold_start_items(dataset: PreparedDataset, config: SplitConfig) -> SplitParts:
    """Leave-one-out in which no event of the items of one fold trains or validates.

    Items with enough events are divided into folds; those with fewer always train.
    """
    count_V = np.bincount(dataset.item_N, minlength=dataset.item_rows)
    enough_X = np.flatnonzero(count_V >= COLD_START_ITEM_EVENTS)
    folds = _folds(dataset, config, enough_X, f"items with {COLD_START_ITEM_EVENTS}")
    held_out_item_V = np.zeros(dataset.item_rows, dtype=np.bool_)
    held_out_item_V[folds[config.fold]] = True
    parts = leave_one_out(dataset, config)
    user_C, event_C = parts.validation
    is_kept_C = ~held_out_item_V[dataset.item_N[event_C]]
    validation = Targets(user_C[is_kept_C], event_C[is_kept_C])
    return parts._replace(validation=validation, held_out_item_V=held_out_item_V)


def _folds(dataset: PreparedDataset, config: SplitConfig, row_X: Ints, needed: str) -> list[Ints]:
    """Rows in folds, shuffled the same way in every run; a fold's rows ascend."""
    if len(row_X) < FOLDS:
        raise DataError(
            f"{dataset.name}: split {config.split!r} needs {FOLDS} {needed} events, "
            f"one for each fold; it has {len(row_X)}: take 'leave-one-out'"
        )
    shuffled_X = np.random.default_rng(_FOLDS_SEED).permutation(row_X)
    return [np.sort(fold) for fold in np.array_split(shuffled_X, FOLDS)]


def _bounds(dataset: PreparedDataset) -> tuple[Ints, Ints]:
    """First event of each user, and the event after the last, `[U]` each."""
    start_U1 = np.asarray(dataset.start_U1)
    return start_U1[:-1], start_U1[1:]


Rule = Callable[[PreparedDataset, SplitConfig], SplitParts]

RULES: dict[str, Rule] = {
    "leave-one-out": leave_one_out,
    "global-temporal": global_temporal,
    "cold-start-users": cold_start_users,
    "cold-start-items": cold_start_items,
}
"""Rules by the setting `split`."""
