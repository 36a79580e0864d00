"""Sizes of the tables that a network is built for.

Legend: M values of one row of a multi-valued feature.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from numpy.typing import NDArray

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, FeatureTables, Kind


@dataclass(frozen=True)
class FeatureSize:
    """Size of one feature table."""

    name: str
    kind: Kind
    rows: int
    """Value rows, the unknown value included; 1 for numbers."""
    width: int = 1
    """M of a multi-valued feature; else 1."""


@dataclass(frozen=True)
class TableSizes:
    """Sizes of the item, user and feature tables of a dataset."""

    item_rows: int
    """Item rows, PAD and MASK included."""
    user_rows: int
    """User rows, the unknown user included."""
    rating_levels: int
    """Rating levels; 0 for data without ratings."""
    item_features: tuple[FeatureSize, ...] = ()
    user_features: tuple[FeatureSize, ...] = ()

    @classmethod
    def of(cls, dataset: PreparedDataset) -> TableSizes:
        """Sizes of a prepared dataset."""
        return cls(
            item_rows=dataset.item_rows,
            user_rows=dataset.user_rows,
            rating_levels=len(dataset.rating_levels),
            item_features=_feature_sizes(dataset.item_features),
            user_features=_feature_sizes(dataset.user_features),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TableSizes:
        """Sizes that `to_dict` described."""
        return cls(
            item_rows=values["item_rows"],
            user_rows=values["user_rows"],
            rating_levels=values["rating_levels"],
            item_features=tuple(map(_feature_size_from, values["item_features"])),
            user_features=tuple(map(_feature_size_from, values["user_features"])),
        )


def _feature_sizes(features: FeatureTables) -> tuple[FeatureSize, ...]:
    return tuple(_feature_size(feature, table) for feature, table in features.values())


def _feature_size(feature: Feature, table: NDArray[Any]) -> FeatureSize:
    width = table.shape[1] if table.ndim > 1 else 1
    return FeatureSize(feature.name, feature.kind, feature.rows, width)


def _feature_size_from(values: Mapping[str, Any]) -> FeatureSize:
    return FeatureSize(**{**values, "kind": Kind(values["kind"])})
