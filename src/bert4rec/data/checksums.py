"""Checksums of a dataset: of its events, and of its titles and features. Needs numpy alone.

Two datasets with the same events may differ in their features: a model learns from both, so runs,
reports and model folders name both checksums.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.features import FeatureTable
from bert4rec.ids import RawId

LENGTH = 16
"""Characters of a checksum, of the 64 of a SHA-256."""


def events_checksum(
    event_arrays: Iterable[NDArray[Any]],
    user_ids: Sequence[RawId],
    item_ids: Sequence[RawId],
    rating_levels: Sequence[float],
) -> str:
    """Checksum of the events in their order, and of their raw ids."""
    digest = hashlib.sha256()
    for array in event_arrays:
        digest.update(np.ascontiguousarray(array).tobytes())
    ids = {"users": list(user_ids), "items": list(item_ids), "levels": list(rating_levels)}
    digest.update(_json(ids))
    return digest.hexdigest()[:LENGTH]


def features_checksum(
    titles: Sequence[str] | None,
    item_features: Iterable[FeatureTable],
    user_features: Iterable[FeatureTable],
) -> str:
    """Checksum of titles, and of the features' declarations, values and tables in row order."""
    digest = hashlib.sha256(_json(None if titles is None else list(titles)))
    for owner, features in {"item": item_features, "user": user_features}.items():
        for feature, table in features:
            digest.update(_json([owner, asdict(feature), list(table.shape)]))
            digest.update(_canonical(table).tobytes())
    return digest.hexdigest()[:LENGTH]


def _canonical(table: NDArray[Any]) -> NDArray[Any]:
    """Table whose bytes are equal where its values are."""
    is_number = table.dtype.kind == "f"
    return np.ascontiguousarray(table, dtype=np.float64 if is_number else np.int64)


def _json(content: Sequence[Any] | Mapping[str, Any] | None) -> bytes:
    return json.dumps(content, ensure_ascii=False).encode(errors="surrogatepass")
