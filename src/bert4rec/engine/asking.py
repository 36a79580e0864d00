"""Raw ids to `Histories`: what a caller knows of a user, checked at the edge.

Legend: N events, B users (one here), M values a feature may have.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import Feature, Kind, PreparedDataset
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, RawId

When = int | float | datetime | str


def stored_history(dataset: PreparedDataset, user_id: RawId) -> Histories:
    """All events of a known user."""
    user = user_row(dataset, user_id)
    if user == UNKNOWN:
        raise UnknownUser(user_id)
    user_B = np.array([user])
    return dataset.histories(user_B, np.asarray(dataset.start_U1)[user_B + 1])


def given_history(
    dataset: PreparedDataset,
    user_id: RawId | None,
    item_sequence: Sequence[RawId],
    timestamps: Sequence[When] | None,
    ratings: Sequence[float | None] | None,
    ignore_unknown_items: bool,
) -> Histories:
    """A history that the caller gives, oldest first; of a user who may be new."""
    for name, values in (("timestamps", timestamps), ("ratings", ratings)):
        if values is not None and len(values) != len(item_sequence):
            raise UsageError(f"{len(values)} {name} for {len(item_sequence)} items; give one for each item")
    row_N = [dataset.items.row(plain_id(item_id)) for item_id in item_sequence]
    unknown = [item_id for item_id, row in zip(item_sequence, row_N, strict=True) if row is None]
    if unknown and not ignore_unknown_items:
        raise UnknownItem(unknown)
    kept = [place for place, row in enumerate(row_N) if row is not None]
    time_N = np.full(len(row_N), NO_TIME) if timestamps is None else np.array([seconds(when) for when in timestamps])
    if timestamps is not None and len(row_N) and (np.diff(time_N) < 0).any():
        raise UsageError(
            f"timestamps must not fall: {timestamps[int(np.argmax(np.diff(time_N) < 0)) + 1]!r} comes after a later one"
        )
    return Histories(
        user_B=np.array([UNKNOWN if user_id is None else user_row(dataset, user_id)]),
        start_B1=np.array([0, len(kept)]),
        item_N=np.array([row_N[place] for place in kept], dtype=np.int64),
        time_N=time_N[kept].astype(np.int64),
        rating_N=_rating_rows(dataset, ratings, len(row_N))[kept],
        request_time_B=np.array([NO_TIME]),
    )


def plain_id(raw: Any) -> RawId:
    """An id without numpy's types around it."""
    return raw.item() if isinstance(raw, np.generic) else raw


def user_row(dataset: PreparedDataset, user_id: RawId) -> int:
    """The row of a user, UNKNOWN for a new one."""
    row = dataset.users.row(plain_id(user_id))
    return UNKNOWN if row is None else row


def seconds(when: When | None) -> int:
    """Seconds since 1970 of a number, a datetime (UTC where it has no zone), or the word "now"; NO_TIME for None."""
    if when is None:
        return NO_TIME
    if when == "now":
        return int(time.time())
    if isinstance(when, datetime):
        return int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    if isinstance(when, str) or when < 0:
        raise UsageError(f"{when!r} is no time; give seconds since 1970, a datetime or 'now'")
    return int(when)


def _rating_rows(dataset: PreparedDataset, ratings: Sequence[float | None] | None, count: int) -> Ints:
    if ratings is None:
        return np.full(count, NO_RATING)
    levels = dataset.rating_levels.tolist()
    for rating in ratings:
        if rating is not None and float(rating) not in levels:
            raise UsageError(f"rating {rating!r} is not on the scale {', '.join(f'{level:g}' for level in levels)}")
    return np.array([NO_RATING if rating is None else levels.index(float(rating)) + 1 for rating in ratings])


def feature_rows(dataset: PreparedDataset, given: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Raw demographics to value rows for one user; None means unknown."""
    rows = {}
    for name, value in given.items():
        if name not in dataset.user_features:
            known = ", ".join(dataset.user_features) or "none"
            raise UsageError(f"unknown user feature {name!r}; known are {known}")
        rows[name] = _feature_row(*dataset.user_features[name], value)
    return rows


def _feature_row(feature: Feature, table: Any, value: Any) -> np.ndarray[Any, Any]:
    if feature.kind is Kind.NUMERIC:
        try:
            number = np.nan if value is None else (float(value) - feature.mean) / feature.scale
        except (TypeError, ValueError):
            raise UsageError(f"user feature {feature.name!r} is a number, not {value!r}") from None
        return np.array([number], dtype=np.float32)
    row_of = {str(entry): row for row, entry in enumerate(feature.values, 1)}
    wanted = [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
    for entry in wanted:
        if str(entry) not in row_of:
            shown = ", ".join(map(str, feature.values[:30]))
            raise UsageError(f"user feature {feature.name!r} has no value {entry!r}; known are {shown}")
    row_M = np.zeros(np.asarray(table).shape[1:] or (1,), dtype=np.int64)
    row_M[: len(wanted)] = [row_of[str(entry)] for entry in wanted]
    return row_M[None] if feature.kind is Kind.MULTI else row_M
