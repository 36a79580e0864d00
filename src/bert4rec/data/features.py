"""`Feature`: one column of item metadata or user features, and the kind of its values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.ids import RawId


class Kind(StrEnum):
    """Kind of a feature's values, and layout of its table over item or user rows."""

    CATEGORICAL = "categorical"
    """One value per row: int32 `[rows]`, 0 where unknown."""
    MULTI = "multi"
    """Up to M values per row: int32 `[rows, M]`, filled up with 0."""
    NUMERIC = "numeric"
    """One number per row as it was given: float64 `[rows]`, NaN where unknown."""


@dataclass(frozen=True)
class Feature:
    """Description of one feature of items or users."""

    name: str
    kind: Kind
    values: Sequence[RawId] = ()
    """Known values in the order of their value rows, from row 1; empty for a numeric feature."""
    labels: Mapping[str, str] | None = None
    """Descriptions by the value's text (`{'7': 'executive/managerial'}`)."""
    mean: float = 0.0
    scale: float = 1.0
    """Standardisation of a numeric feature: the network reads (number − mean) / scale."""
    is_whole: bool = False
    """True for a numeric feature whose known numbers are all whole ones."""

    @property
    def rows(self) -> int:
        """Rows of an embedding table of this feature, the unknown one included."""
        return len(self.values) + 1

    @property
    def decades(self) -> list[int]:
        """Decades of the values in ascending order; empty unless every value is a year."""
        if not all(isinstance(value, int) and 1800 <= value < 2200 for value in self.values):
            return []
        return sorted({int(value) // 10 * 10 for value in self.values})

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Feature:
        """Inverse of `dataclasses.asdict`."""
        return cls(**{**entry, "kind": Kind(entry["kind"])})


LARGEST_NUMBER = 2**53
"""Largest absolute number of a numeric feature: float64 holds every whole number up to it."""


FeatureTable = tuple[Feature, NDArray[Any]]
"""Feature, and its table `[rows]` or `[rows, M]` over items or users; reserved rows are unknown."""
FeatureTables = Mapping[str, FeatureTable]
"""Features and their tables by feature name."""


def network_values(feature: Feature, table: NDArray[Any]) -> NDArray[Any]:
    """Values as the network reads them: value rows as they are, numbers standardised in float32."""
    if feature.kind is not Kind.NUMERIC:
        return np.asarray(table)
    standard = (np.asarray(table, dtype=np.float64) - feature.mean) / feature.scale
    return standard.astype(np.float32)
