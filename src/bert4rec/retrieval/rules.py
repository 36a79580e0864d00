"""`Rules`: business rules of a request. `item_rules` resolves them to item rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from bert4rec.errors import UsageError
from bert4rec.ids import RawId


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
        for name in ("boosts", "at_most"):
            if not isinstance(getattr(self, name), Mapping):
                raise UsageError(f"{name} is {getattr(self, name)!r}; give a mapping to numbers")
        if not _is_finite(self.diversity) or not 0 <= self.diversity <= 1:
            raise UsageError(f"diversity is {self.diversity!r}: it must be between 0 and 1")
        for name, cap in self.at_most.items():
            if not _is_count(cap):
                raise UsageError(
                    f"at_most of {name} is {cap!r}: it must be a whole number, 1 or more"
                )
        for condition, boost in self.boosts.items():
            if not _is_finite(boost):
                raise UsageError(f"the boost of {condition!r} is {boost!r}: it must be a number")

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
            raise UsageError(f"rules is {values!r}; give a mapping of {', '.join(known)}")
        for name in values:
            if name not in known:
                raise UsageError(f"unknown rule {name!r}; there are {', '.join(known)}")
        return cls(**values)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_finite(value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and math.isfinite(value)
