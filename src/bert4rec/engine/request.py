"""`Request`: one request to the engine, checked as far as it can be without a model.

`histories` looks up its ids in a dataset and checks the rest.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from itertools import pairwise
from numbers import Real
from typing import Any, TypedDict

import numpy as np

from bert4rec.engine.raw_values import plain_id
from bert4rec.errors import UsageError
from bert4rec.ids import NO_TIME, YEAR_3000, RawId
from bert4rec.retrieval.rules import Rules

When = int | float | datetime | str
"""Seconds since 1970, a datetime (UTC if it has no zone) or the word "now"."""


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
        normalise("user_id", plain_id(self.user_id))
        normalise("item_sequence", _item_ids("item_sequence", self.item_sequence))
        normalise("forget", _item_ids("forget", self.forget) or ())
        normalise("rules", to_rules(self.rules))
        if self.user_features is not None and not isinstance(self.user_features, Mapping):
            raise UsageError(
                f"user_features is {self.user_features!r}; give a mapping of names to values"
            )
        if self.item_sequence is None and self.user_id is None:
            if not self.user_features:
                raise UsageError(
                    "pass a user_id, an item_sequence, or both; "
                    "for a cold-start user user_features are enough"
                )
            normalise("item_sequence", ())
        normalise("timestamps", _rising_times(self._one_per_item("timestamps")))
        normalise("ratings", self._one_per_item("ratings"))
        if self.request_time is not None:
            normalise("request_time", to_seconds(self.request_time))

    def _one_per_item(self, name: str) -> tuple[Any, ...] | None:
        """Values of a field that holds one value for each item of the sequence."""
        if getattr(self, name) is None:
            return None
        if self.item_sequence is None:
            raise UsageError("timestamps and ratings go with an item_sequence")
        values = tuple(getattr(self, name))
        count = len(self.item_sequence)
        if len(values) != count:
            raise UsageError(f"{len(values)} {name} for {count} items; give one for each item")
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Request:
        """Request of plain values, as JSON has them. Raises UsageError for an unknown field."""
        known = [entry.name for entry in fields(cls)]
        for name in values:
            if name not in known:
                raise UsageError(f"unknown field {name!r}; a request has {', '.join(known)}")
        return cls(**values)


def to_rules(rules: Rules | Mapping[str, Any] | None) -> Rules | None:
    """Rules from a mapping of their names; None stays None."""
    if rules is None or isinstance(rules, Rules):
        return rules
    return Rules.from_dict(rules)


def to_seconds(when: When | None) -> int:
    """Seconds since 1970; NO_TIME for None. Raises UsageError for a value that is no time.

    >>> to_seconds(datetime(2001, 1, 1, 12))
    978350400
    """
    if when is None:
        return NO_TIME
    if isinstance(when, str) and when == "now":
        return int(time.time())
    seconds = _plain_seconds(when)
    if not 0 <= seconds < YEAR_3000:
        raise UsageError(f"{when!r} is no time; give seconds since 1970, a datetime or 'now'")
    return int(seconds)


def _plain_seconds(when: Any) -> float:
    """Seconds of a number or a datetime; NaN for anything else."""
    if isinstance(when, datetime):
        moment = when if when.tzinfo else when.replace(tzinfo=UTC)
        return moment.timestamp()
    if isinstance(when, Real) and not isinstance(when, bool):
        return float(when)
    return math.nan


def check_count(name: str, value: Any) -> int:
    """Whole number from 1 on. Raises UsageError for anything else."""
    is_whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_whole or value < 1:
        raise UsageError(f"{name} is {value!r}: it must be a whole number, 1 or more")
    return int(value)


def _item_ids(name: str, item_ids: Iterable[Any] | None) -> tuple[Any, ...] | None:
    if item_ids is None:
        return None
    if isinstance(item_ids, str | bytes):
        raise UsageError(f"{name} is the text {item_ids!r}; give a list of item ids")
    return tuple(plain_id(item_id) for item_id in item_ids)


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
