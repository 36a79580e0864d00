"""Profile of one user: demographics, activity, favourites and predicted preferences.

Legend: B users (one here), N events, V item rows, M values of an item, R rating levels,
F values of a feature.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.histories import Histories
from bert4rec.engine.raw_values import raw_value, row_of
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN, RawId
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import diverged
from bert4rec.retrieval.conditions import written_name

MOST_LISTED_VALUES = 5
MOST_LISTED_ITEMS = 3
SECONDS_PER_DAY = 86_400


def user_profile(
    scorer: NetworkScorer, dataset: PreparedDataset, user_id: RawId | None, history: Histories
) -> dict[str, Any]:
    """Profile of the user of one stored history, demographics first."""
    preferences = {
        name: probability_BF[0].cpu().numpy()
        for name, probability_BF in scorer.feature_preferences(history).items()
    }
    if not all(np.isfinite(probability_F).all() for probability_F in preferences.values()):
        raise diverged(scorer.name, "NaN")
    return {
        **demographics(dataset, row_of(dataset.users, user_id) or UNKNOWN),
        "user_id": user_id,
        **activity(dataset, history),
        **favourites(dataset, history),
        **predicted(dataset, preferences),
    }


def demographics(dataset: PreparedDataset, user: int) -> dict[str, Any]:
    """Raw user features, None if unknown, then the labels of codes.

    The label of `occupation_code` is `occupation`, that of `town` is `town_label`. A feature of the
    same name takes precedence.
    """
    values: dict[str, Any] = {}
    labels: dict[str, str] = {}
    for name, (feature, table) in dataset.user_features.items():
        values[name] = raw_value(feature, np.asarray(table)[user])
        label = (feature.labels or {}).get(str(values[name]))
        if label is not None:
            labels[_label_name(name)] = label
    return {**values, **{name: label for name, label in labels.items() if name not in values}}


def _label_name(feature_name: str) -> str:
    if feature_name.endswith("_code"):
        return feature_name.removesuffix("_code")
    return f"{feature_name}_label"


def activity(dataset: PreparedDataset, history: Histories) -> dict[str, Any]:
    """Number and dates of the events, and their ratings; unknown ones are left out."""
    facts: dict[str, Any] = {"num_events": len(history.item_N)}
    if len(history.time_N) and history.time_N[0] != NO_TIME:
        known_N = history.time_N[history.time_N != NO_TIME]
        facts["first_event"] = _date(history.time_N[0])
        facts["last_event"] = _date(history.time_N[-1])
        facts["active_days"] = len(np.unique(known_N // SECONDS_PER_DAY))
    rated_N = np.asarray(history.rating_N[history.rating_N != NO_RATING])
    if len(rated_N):
        level_R = dataset.rating_levels
        count_R = np.bincount(rated_N - 1, minlength=len(level_R))
        facts["mean_rating"] = float(level_R[rated_N - 1].mean())
        counts = zip(level_R.tolist(), count_R.tolist(), strict=True)
        facts["ratings"] = {f"{level:g}": count for level, count in counts}
    return facts


def _date(time: int) -> str:
    return datetime.fromtimestamp(int(time), UTC).isoformat()


class _Value(NamedTuple):
    """Value of an item feature and the condition that its items meet."""

    value: RawId
    condition: str


def favourites(dataset: PreparedDataset, history: Histories) -> dict[str, list[dict[str, Any]]]:
    """Most frequent values of each multi-valued item feature, and decades of each year."""
    if not len(history.item_N):
        return {}
    found = {}
    for name, (feature, table) in dataset.item_features.items():
        row_V = np.asarray(table)
        if feature.kind is Kind.MULTI:
            values = [
                _Value(value, f"{value!r} in {written_name(name)}") for value in feature.values
            ]
            row_NM = row_V[history.item_N]
            found[f"favourite_{name}"] = list(_most_frequent(dataset, history, row_NM, values))
        elif feature.decades:
            values = [_decade_value(name, decade) for decade in feature.decades]
            row_NM = _decade_rows(feature, row_V)[history.item_N][:, None]
            found[f"favourite_{name}_decade"] = list(
                _most_frequent(dataset, history, row_NM, values)
            )
    return found


def _decade_value(name: str, decade: int) -> _Value:
    return _Value(f"{decade}s", f"{decade} <= {written_name(name)} < {decade + 10}")


def _decade_rows(feature: Feature, row_V: Ints) -> Ints:
    """Decade of each item: UNKNOWN, or its number in `feature.decades` from 1."""
    year_V = np.array([0, *feature.values])[row_V]
    return np.searchsorted([0, *feature.decades], year_V // 10 * 10)


def _most_frequent(
    dataset: PreparedDataset, history: Histories, row_NM: Ints, values: list[_Value]
) -> Iterator[dict[str, Any]]:
    """Share, events, mean rating, items and condition of the most frequent values.

    `row_NM` are the values of each event; value v has row v + 1.
    """
    rating_N = np.append(np.nan, dataset.rating_levels)[history.rating_N]
    count_F = np.bincount(row_NM.ravel(), minlength=len(values) + 1)
    count_F[UNKNOWN] = 0
    by_count = np.argsort(-count_F, kind="stable")[:MOST_LISTED_VALUES]
    for row in by_count[count_F[by_count] > 0].tolist():
        has_N = (row_NM == row).any(1)
        entry = {
            "value": values[row - 1].value,
            "share": float(count_F[row] / len(row_NM)),
            "events": int(has_N.sum()),
        }
        rated_N = rating_N[has_N & ~np.isnan(rating_N)]
        if len(rated_N):
            entry["mean_rating"] = float(rated_N.mean())
        items = _best_rated(history.item_N[has_N], rating_N[has_N])
        entry["items"] = [dataset.items.raw(item) for item in items]
        entry["condition"] = values[row - 1].condition
        yield entry


def _best_rated(item_N: Ints, rating_N: Floats) -> list[int]:
    """Items with the highest ratings, the latest of equal ones first."""
    # lexsort sorts by its last key first.
    known_rating_N = np.nan_to_num(rating_N, nan=-np.inf)
    by_rating = np.lexsort((-np.arange(len(item_N)), -known_rating_N))
    unique = dict.fromkeys(item_N[by_rating].tolist())
    return list(unique)[:MOST_LISTED_ITEMS]


def predicted(
    dataset: PreparedDataset, preferences: Mapping[str, NDArray[Any]]
) -> dict[str, list[dict[str, Any]]]:
    """Most probable feature values of the next events, by the preference head."""
    found = {}
    for name, probability_F in preferences.items():
        feature, _ = dataset.item_features[name]
        by_probability = np.argsort(-probability_F, kind="stable")[:MOST_LISTED_VALUES]
        found[f"predicted_{name}"] = [
            {"value": feature.values[row], "probability": float(probability_F[row])}
            for row in by_probability.tolist()
        ]
    return found
