"""History of a request: its raw ids, ratings and features as the rows of a dataset.

Legend: N events, B users (one here), X items to forget.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import network_values
from bert4rec.data.histories import Histories
from bert4rec.data.plain_values import plain, shown
from bert4rec.engine.raw_values import feature_rows, row_of
from bert4rec.engine.request import Request, to_seconds
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, RawId


def request_history(request: Request, dataset: PreparedDataset) -> Histories:
    """History of the request's user, before any event is forgotten.

    Raises UnknownUser without a stored history, UnknownItem for an unknown item of the sequence,
    and UsageError for a rating or feature that the data does not have.
    """
    if request.item_sequence is None:
        history = _stored_history(request.user_id, dataset)
    else:
        history = _given_history(request, request.item_sequence, dataset)
    return replace(
        history,
        request_time_B=np.array([to_seconds(request.request_time)]),
        user_features={**history.user_features, **_given_features(request, dataset)},
    )


def without_forgotten(
    history: Histories, forget: Sequence[RawId], dataset: PreparedDataset
) -> Histories:
    """History of one user without the events of some items.

    Raises UnknownItem for an unknown item, UsageError for an item that is not in the history.
    """
    if not len(forget):
        return history
    rows = [row_of(dataset.items, item_id) for item_id in forget]
    unknown = [item_id for item_id, row in zip(forget, rows, strict=True) if row is None]
    if unknown:
        raise UnknownItem(unknown)
    seen = set(history.item_N.tolist())
    absent = [item_id for item_id, row in zip(forget, rows, strict=True) if row not in seen]
    if absent:
        listed = ", ".join(map(str, absent))
        raise UsageError(f"forget: {listed} cannot be forgotten: not in the history")
    return history.without_items(np.array(rows))


def user_row(dataset: PreparedDataset, user_id: RawId | None) -> int:
    """Row of a known user. Raises UnknownUser."""
    user = row_of(dataset.users, user_id)
    if user is None:
        raise UnknownUser(plain(user_id))
    return user


def _stored_history(user_id: RawId | None, dataset: PreparedDataset) -> Histories:
    """All events of a known user; one without events is a cold-start user with stored features."""
    return dataset.complete_histories(np.array([user_row(dataset, user_id)]))


def _given_history(
    request: Request, item_ids: Sequence[RawId], dataset: PreparedDataset
) -> Histories:
    """Events of the request's own sequence; the user may be unknown."""
    rows = [row_of(dataset.items, item_id) for item_id in item_ids]
    unknown = [item_id for item_id, row in zip(item_ids, rows, strict=True) if row is None]
    if unknown and not request.ignore_unknown_items:
        raise UnknownItem(unknown)
    is_known_N = np.array([row is not None for row in rows], dtype=bool)
    return Histories(
        # Real users have rows from 1 on, so `or` replaces None alone.
        user_B=np.array([row_of(dataset.users, request.user_id) or UNKNOWN]),
        start_B1=np.array([0, is_known_N.sum()]),
        item_N=np.array([row for row in rows if row is not None], dtype=np.int64),
        time_N=_times(request.timestamps, len(rows))[is_known_N],
        rating_N=rating_rows(request.ratings, len(rows), dataset)[is_known_N],
        request_time_B=np.array([NO_TIME]),
    )


def _given_features(request: Request, dataset: PreparedDataset) -> dict[str, NDArray[Any]]:
    """Features of the request, as the network reads them."""
    given = feature_rows(dataset.user_features, request.user_features or {})
    return {
        name: network_values(dataset.user_features[name][0], value) for name, value in given.items()
    }


def _times(timestamps: Sequence[Any] | None, count: int) -> Ints:
    """Times in seconds, NO_TIME where unknown."""
    if timestamps is None:
        return np.full(count, NO_TIME, dtype=np.int64)
    return np.array([to_seconds(when) for when in timestamps], dtype=np.int64)


def rating_rows(
    ratings: Sequence[float | None] | None, count: int, dataset: PreparedDataset
) -> Ints:
    """Rating rows, NO_RATING where unknown."""
    if ratings is None:
        return np.full(count, NO_RATING)
    if not len(dataset.rating_levels):
        raise UsageError("ratings are given, but the model's data has none; leave them out")
    row_by_level = {level: row for row, level in enumerate(dataset.rating_levels.tolist(), 1)}
    return np.array([_rating_row(row_by_level, rating) for rating in ratings], dtype=np.int64)


def _rating_row(row_by_level: Mapping[float, int], rating: Any) -> int:
    if rating is None:
        return NO_RATING
    is_number = isinstance(rating, int | float) and not isinstance(rating, bool)
    if not is_number or rating not in row_by_level:
        scale = ", ".join(f"{level:g}" for level in row_by_level)
        raise UsageError(f"ratings: {shown(rating)} is not on the scale {scale}")
    return row_by_level[rating]
