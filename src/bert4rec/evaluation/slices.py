"""The same metrics for parts of the users: short and long histories, rare and popular items, every demographic value.

Legend: C cases (users).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from bert4rec.data.histories import Ints
from bert4rec.data.prepared import Feature, Kind, PreparedDataset
from bert4rec.data.splits import Cases, Split
from bert4rec.evaluation.lists import item_popularity
from bert4rec.evaluation.metrics import place_metrics
from bert4rec.ids import UNKNOWN

LENGTHS = (20, 50, 100, 200)
POPULARITY = {"most popular 10 %": 0.9, "next 40 %": 0.5, "least popular 50 %": 0.0}
"""Items by the share of the others that have fewer training events: name to the lowest share."""
MOST_VALUES = 30
"""A feature with more values than this is no slice, unless its values are years."""


def slices(dataset: PreparedDataset, split: Split, asked: Cases, place_C: Ints) -> dict[str, list[dict[str, Any]]]:
    """For each way to part the cases its parts: value, users, hit@10 and ndcg@10."""
    metrics = place_metrics(place_C)
    parted: dict[str, list[dict[str, Any]]] = {}
    for name, value, mask_C in _parts(dataset, split, asked):
        if mask_C.any():
            means = {metric: float(metrics[metric][mask_C].mean()) for metric in ("hit@10", "ndcg@10")}
            parted.setdefault(name, []).append({"value": value, "users": int(mask_C.sum()), **means})
    return parted


def _parts(dataset: PreparedDataset, split: Split, asked: Cases) -> Iterator[tuple[str, str, Any]]:
    length_C = asked.target_C - asked.start_C
    edges = [0, *LENGTHS, np.iinfo(np.int64).max]
    for low, high in pairwise(edges):
        label = f"{low}–{high - 1}" if high <= LENGTHS[-1] else f"{low} and more"
        yield "history length", label, (length_C >= low) & (length_C < high)
    item_C = np.asarray(dataset.item_N[asked.target_C])
    popularity_C = item_popularity(dataset, split)[item_C]
    above = np.inf
    for label, lowest in POPULARITY.items():
        yield "item popularity", label, (popularity_C >= lowest) & (popularity_C < above)
        above = lowest
    for feature, table in dataset.user_features.values():
        if feature.kind is Kind.CATEGORICAL and feature.rows <= MOST_VALUES:
            yield from _by_value(feature, np.asarray(table)[asked.user_C])
    for feature, table in dataset.item_features.values():
        if feature.kind is Kind.CATEGORICAL:
            yield from _by_value_or_decade(feature, np.asarray(table)[item_C])


def _by_value(feature: Feature, value_C: Ints) -> Iterator[tuple[str, str, Any]]:
    for row, value in enumerate(feature.values, 1):
        yield feature.name, (feature.labels or {}).get(str(value), str(value)), value_C == row
    yield feature.name, "unknown", value_C == UNKNOWN


def _by_value_or_decade(feature: Feature, value_C: Ints) -> Iterator[tuple[str, str, Any]]:
    years = [value for value in feature.values if isinstance(value, int) and 1800 <= value < 2200]
    if len(years) == len(feature.values) > 0:
        year_C = np.array([0, *years])[value_C]
        for decade in sorted({year // 10 * 10 for year in years}):
            yield feature.name, f"{decade}s", year_C // 10 * 10 == decade
        yield feature.name, "unknown", value_C == UNKNOWN
    elif feature.rows <= MOST_VALUES:
        yield from _by_value(feature, value_C)
