"""`Rules`: business rules of a request. `item_rules` resolves them to item rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bert4rec.data.plain_values import plain_count, plain_ids, plain_number, shown
from bert4rec.errors import UsageError
from bert4rec.ids import RawId

MOST_BOOST = 1e9
"""Largest boost, up or down: beside it a score still counts, and sums stay finite."""


@dataclass(frozen=True)
class Rules:
    """Business rules of a request: filters, boosts, caps and MMR re-ranking, applied in this order.

    Raises UsageError for a value that has no meaning.

    >>> rules = Rules(where="year >= 1990", boosts={"'Drama' in genres": 0.7}, deny=[318])
    >>> rules.filters
    'deny and where'
    """

    allow: Sequence[RawId] | None = None
    """Item ids that may be recommended; None allows all."""
    deny: Sequence[RawId] = ()
    """Item ids that may not be recommended."""
    where: str | None = None
    """Condition on the items, `year >= 1990 and 'Comedy' in genres` (see `conditions`)."""
    boosts: Mapping[str, float] = field(default_factory=dict)
    """Logits added to the score of items that meet a condition; +0.7 doubles the odds."""
    at_most: Mapping[str, int] = field(default_factory=dict)
    """Caps by feature name: most items of a list that share a value of the feature."""
    diversity: float = 0.0
    """Weight of diversity in MMR re-ranking, from 0 (scores only) to 1 (dissimilarity only)."""

    def __post_init__(self) -> None:
        def normalise(name: str, value: object) -> None:
            object.__setattr__(self, name, value)

        if self.allow is not None:
            normalise("allow", plain_ids("allow", self.allow, "item ids"))
        deny = () if self.deny is None else self.deny
        normalise("deny", plain_ids("deny", deny, "item ids"))
        if self.where is not None and not isinstance(self.where, str):
            raise UsageError(
                f"where is {shown(self.where)}: it must be a condition like 'year >= 1990'"
            )
        normalise("boosts", {key: _boost(key, value) for key, value in self._pairs("boosts")})
        normalise("at_most", {key: _cap(key, value) for key, value in self._pairs("at_most")})
        normalise("diversity", _diversity(self.diversity))

    def _pairs(self, name: str) -> list[tuple[str, Any]]:
        """Entries of a rule that maps texts to numbers."""
        values = getattr(self, name)
        if not isinstance(values, Mapping):
            raise UsageError(f"{name} is {shown(values)}; give a mapping to numbers")
        for key in values:
            if not isinstance(key, str):
                raise UsageError(f"{name} maps {shown(key)}; give a mapping of texts to numbers")
        return list(values.items())

    @property
    def filters(self) -> str:
        """Names of the filters that are set, as in `allow and where`."""
        is_set = {
            "allow": self.allow is not None,
            "deny": len(self.deny) > 0,
            "where": self.where is not None,
        }
        return " and ".join(name for name in is_set if is_set[name])

    @property
    def rerankers(self) -> str:
        """Names of the re-ranking rules that are set, as in `at_most and diversity`."""
        return " and ".join(name for name in ("at_most", "diversity") if getattr(self, name))

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Rules:
        """Rules of plain values, as JSON has them. Raises UsageError for an unknown rule."""
        known = [entry.name for entry in fields(cls)]
        if not isinstance(values, Mapping):
            raise UsageError(f"rules is {shown(values)}; give a mapping of {', '.join(known)}")
        for name in values:
            if name not in known:
                raise UsageError(f"unknown rule {shown(name)}; there are {', '.join(known)}")
        return cls(**values)


def _boost(condition: str, value: Any) -> float:
    """Boost as a number. Raises UsageError."""
    number = _number(value)
    if number is None or abs(number) > MOST_BOOST:
        raise UsageError(
            f"the boost of {shown(condition)} is {shown(value)}: "
            f"it must be a number, {MOST_BOOST:g} at most"
        )
    return float(number)


def _cap(name: str, value: Any) -> int:
    """Cap as a whole number. Raises UsageError."""
    try:
        return plain_count(value)
    except ValueError:
        raise UsageError(
            f"at_most of {name} is {shown(value)}: it must be a whole number, 1 or more"
        ) from None


def _diversity(value: Any) -> float:
    """Weight of diversity. Raises UsageError."""
    number = _number(value)
    if number is None or not 0 <= number <= 1:
        raise UsageError(f"diversity is {shown(value)}: it must be between 0 and 1")
    return float(number)


def _number(value: Any) -> int | float | None:
    """Number of a value; None for anything else."""
    try:
        return plain_number(value)
    except ValueError:
        return None
