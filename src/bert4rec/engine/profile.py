"""What is known and predicted of one user.

Legend: N events, M values an item may have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.histories import Histories
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, RawId

SHOWN_VALUES = 5
SHOWN_ITEMS = 3
DAY = 86_400


def demographics(dataset: PreparedDataset, user: int) -> dict[str, Any]:
    """The user's features as raw values, None where unknown; and what a code means, where the data says."""
    known: dict[str, Any] = {}
    words: dict[str, str] = {}
    for name, (feature, table) in dataset.user_features.items():
        known[name] = raw_value(feature, np.asarray(table)[user])
        if feature.labels and str(known[name]) in feature.labels:
            word = name.removesuffix("_code") if name.endswith("_code") else f"{name}_label"
            words[word] = feature.labels[str(known[name])]
    return known | {name: word for name, word in words.items() if name not in known}


def raw_value(feature: Feature, value: Any) -> Any:
    """A stored value as it was given."""
    if feature.kind is Kind.NUMERIC:
        return None if np.isnan(value) else round(float(value) * feature.scale + feature.mean, 4)
    if feature.kind is Kind.MULTI:
        return [feature.values[row - 1] for row in value.tolist() if row != UNKNOWN]
    return None if value == UNKNOWN else feature.values[int(value) - 1]


def activity(dataset: PreparedDataset, history: Histories) -> dict[str, Any]:
    """How much, when, and how kindly."""
    facts: dict[str, Any] = {"num_events": len(history.item_N)}
    if len(history.time_N) and history.time_N[0] != NO_TIME:
        facts["first_event"], facts["last_event"] = (
            _date(history.time_N[place]) for place in (0, -1)
        )
        facts["active_days"] = len(np.unique(history.time_N[history.time_N != NO_TIME] // DAY))
    rated_N = np.asarray(history.rating_N[history.rating_N != NO_RATING])
    if len(rated_N):
        facts["mean_rating"] = float(dataset.rating_levels[rated_N - 1].mean())
        count_R = np.bincount(rated_N, minlength=len(dataset.rating_levels) + 1)[1:].tolist()
        facts["ratings"] = {
            f"{level:g}": count for level, count in zip(dataset.rating_levels, count_R, strict=True)
        }
    return facts


def favourites(dataset: PreparedDataset, history: Histories) -> dict[str, list[dict[str, Any]]]:
    """What is most often in the history: values of multi-valued item features, and decades where there are years."""
    if not len(history.item_N):
        return {}
    found = {}
    for name, (feature, table) in dataset.item_features.items():
        value_V = np.asarray(table)
        if feature.kind is Kind.MULTI:
            conditions = [(value, f"{value!r} in {name}") for value in feature.values]
            found[f"favourite_{name}"] = _most_frequent(dataset, history, value_V, conditions)
        elif feature.decades:
            decade_V = np.array([0, *feature.values])[value_V] // 10 * 10
            row_VM = np.searchsorted([0, *feature.decades], decade_V)[:, None]
            conditions = [
                (f"{decade}s", f"{decade} <= {name} < {decade + 10}") for decade in feature.decades
            ]
            found[f"favourite_{name}_decade"] = _most_frequent(dataset, history, row_VM, conditions)
    return found


def _most_frequent(
    dataset: PreparedDataset,
    history: Histories,
    row_VM: Ints,
    conditions: Sequence[tuple[RawId, str]],
) -> list[dict[str, Any]]:
    """Of each value: its share of the events, their mean rating, the items that show it, and the rule that steers it.

    Value v has row v + 1; each comes with the condition of `engine.where` that is true of its items.
    """
    row_NM = row_VM[history.item_N]
    rating_N = np.append(np.nan, dataset.rating_levels)[history.rating_N]
    count_W = np.bincount(row_NM.ravel(), minlength=len(conditions) + 1)
    count_W[UNKNOWN] = 0
    order = np.argsort(-count_W, kind="stable")[:SHOWN_VALUES]
    found = []
    for row in order[count_W[order] > 0].tolist():
        has_N = (row_NM == row).any(1)
        rated_N = rating_N[has_N & ~np.isnan(rating_N)]
        value, condition = conditions[row - 1]
        found.append(
            {
                "value": value,
                "share": float(count_W[row] / len(row_NM)),
                "events": int(has_N.sum()),
                **({"mean_rating": float(rated_N.mean())} if len(rated_N) else {}),
                "items": [
                    dataset.items.raw(item)
                    for item in _best_liked(history.item_N[has_N], rating_N[has_N])
                ],
                "condition": condition,
            }
        )
    return found


def _best_liked(item_N: Ints, rating_N: np.ndarray[Any, Any]) -> list[int]:
    """The items with the highest ratings, of equal ones the latest."""
    order = np.lexsort((-np.arange(len(item_N)), -np.nan_to_num(rating_N, nan=-np.inf)))
    return list(dict.fromkeys(item_N[order].tolist()))[:SHOWN_ITEMS]


def predicted(
    dataset: PreparedDataset, likely: Mapping[str, np.ndarray[Any, Any]]
) -> dict[str, list[dict[str, Any]]]:
    """The most likely values of the coming events, from the preference head."""
    found = {}
    for name, likely_W in likely.items():
        feature, _ = dataset.item_features[name]
        order = np.argsort(-likely_W, kind="stable")[:SHOWN_VALUES]
        found[f"predicted_{name}"] = [
            {"value": feature.values[place], "probability": float(likely_W[place])}
            for place in order
        ]
    return found


def _date(time: int) -> str:
    return datetime.fromtimestamp(int(time), UTC).isoformat()
