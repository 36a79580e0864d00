"""Datasets of numbered events in any order, with their manifest. Needs numpy alone.

Legend: N events, U user rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints, offsets
from bert4rec.data.checksums import events_checksum, features_checksum
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.data.features import FeatureTable
from bert4rec.data.prepared_folder import EVENT_ARRAYS
from bert4rec.ids import FIRST_USER, NO_TIME, RawId


@dataclass(frozen=True)
class NumberedTables:
    """Events, ids and features by row number: the content of a dataset, the events in any order."""

    name: str
    user_N: Ints
    """User rows; events of one user and time keep their order."""
    item_N: Ints
    """Item rows."""
    time_N: Ints
    """Seconds since 1970; NO_TIME for all events without times."""
    rating_N: Ints
    """Rating rows; NO_RATING without a rating."""
    rating_levels: Sequence[float]
    """Rating scale in ascending order."""
    user_ids: Sequence[RawId]
    """Raw ids in row order, from the first real user."""
    item_ids: Sequence[RawId]
    """Raw ids in row order, from the first real item."""
    titles: Sequence[str] | None = None
    """Titles of the items in row order."""
    item_features: Sequence[FeatureTable] = ()
    """Features and their tables over item rows."""
    user_features: Sequence[FeatureTable] = ()
    """Features and their tables over user rows."""
    ties: str = "file"
    """Order of events of one user and time: 'file' or 'shuffled'."""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """Further facts for the manifest: source, settings, cleaning."""


def build_dataset(tables: NumberedTables) -> PreparedDataset:
    """Dataset in memory, its events sorted by (user, time); `save` writes it to a folder."""
    arrays = {
        **_sorted_events(tables),
        **_feature_arrays("item", tables.item_features),
        **_feature_arrays("user", tables.user_features),
    }
    vocabularies = Vocabularies.from_lists(tables.item_ids, tables.user_ids, tables.titles)
    return PreparedDataset.from_arrays(_manifest(tables, arrays), arrays, None, vocabularies)


def _sorted_events(tables: NumberedTables) -> dict[str, NDArray[Any]]:
    # The last key is the first criterion. The sort is stable, so that ties keep their order.
    order_N = np.lexsort((tables.time_N, tables.user_N))
    count_U = np.bincount(tables.user_N, minlength=len(tables.user_ids) + FIRST_USER)
    return {
        "user_start": offsets(count_U).astype(np.int64),
        "event_item": tables.item_N[order_N].astype(np.int32),
        "event_time": tables.time_N[order_N].astype(np.int64),
        "event_rating": tables.rating_N[order_N].astype(np.uint8),
    }


def _feature_arrays(owner: str, features: Sequence[FeatureTable]) -> dict[str, NDArray[Any]]:
    return {f"{owner}_feature_{number}": table for number, (_, table) in enumerate(features)}


def _manifest(tables: NumberedTables, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    time_N = arrays["event_time"]
    return {
        "name": tables.name,
        "checksum": events_checksum(
            [arrays[name] for name in EVENT_ARRAYS],
            tables.user_ids,
            tables.item_ids,
            tables.rating_levels,
        ),
        "features_checksum": features_checksum(
            tables.titles, tables.item_features, tables.user_features
        ),
        "num_users": len(tables.user_ids),
        "num_items": len(tables.item_ids),
        "num_events": len(time_N),
        "has_times": len(time_N) > 0 and bool((time_N != NO_TIME).all()),
        "rating_levels": list(tables.rating_levels),
        "item_features": [asdict(feature) for feature, _ in tables.item_features],
        "user_features": [asdict(feature) for feature, _ in tables.user_features],
        "ties": tables.ties,
        **tables.notes,
    }
