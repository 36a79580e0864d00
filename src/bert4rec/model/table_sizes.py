"""`TableSizes`: what a network must know of its data before it sees any: the sizes of its tables.

Legend: V item rows, U user rows, M values a row may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind


@dataclass(frozen=True)
class FeatureSize:
    """The size of one feature table."""

    name: str
    kind: Kind
    rows: int
    """Value rows, the unknown one included; 1 for numbers."""
    width: int = 1
    """M for multi-valued features."""


@dataclass(frozen=True)
class TableSizes:
    """The sizes of every table."""

    item_rows: int
    user_rows: int
    rating_levels: int
    """0 where there are no ratings."""
    item_features: tuple[FeatureSize, ...] = ()
    user_features: tuple[FeatureSize, ...] = ()

    @classmethod
    def of(cls, dataset: PreparedDataset) -> TableSizes:
        """The sizes of a prepared dataset."""
        return cls(
            item_rows=dataset.item_rows,
            user_rows=dataset.user_rows,
            rating_levels=len(dataset.rating_levels),
            item_features=_sizes(dataset.item_features),
            user_features=_sizes(dataset.user_features),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableSizes:
        """The specification that `to_dict` described."""
        features = {
            owner: tuple(
                FeatureSize(**{**entry, "kind": Kind(entry["kind"])}) for entry in values[owner]
            )
            for owner in ("item_features", "user_features")
        }
        return cls(**{**values, **features})


def _sizes(features: Mapping[str, tuple[Feature, NDArray[Any]]]) -> tuple[FeatureSize, ...]:
    return tuple(
        FeatureSize(
            feature.name, feature.kind, feature.rows, table.shape[1] if table.ndim > 1 else 1
        )
        for feature, table in features.values()
    )
