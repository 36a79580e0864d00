"""Raw ids to `Histories`: what a caller knows of a user, checked at the edge.

Legend: N events, B users (one here), M values a feature may have.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from numbers import Real
from typing import Any

import numpy as np

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.histories import Histories
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, YEAR_3000, RawId, Vocabulary

When = int | float | datetime | str

SHOWN_VALUES = 30
"""How many known values an error lists."""


def stored_history(dataset: PreparedDataset, user_id: RawId) -> Histories:
    """All events of a known user."""
    user = known_row(dataset.users, user_id)
    if user is None:
        raise UnknownUser(plain_id(user_id))
    user_B = np.array([user])
    return dataset.histories(user_B, np.asarray(dataset.start_U1)[user_B + 1])


def given_history(
    dataset: PreparedDataset,
    user_id: RawId | None,
    item_sequence: Sequence[RawId],
    timestamps: Sequence[When | None] | None,
    ratings: Sequence[float | None] | None,
    ignore_unknown_items: bool,
) -> Histories:
    """A history that the caller gives, oldest first; of a user who may be new."""
    if isinstance(item_sequence, (str, bytes)):
        raise UsageError(f"item_sequence is the text {item_sequence!r}; give a list of item ids")
    item_ids = list(item_sequence)
    for name, values in (("timestamps", timestamps), ("ratings", ratings)):
        if values is not None and len(values) != len(item_ids):
            raise UsageError(
                f"{len(values)} {name} for {len(item_ids)} items; give one for each item"
            )
    row_N = [known_row(dataset.items, item_id) for item_id in item_ids]
    unknown = [
        plain_id(item_id) for item_id, row in zip(item_ids, row_N, strict=True) if row is None
    ]
    if unknown and not ignore_unknown_items:
        raise UnknownItem(unknown)
    kept_N = np.array([row is not None for row in row_N], dtype=bool)
    return Histories(
        user_B=np.array(
            [UNKNOWN if user_id is None else known_row(dataset.users, user_id) or UNKNOWN]
        ),
        start_B1=np.array([0, kept_N.sum()]),
        item_N=np.array([row for row in row_N if row is not None], dtype=np.int64),
        time_N=_times(timestamps, len(item_ids))[kept_N],
        rating_N=_rating_rows(dataset, ratings, len(item_ids))[kept_N],
        request_time_B=np.array([NO_TIME]),
    )


def forgotten(dataset: PreparedDataset, history: Histories, items: Sequence[RawId]) -> Histories:
    """The history of one user without the events of some items, which must be in it."""
    row_X = [known_row(dataset.items, item) for item in items]
    unknown = [plain_id(item) for item, row in zip(items, row_X, strict=True) if row is None]
    if unknown:
        raise UnknownItem(unknown)
    absent = [
        plain_id(item) for item, row in zip(items, row_X, strict=True) if row not in history.item_N
    ]
    if absent:
        raise UsageError(
            f"forget: {', '.join(map(str, absent))} cannot be forgotten: not in the history"
        )
    return history.without_items(np.array(row_X))


def plain_id(raw: Any) -> Any:
    """An id without numpy's types around it."""
    return raw.item() if isinstance(raw, np.generic) else raw


def known_row(vocabulary: Vocabulary, raw: Any) -> int | None:
    """The row of a raw id, None where it is unknown. Only the data's own type is known: neither '7' nor 7.0 is 7."""
    raw = plain_id(raw)
    return vocabulary.row(raw) if type(raw) in (int, str) else None


def seconds(when: When | None) -> int:
    """Seconds since 1970 of a number, a datetime (UTC where it has no zone), or the word "now"; NO_TIME for None."""
    if when is None:
        return NO_TIME
    if isinstance(when, str) and when == "now":
        return int(time.time())
    second = _plain_seconds(when)
    if not 0 <= second < YEAR_3000:
        raise UsageError(f"{when!r} is no time; give seconds since 1970, a datetime or 'now'")
    return int(second)


def _plain_seconds(when: Any) -> float:
    """NaN where it is no moment at all."""
    if isinstance(when, datetime):
        return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    return when if isinstance(when, Real) and not isinstance(when, bool) else math.nan  # type: ignore[return-value]


def _times(timestamps: Sequence[When | None] | None, count: int) -> Ints:
    if timestamps is None:
        return np.full(count, NO_TIME, dtype=np.int64)
    time_N = np.array([seconds(when) for when in timestamps], dtype=np.int64)
    known_N = time_N[time_N != NO_TIME]
    fallen_N = np.diff(known_N) < 0
    if fallen_N.any():
        place = int(np.argmax(fallen_N))
        raise UsageError(
            f"timestamps must not fall, oldest first: {known_N[place + 1]} comes after {known_N[place]}; "
            "sort item_sequence, timestamps and ratings by time"
        )
    return time_N


def _rating_rows(
    dataset: PreparedDataset, ratings: Sequence[float | None] | None, count: int
) -> Ints:
    if ratings is None:
        return np.full(count, NO_RATING)
    if not len(dataset.rating_levels):
        raise UsageError("ratings are given, but the model's data has none; leave them out")
    row_of = {level: row for row, level in enumerate(dataset.rating_levels.tolist(), 1)}
    return np.array([_rating_row(row_of, rating) for rating in ratings], dtype=np.int64)


def _rating_row(row_of: Mapping[float, int], rating: Any) -> int:
    if rating is None:
        return NO_RATING
    if not isinstance(rating, Real) or float(rating) not in row_of:
        raise UsageError(
            f"rating {rating!r} is not on the scale {', '.join(f'{level:g}' for level in row_of)}"
        )
    return row_of[float(rating)]


def feature_rows(
    features: Mapping[str, tuple[Feature, np.ndarray[Any, Any]]],
    given: Mapping[str, Any],
    what: str = "user feature",
) -> dict[str, np.ndarray[Any, Any]]:
    """Raw features to value rows for one user or item; None means unknown. `what` they are is said in errors."""
    if not isinstance(given, Mapping):
        raise UsageError(
            f"{what.replace(' ', '_')}s is {given!r}; give a mapping of names to values"
        )
    rows = {}
    for name, value in given.items():
        if name not in features:
            raise UsageError(f"unknown {what} {name!r}; known are {', '.join(features) or 'none'}")
        rows[name] = _feature_row(*features[name], value, what)
    return rows


def _feature_row(
    feature: Feature, table: np.ndarray[Any, Any], value: Any, what: str
) -> np.ndarray[Any, Any]:
    if feature.kind is Kind.NUMERIC:
        return _number(feature, value, what)
    wanted = (
        [] if value is None else list(value) if isinstance(value, (list, tuple, set)) else [value]
    )
    if feature.kind is Kind.CATEGORICAL and len(wanted) > 1:
        raise UsageError(f"{what} {feature.name!r} holds one value, not {value!r}")
    rows = sorted({_value_row(feature, entry, what) for entry in wanted})
    if feature.kind is Kind.CATEGORICAL:
        return np.array(rows or [UNKNOWN])
    width = max(table.shape[1], len(rows))
    return np.array([rows + [UNKNOWN] * (width - len(rows))])


def _value_row(feature: Feature, value: Any, what: str) -> int:
    """By the value's text, so that a command line's '7' is the data's 7."""
    texts = [str(known) for known in feature.values]
    if str(value) not in texts:
        shown = ", ".join(texts[:SHOWN_VALUES]) + (", …" if len(texts) > SHOWN_VALUES else "")
        raise UsageError(f"{what} {feature.name!r} has no value {value!r}; known are {shown}")
    return texts.index(str(value)) + 1


def _number(feature: Feature, value: Any, what: str) -> np.ndarray[Any, Any]:
    try:
        number = math.nan if value is None else float(value)
    except (TypeError, ValueError):
        number = math.inf
    if math.isinf(number):
        raise UsageError(f"{what} {feature.name!r} is a number, not {value!r}")
    return np.array([(number - feature.mean) / feature.scale], dtype=np.float32)
