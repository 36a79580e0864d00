"""Flags of a request: user, history, context and business rules, read into a `Request`.

Without postponed annotations: to resolve those, jsonargparse would run the imports for type
checkers, torch among them.
"""

import csv
import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.engine.request import Request
    from bert4rec.ids import RawId
    from bert4rec.retrieval.rules import Rules

Parsed = TypeVar("Parsed")


@dataclass(frozen=True)
class HistoryFlags:
    """History and context of a request."""

    item_sequence: str | None = None
    """Item ids, oldest first, separated by commas; default: the stored history of --user_id."""
    ratings: str | None = None
    """A rating for each item of --item_sequence, separated by commas."""
    timestamps: str | None = None
    """Seconds since 1970 for each item of --item_sequence, separated by commas."""
    request_time: str | None = None
    """Time of the request: seconds since 1970 or 'now'; default: unknown."""
    user_features: str | None = None
    """User features in place of the stored ones: gender=F,age_group=25-34."""
    ignore_unknown_items: bool = False
    """Leave unknown items of --item_sequence out."""
    forget: str | None = None
    """Items of the history, separated by commas, whose events the model ignores."""

    def request(self, dataset: "PreparedDataset", user_id: str | None, **options: Any) -> "Request":
        """Request of the flags; `options` are further fields, such as `k`.

        Raises UsageError for a word that is no id, number or pair.
        """
        from bert4rec.engine.request import Request

        return Request(
            user_id=_parsed(user_id, dataset.users.parse),
            item_sequence=_parsed(self.item_sequence, lambda text: item_ids(text, dataset)),
            ratings=_parsed(self.ratings, _ratings),
            timestamps=_parsed(self.timestamps, _timestamps),
            request_time=self.time(),
            user_features=_parsed(self.user_features, _features),
            ignore_unknown_items=self.ignore_unknown_items,
            forget=item_ids(self.forget or "", dataset),
            **options,
        )

    def time(self) -> int | str | None:
        """Time of the request: seconds or 'now'; None if unknown."""
        if self.request_time in (None, "now"):
            return self.request_time
        return int(_number(str(self.request_time), "request_time"))


@dataclass(frozen=True)
class RuleFlags:
    """Business rules of a request."""

    allow: str | None = None
    """Only these items: ids, separated by commas."""
    deny: str | None = None
    """None of these items: ids, separated by commas."""
    allow_file: Path | None = None
    """Only the items of a file: an id a line, or a column item_id; with --allow, both."""
    deny_file: Path | None = None
    """None of the items of a file: an id a line, or a column item_id."""
    where: str | None = None
    """Only items that meet a condition: "year >= 1990 and 'Comedy' in genres"."""
    boosts: str | None = None
    """Logits added for items that meet a condition: "year > 1999 = 0.5; 'Drama' in genres = -1"."""
    at_most: str | None = None
    """Most items of the list that share a value of a feature: genres=3,year=2."""
    diversity: float = 0.0
    """Weight of diversity in MMR re-ranking, from 0 to 1."""

    def rules(self, dataset: "PreparedDataset") -> "Rules | None":
        """Rules of the flags; None if no flag is set."""
        if self == RuleFlags():
            return None
        from bert4rec.retrieval.rules import Rules

        return Rules(
            allow=_listed_ids(self.allow, self.allow_file, dataset),
            deny=_listed_ids(self.deny, self.deny_file, dataset) or [],
            where=self.where,
            boosts=dict(_boost(word) for word in _conditions(self.boosts or "")),
            at_most=dict(_cap(word) for word in _words(self.at_most or "")),
            diversity=self.diversity,
        )


def item_ids(text: str, dataset: "PreparedDataset") -> "list[RawId]":
    """Item ids separated by commas, in the type of the data; quotes hold an id with commas."""
    try:
        rows = list(csv.reader([text], skipinitialspace=True, strict=True))
    except csv.Error as problem:
        raise UsageError(
            f"{text[:80]!r} is no list of ids separated by commas ({problem})"
        ) from None
    words = [word.strip() for word in chain.from_iterable(rows)]
    return [dataset.items.parse(word) for word in words if word]


def _listed_ids(
    text: str | None, path: Path | None, dataset: "PreparedDataset"
) -> "list[RawId] | None":
    """Item ids of a flag and of a file; None if neither is given."""
    if text is None and path is None:
        return None
    from bert4rec.cli.id_lists import read_ids

    of_file = [] if path is None else read_ids(path, dataset.items, ["item_id"])
    return [*item_ids(text or "", dataset), *of_file]


def _conditions(text: str) -> list[str]:
    """Words of --boosts; a semicolon within a text or a name separates nothing."""
    from bert4rec.retrieval.conditions import outside_texts

    words = (word.strip() for word in outside_texts(text, ";"))
    return [word for word in words if word]


def _parsed(text: str | None, parse: Callable[[str], Parsed]) -> Parsed | None:
    """Value of a flag; None if the flag is not given."""
    return None if text is None else parse(text)


def _words(text: str, separator: str = ",") -> list[str]:
    words = (word.strip() for word in text.split(separator))
    return [word for word in words if word]


def _ratings(text: str) -> list[float]:
    return [_number(word, "ratings") for word in _words(text)]


def _timestamps(text: str) -> list[int]:
    return [int(_number(word, "timestamps")) for word in _words(text)]


def _features(text: str) -> dict[str, str]:
    return dict(_pair(word, "user_features") for word in _words(text))


def _boost(word: str) -> tuple[str, float]:
    # The last "=" separates: a condition may hold others.
    condition, _, number = word.rpartition("=")
    if not condition:
        raise UsageError(f"--boosts: {word!r} is not of the form CONDITION = NUMBER")
    return condition.strip(), _number(number.strip(), "boosts")


def _cap(word: str) -> tuple[str, int]:
    name, number = _pair(word, "at_most")
    if not number.isdecimal():
        raise UsageError(f"--at_most: {number!r} is not a whole number")
    return name, int(number)


def _number(word: str, flag: str) -> float:
    try:
        number = float(word)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UsageError(f"--{flag}: {word!r} is not a number")
    return number


def _pair(word: str, flag: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise UsageError(f"--{flag}: {word!r} is not of the form name=value")
    return name.strip(), value.strip()
