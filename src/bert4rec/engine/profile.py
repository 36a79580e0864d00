"""What is known and predicted of one user.

Legend: N events, M values an item may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np

from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import Feature, Kind, PreparedDataset
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN

SHOWN_VALUES = 5


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
        facts["first_event"], facts["last_event"] = (_date(history.time_N[place]) for place in (0, -1))
    rated_N = history.rating_N[history.rating_N != NO_RATING]
    if len(rated_N):
        facts["mean_rating"] = float(dataset.rating_levels[np.asarray(rated_N) - 1].mean())
    return facts


def favourites(dataset: PreparedDataset, history: Histories) -> dict[str, list[dict[str, Any]]]:
    """For each multi-valued item feature the values most often in the history: share of events, mean rating."""
    if not len(history.item_N):
        return {}
    level_of_row = np.append(np.nan, dataset.rating_levels)
    rating_N = level_of_row[history.rating_N]
    return {
        f"favourite_{name}": _most_frequent(feature, np.asarray(table)[history.item_N], rating_N)
        for name, (feature, table) in dataset.item_features.items()
        if feature.kind is Kind.MULTI
    }


def _most_frequent(feature: Feature, value_NM: Ints, rating_N: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
    count_W = np.bincount(value_NM.ravel(), minlength=feature.rows)
    count_W[UNKNOWN] = 0
    order = np.argsort(-count_W, kind="stable")[:SHOWN_VALUES]
    found = []
    for row in order[count_W[order] > 0]:
        rated_N = rating_N[(value_NM == row).any(1) & ~np.isnan(rating_N)]
        entry = {"value": feature.values[row - 1], "share": float(count_W[row] / len(value_NM))}
        found.append(entry | ({"mean_rating": float(rated_N.mean())} if len(rated_N) else {}))
    return found


def predicted(dataset: PreparedDataset, likely: Mapping[str, np.ndarray[Any, Any]]) -> dict[str, list[dict[str, Any]]]:
    """The most likely values of the coming events, from the preference head."""
    found = {}
    for name, likely_W in likely.items():
        feature, _ = dataset.item_features[name]
        order = np.argsort(-likely_W, kind="stable")[:SHOWN_VALUES]
        found[f"predicted_{name}"] = [
            {"value": feature.values[place], "probability": float(likely_W[place])} for place in order
        ]
    return found


def _date(time: int) -> str:
    return datetime.fromtimestamp(int(time), UTC).isoformat()
