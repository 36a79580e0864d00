"""`Request`: one request to the engine, checked as far as it can be without a model.

`histories` looks up its ids in a dataset and checks the rest.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Any, TypedDict

import numpy as np

from bert4rec.data.plain_values import (
    plain,
    plain_list,
    plain_number,
    plain_switch,
    shown,
)
from bert4rec.errors import UsageError
from bert4rec.ids import NO_TIME, YEAR_3000, RawId
from bert4rec.retrieval.rules import Rules

When = int | float | date | datetime | str
"""Seconds since 1970, a date or a datetime (UTC if it has no zone), or the word "now"."""

_LIKE_DATE = re.compile(r"(19|2\d)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])")
"""Digits like 20240531: as seconds they would lie in 1970."""


class RequestOptions(TypedDict, total=False):
    """Keyword arguments of the engine that go into a `Request`, which describes them."""

    timestamps: Sequence[When | None] | None
    ratings: Sequence[float | None] | None
    request_time: When | None
    user_features: Mapping[str, Any] | None
    ignore_unknown_items: bool
    forget: Sequence[RawId]


@dataclass(frozen=True)
class Request:
    """User, history and context of one request, and the list that it asks for.

    Raises UsageError for a value that has no meaning: a history without a user, timestamps that
    fall, a `k` below 1. Ids, ratings and features that the model does not know are found later,
    by the engine.

    >>> request = Request(user_id=2, item_sequence=[104, 108], ratings=[5, None])
    >>> request.k, request.filter_seen, request.item_sequence
    (10, True, (104, 108))
    """

    user_id: RawId | None = None
    """Raw user id; None for a cold-start user."""
    item_sequence: Sequence[RawId] | None = None
    """History as raw item ids, oldest first; None takes the user's stored history."""
    k: int = 10
    """Length of the list."""
    filter_seen: bool = True
    """True leaves the items of the history out of the list."""
    timestamps: Sequence[When | None] | None = None
    """Time of each item of `item_sequence`, None where unknown."""
    ratings: Sequence[float | None] | None = None
    """Rating of each item of `item_sequence` on the data's scale, None where unknown."""
    request_time: When | None = None
    """Time of the request; None if unknown, which the model was trained for too."""
    user_features: Mapping[str, Any] | None = None
    """Raw values (`{"gender": "F"}`) in place of the stored ones; a value of None means unknown."""
    ignore_unknown_items: bool = False
    """True drops unknown items from `item_sequence`, with their times and ratings."""
    forget: Sequence[RawId] = ()
    """Items whose events the model ignores; they stay seen."""
    rules: Rules | None = None
    """Business rules of the list; None for a list without `moves`."""

    def __post_init__(self) -> None:
        def normalise(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        normalise("k", check_count("k", self.k))
        normalise("filter_seen", plain_switch("filter_seen", self.filter_seen))
        ignore = plain_switch("ignore_unknown_items", self.ignore_unknown_items)
        normalise("ignore_unknown_items", ignore)
        normalise("user_id", plain(self.user_id))
        if self.item_sequence is not None:
            item_ids = plain_list("item_sequence", self.item_sequence, "item ids")
            normalise("item_sequence", tuple(item_ids))
        forget = () if self.forget is None else self.forget
        normalise("forget", tuple(plain_list("forget", forget, "item ids")))
        normalise("rules", to_rules(self.rules))
        if self.user_features is not None and not isinstance(self.user_features, Mapping):
            raise UsageError(
                f"user_features is {shown(self.user_features)}; give a mapping of names to values"
            )
        if self.item_sequence is None and self.user_id is None:
            if not self.user_features:
                raise UsageError(
                    "pass a user_id, an item_sequence, or both; "
                    "for a cold-start user user_features are enough"
                )
            normalise("item_sequence", ())
        normalise("timestamps", _rising_times(self._one_per_item("timestamps", "times")))
        normalise("ratings", _numbers(self._one_per_item("ratings", "numbers")))
        if self.request_time is not None:
            seconds = to_seconds(self.request_time)
            normalise("request_time", None if seconds == NO_TIME else seconds)

    def _one_per_item(self, name: str, what: str) -> list[Any] | None:
        """Values of a field that holds one value for each item of the sequence."""
        if getattr(self, name) is None:
            return None
        if self.item_sequence is None:
            raise UsageError("timestamps and ratings go with an item_sequence")
        values = plain_list(name, getattr(self, name), what)
        count = len(self.item_sequence)
        if len(values) != count:
            raise UsageError(f"{len(values)} {name} for {count} items; give one for each item")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Request of plain values, as JSON has them. Raises UsageError for an unknown field."""
        known = [entry.name for entry in fields(cls)]
        if not isinstance(values, Mapping):
            raise UsageError(
                f"the request is {shown(values)}; give a mapping of {', '.join(known)}"
            )
        for name in values:
            if name not in known:
                raise UsageError(f"unknown field {shown(name)}; a request has {', '.join(known)}")
        return cls(**values)


def to_rules(rules: Rules | Mapping[str, Any] | None) -> Rules | None:
    """Rules from a mapping of their names; None stays None."""
    if rules is None or isinstance(rules, Rules):
        return rules
    return Rules.from_dict(rules)


def to_seconds(when: When | None) -> int:
    """Seconds since 1970; NO_TIME for None. Raises UsageError for a value that is no time.

    >>> to_seconds(datetime(2001, 1, 1, 12)), to_seconds("2001-01-01T12:00")
    (978350400, 978350400)
    """
    when = plain(when)
    if when is None:
        return NO_TIME
    if isinstance(when, str) and when.strip() == "now":
        return int(time.time())
    seconds = _plain_seconds(when)
    if not 0 <= seconds < YEAR_3000:
        raise UsageError(
            f"{shown(when)} is no time; give seconds since 1970, a date, a datetime or 'now'"
        )
    return int(seconds)


def _plain_seconds(when: Any) -> float:
    """Seconds of a number, a date or a datetime, also as text; NaN for anything else."""
    if isinstance(when, np.datetime64):
        return float(when.astype("datetime64[s]").astype(np.int64))
    if isinstance(when, datetime):
        moment = when if when.tzinfo else when.replace(tzinfo=UTC)
        return moment.timestamp()
    if isinstance(when, date):
        return datetime(when.year, when.month, when.day, tzinfo=UTC).timestamp()
    if isinstance(when, str) and _LIKE_DATE.fullmatch(when.strip()):
        raise UsageError(f"{shown(when)} may be a date or seconds; write dates as 2024-05-31")
    try:
        number = plain_number(when)
    except ValueError:
        return _seconds_of_text(when) if isinstance(when, str) else math.nan
    return math.nan if number is None else float(number)


def _seconds_of_text(text: str) -> float:
    """Seconds of a date like 2024-05-31 or 2024-05-31T18:30:00+02:00; NaN for any other text."""
    try:
        return _plain_seconds(datetime.fromisoformat(text.strip()))
    except ValueError:
        return math.nan


def check_count(name: str, value: Any) -> int:
    """Whole number from 1 on. Raises UsageError for anything else."""
    count = plain(value)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError(f"{name} is {shown(value)}: it must be a whole number, 1 or more")
    return count


def _numbers(ratings: Sequence[Any] | None) -> tuple[float | None, ...] | None:
    """Ratings as numbers, None where missing; others stay, for the scale to refuse."""
    return None if ratings is None else tuple(map(_number, ratings))


def _number(rating: Any) -> Any:
    try:
        return plain_number(rating)
    except ValueError:
        return rating


def _rising_times(timestamps: Sequence[When | None] | None) -> tuple[int | None, ...] | None:
    """Times in seconds. Raises UsageError if one is earlier than the one before."""
    if timestamps is None:
        return None
    times = tuple(None if when is None else to_seconds(when) for when in timestamps)
    known = [second for second in times if second is not None]
    for before, after in pairwise(known):
        if after < before:
            raise UsageError(
                f"timestamps must not fall, oldest first: {after} comes after {before}; "
                "sort item_sequence, timestamps and ratings by time"
            )
    return times
