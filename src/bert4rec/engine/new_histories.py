"""Histories that are newer than a model's data, for batch lists: raw ids to the model's rows.

Unknown items are left out and counted; an unknown user keeps the history, as a cold-start user.

Legend: B users, N events, X distinct ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints, Mask, offsets
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.plain_values import plain_list
from bert4rec.engine.histories import rating_rows
from bert4rec.engine.raw_values import row_of
from bert4rec.engine.request import to_seconds
from bert4rec.errors import UsageError
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, RawId


@dataclass(frozen=True)
class IdColumn:
    """Ids of events as distinct ids, and the number of each event's id among them."""

    ids: Sequence[RawId]
    number_N: Ints

    @classmethod
    def of(cls, ids: Sequence[Any]) -> IdColumn:
        """Column of the ids of events."""
        number_of: dict[Any, int] = {}
        numbers = [number_of.setdefault(raw, len(number_of)) for raw in ids]
        return cls(list(number_of), np.array(numbers, dtype=np.int64))


@dataclass(frozen=True)
class NewHistories:
    """Histories of some users, in place of those that are stored with the model."""

    user_ids: Sequence[RawId]
    """Raw ids, in the order of each user's first event in the table."""
    histories: Histories
    """Histories of these users."""
    events_of_unknown_items: int = 0
    """Number of events that were left out, because the model does not know their items."""
    unknown_items: int = 0
    """Number of these items."""

    @classmethod
    def of_events(
        cls,
        dataset: PreparedDataset,
        user_ids: Any,
        item_ids: Any,
        times: Any = None,
        ratings: Any = None,
    ) -> NewHistories:
        """Histories of events in columns: lists, arrays, or columns of pandas and polars.

        Without `times` each user's events are in order. Raises UsageError for columns of different
        length, for a value that is no time, and for a rating off the scale.

        >>> new = NewHistories.of_events(engine.dataset, [2, "ann"], [104, 108], [10, 20])
        >>> new.user_ids, new.histories.item_N.tolist()
        ([2, 'ann'], [5, 9])
        """
        user_column = plain_list("user_ids", user_ids, "user ids")
        item_column = plain_list("item_ids", item_ids, "item ids")
        count = len(user_column)
        time_N = np.full(count, NO_TIME, dtype=np.int64)
        if times is not None:
            listed = plain_list("times", times, "times")
            time_N = np.array([to_seconds(when) for when in listed], dtype=np.int64)
        rating_N = np.full(count, NO_RATING)
        if ratings is not None:
            listed = plain_list("ratings", ratings, "numbers")
            rating_N = rating_rows(listed, len(listed), dataset)
        if not count == len(item_column) == len(time_N) == len(rating_N):
            raise UsageError("user_ids, item_ids, times and ratings differ in length")
        users, items = IdColumn.of(user_column), IdColumn.of(item_column)
        return cls.of_columns(dataset, users, items, time_N, rating_N)

    @classmethod
    def of_columns(
        cls,
        dataset: PreparedDataset,
        users: IdColumn,
        items: IdColumn,
        time_N: NDArray[Any],
        rating_N: Ints,
    ) -> NewHistories:
        """Histories of events in any order; those of one user and time keep theirs.

        Times are numbers, NO_TIME where unknown, in seconds or of a finer resolution.
        """
        item_X = _rows(dataset.items, items.ids, unknown=-1)
        user_X = _rows(dataset.users, users.ids, unknown=UNKNOWN)
        is_known_N = item_X[items.number_N] >= 0
        # The last key is the first criterion; the sort is stable.
        order_N = np.lexsort((time_N, users.number_N))
        order_N = order_N[is_known_N[order_N]]
        count_X = np.bincount(users.number_N[order_N], minlength=len(users.ids))
        histories = Histories(
            user_B=user_X,
            start_B1=offsets(count_X),
            item_N=item_X[items.number_N[order_N]],
            time_N=np.floor(time_N[order_N]).astype(np.int64),
            rating_N=rating_N[order_N],
            request_time_B=np.full(len(user_X), NO_TIME, dtype=np.int64),
        )
        left_out = len(is_known_N) - int(is_known_N.sum())
        return cls(users.ids, histories, left_out, int((item_X < 0).sum()))

    @property
    def has_events_X(self) -> Mask:
        """True for users with an event of a known item."""
        return self.histories.length_B > 0


def _rows(vocabulary: Any, ids: Sequence[RawId], unknown: int) -> Ints:
    """Row of each id, `unknown` where there is none."""
    rows = (row_of(vocabulary, raw) for raw in ids)
    return np.array([unknown if row is None else row for row in rows], dtype=np.int64)
