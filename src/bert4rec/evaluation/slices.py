"""The same metrics for parts of the users: short and long histories, rare and popular items, every demographic value.

Parts that two reports are compared in are told apart case by case (`bands`, `paired_parts`).

Legend: C cases (users).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.splits import Cases, Split
from bert4rec.evaluation.beyond_accuracy import item_popularity
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.ids import UNKNOWN

LENGTHS = (20, 50, 100, 200)
POPULARITY = {"most popular 10 %": 0.9, "next 40 %": 0.5, "least popular 50 %": 0.0}
"""Items by the share of the others that have fewer training events: name to the lowest share."""
PAIRED = {
    "short histories": ("history length", ("0–19", "20–49")),
    "longer histories": ("history length", ("50–99", "100–199", "200 and more")),
    "rare items": ("item popularity", ("least popular 50 %",)),
    "popular items": ("item popularity", ("most popular 10 %", "next 40 %")),
}
"""The parts that two reports are compared in: bands of a slice that together hold enough users (MovieLens 1M: 1,793
short histories, 634 rare items; its shortest histories alone, under 20 events, are 86)."""
_BANDED = {name for name, _ in PAIRED.values()}
MOST_VALUES = 30
"""A feature with more values than this is no slice, unless its values are years."""


def slices(
    dataset: PreparedDataset, split: Split, cases: Cases, rank_C: Ints
) -> dict[str, list[dict[str, Any]]]:
    """For each way to part the cases its parts: value, users, hit@10 and ndcg@10."""
    metrics = rank_metrics(rank_C)
    parted: dict[str, list[dict[str, Any]]] = {}
    for name, value, mask_C in _parts(dataset, split, cases):
        if mask_C.any():
            means = {
                metric: float(metrics[metric][mask_C].mean()) for metric in ("hit@10", "ndcg@10")
            }
            parted.setdefault(name, []).append(
                {"value": value, "users": int(mask_C.sum()), **means}
            )
    return parted


def bands(dataset: PreparedDataset, split: Split, cases: Cases) -> dict[str, Ints]:
    """For history length and item popularity the place of each case's part in the list that `slices` gives."""
    masks: dict[str, list[Any]] = {}
    for name, _, mask_C in _parts(dataset, split, cases):
        if name in _BANDED and mask_C.any():
            masks.setdefault(name, []).append(mask_C)
    return {name: np.stack(parts).argmax(0) for name, parts in masks.items()}


def paired_parts(
    parted: Mapping[str, Sequence[Mapping[str, Any]]], band_C: Mapping[str, Ints]
) -> dict[str, NDArray[np.bool_]]:
    """Which cases belong to each of `PAIRED` that has any; empty where `band_C` is."""
    found = {}
    for part, (name, values) in PAIRED.items():
        if name in band_C:
            rows = [row for row, entry in enumerate(parted[name]) if entry["value"] in values]
            found[part] = np.isin(band_C[name], rows)
    return {part: mask_C for part, mask_C in found.items() if mask_C.any()}


def _parts(dataset: PreparedDataset, split: Split, cases: Cases) -> Iterator[tuple[str, str, Any]]:
    length_C = cases.target_C - cases.start_C
    edges = [0, *LENGTHS, np.iinfo(np.int64).max]
    for low, high in pairwise(edges):
        label = f"{low}–{high - 1}" if high <= LENGTHS[-1] else f"{low} and more"
        yield "history length", label, (length_C >= low) & (length_C < high)
    item_C = np.asarray(dataset.item_N[cases.target_C])
    popularity_C = item_popularity(dataset, split)[item_C]
    above = np.inf
    for label, lowest in POPULARITY.items():
        yield "item popularity", label, (popularity_C >= lowest) & (popularity_C < above)
        above = lowest
    for feature, table in dataset.user_features.values():
        if feature.kind is Kind.CATEGORICAL and feature.rows <= MOST_VALUES:
            yield from _by_value(feature, np.asarray(table)[cases.user_C])
    for feature, table in dataset.item_features.values():
        if feature.kind is Kind.CATEGORICAL:
            yield from _by_value_or_decade(feature, np.asarray(table)[item_C])


def _by_value(feature: Feature, value_C: Ints) -> Iterator[tuple[str, str, Any]]:
    for row, value in enumerate(feature.values, 1):
        yield feature.name, (feature.labels or {}).get(str(value), str(value)), value_C == row
    yield feature.name, "unknown", value_C == UNKNOWN


def _by_value_or_decade(feature: Feature, value_C: Ints) -> Iterator[tuple[str, str, Any]]:
    if feature.decades:
        year_C = np.array([0, *feature.values])[value_C]
        for decade in feature.decades:
            yield feature.name, f"{decade}s", year_C // 10 * 10 == decade
        yield feature.name, "unknown", value_C == UNKNOWN
    elif feature.rows <= MOST_VALUES:
        yield from _by_value(feature, value_C)
