"""Metrics on parts of the users: history length, item popularity, and every demographic value.

The parts that two reports are compared on are marked case by case (`bands`, `paired_parts`).

Legend: C cases (users).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from bert4rec.data.arrays import Ints, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.splits import Cases, Split
from bert4rec.evaluation.beyond_accuracy import item_popularity
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.ids import UNKNOWN

LENGTHS = (20, 50, 100, 200)
POPULARITY = {"most popular 10 %": 0.9, "next 40 %": 0.5, "least popular 50 %": 0.0}
"""Bands of items: name to the lowest share of other items that have fewer training events."""
PAIRED = {
    "short histories": ("history length", ("0–19", "20–49")),
    "longer histories": ("history length", ("50–99", "100–199", "200 and more")),
    "rare items": ("item popularity", ("least popular 50 %",)),
    "popular items": ("item popularity", ("most popular 10 %", "next 40 %")),
}
"""Parts that two reports are compared on: bands of a slice that together hold enough users.

MovieLens 1M has 1,793 short histories and 634 rare items; its shortest histories alone, under 20
events, are 86.
"""
_BANDED = {name for name, _ in PAIRED.values()}
MOST_VALUES = 30
"""Values of a feature that still makes a slice; a feature of years may have more."""

Part: TypeAlias = tuple[str, str, Mask]
"""Slice, value, and the mask of its cases."""


def slices(
    dataset: PreparedDataset, split: Split, cases: Cases, rank_C: Ints
) -> dict[str, list[dict[str, Any]]]:
    """Parts of each slice: value, users, hit@10 and ndcg@10; parts without users are left out."""
    metrics = rank_metrics(rank_C)
    parts: dict[str, list[dict[str, Any]]] = {}
    for name, value, mask_C in _filled_parts(dataset, split, cases):
        part = {
            "value": value,
            "users": int(mask_C.sum()),
            "hit@10": float(metrics["hit@10"][mask_C].mean()),
            "ndcg@10": float(metrics["ndcg@10"][mask_C].mean()),
        }
        parts.setdefault(name, []).append(part)
    return parts


def bands(dataset: PreparedDataset, split: Split, cases: Cases) -> dict[str, Ints]:
    """Index of each case's part in the list that `slices` gives, for the slices of `PAIRED`."""
    masks: dict[str, list[Mask]] = {}
    for name, _, mask_C in _filled_parts(dataset, split, cases):
        if name in _BANDED:
            masks.setdefault(name, []).append(mask_C)
    return {name: np.stack(parts).argmax(0) for name, parts in masks.items()}


def paired_parts(
    parts: Mapping[str, Sequence[Mapping[str, Any]]], band_C: Mapping[str, Ints]
) -> dict[str, Mask]:
    """Mask of the cases of each of `PAIRED` that has any; empty where `band_C` is."""
    masks = {}
    for part, (name, values) in PAIRED.items():
        if name in band_C:
            rows = [row for row, entry in enumerate(parts[name]) if entry["value"] in values]
            masks[part] = np.isin(band_C[name], rows)
    return {part: mask_C for part, mask_C in masks.items() if mask_C.any()}


def _filled_parts(dataset: PreparedDataset, split: Split, cases: Cases) -> Iterator[Part]:
    """Parts that hold at least one case."""
    item_C = np.asarray(dataset.item_N[cases.target_C])
    for part in (
        *_by_length(cases.target_C - cases.start_C),
        *_by_popularity(item_popularity(dataset, split)[item_C]),
        *_by_user_feature(dataset, cases.user_C),
        *_by_item_feature(dataset, item_C),
    ):
        if part[2].any():
            yield part


def _by_length(length_C: Ints) -> Iterator[Part]:
    edges = [0, *LENGTHS, np.iinfo(np.int64).max]
    for low, high in pairwise(edges):
        label = f"{low}–{high - 1}" if high <= LENGTHS[-1] else f"{low} and more"
        yield "history length", label, (length_C >= low) & (length_C < high)


def _by_popularity(popularity_C: np.ndarray) -> Iterator[Part]:
    above = np.inf
    for label, lowest in POPULARITY.items():
        yield "item popularity", label, (popularity_C >= lowest) & (popularity_C < above)
        above = lowest


def _by_user_feature(dataset: PreparedDataset, user_C: Ints) -> Iterator[Part]:
    for feature, table in dataset.user_features.values():
        if feature.kind is Kind.CATEGORICAL and feature.rows <= MOST_VALUES:
            yield from _by_value(feature, np.asarray(table)[user_C])


def _by_item_feature(dataset: PreparedDataset, item_C: Ints) -> Iterator[Part]:
    for feature, table in dataset.item_features.values():
        if feature.kind is not Kind.CATEGORICAL:
            continue
        value_C = np.asarray(table)[item_C]
        if feature.decades:
            yield from _by_decade(feature, value_C)
        elif feature.rows <= MOST_VALUES:
            yield from _by_value(feature, value_C)


def _by_value(feature: Feature, value_C: Ints) -> Iterator[Part]:
    labels = feature.labels or {}
    for row, value in enumerate(feature.values, 1):
        yield feature.name, labels.get(str(value), str(value)), value_C == row
    yield feature.name, "unknown", value_C == UNKNOWN


def _by_decade(feature: Feature, value_C: Ints) -> Iterator[Part]:
    year_C = np.array([0, *feature.values])[value_C]
    for decade in feature.decades:
        yield feature.name, f"{decade}s", year_C // 10 * 10 == decade
    yield feature.name, "unknown", value_C == UNKNOWN
