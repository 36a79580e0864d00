"""Rating baselines: the global mean, and user and item biases fitted on the training ratings.

Legend: N rated training events, C cases, O rows of a table, V item rows, U user rows.
"""

from __future__ import annotations

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, training_events
from bert4rec.evaluation.evaluate import true_ratings
from bert4rec.evaluation.metrics import mean_of, rating_metrics
from bert4rec.ids import NO_RATING

ITEM_SHRINKAGE, USER_SHRINKAGE = 10.0, 15.0
"""Ratings of the mean that join each item's and each user's own.

Koren (2009) has the form, and values of this size.
"""


def rating_baselines(
    dataset: PreparedDataset, split: Split, cases: Cases
) -> dict[str, dict[str, float]]:
    """RMSE and MAE of both baselines on the rated cases; empty without ratings."""
    if not len(dataset.rating_levels):
        return {}
    true_C = true_ratings(dataset, cases)
    predictions = predicted_ratings(dataset, split, cases)
    return {name: _errors(prediction_C - true_C) for name, prediction_C in predictions.items()}


def predicted_ratings(dataset: PreparedDataset, split: Split, cases: Cases) -> dict[str, Floats]:
    """Predictions `[C]` of both baselines."""
    mean, user_U, item_V = rating_biases(dataset, split)
    bias_C = user_U[cases.user_C] + item_V[dataset.item_N[cases.target_C]]
    return {"global mean": np.full(len(cases), mean), "user and item biases": mean + bias_C}


def _errors(error_C: Floats) -> dict[str, float]:
    """RMSE and MAE of the rated cases; empty where none is rated."""
    known_C = error_C[~np.isnan(error_C)]
    if not len(known_C):
        return {}
    metrics = rating_metrics(known_C)
    return {name: float(mean_of(name, value_C.mean())) for name, value_C in metrics.items()}


def rating_biases(dataset: PreparedDataset, split: Split) -> tuple[float, Floats, Floats]:
    """Mean training rating, and the shrunken deviation of each user and each item from it."""
    user_N, item_N, rating_N = rated_training_events(dataset, split)
    mean = float(rating_N.mean()) if len(rating_N) else float("nan")
    item_V = _shrunken_means(item_N, rating_N - mean, dataset.item_rows, ITEM_SHRINKAGE)
    rest_N = rating_N - mean - item_V[item_N]
    user_U = _shrunken_means(user_N, rest_N, dataset.user_rows, USER_SHRINKAGE)
    return mean, user_U, item_V


def rated_training_events(dataset: PreparedDataset, split: Split) -> tuple[Ints, Ints, Floats]:
    """User row, item row and rating of every training event that has a rating."""
    event_N = training_events(dataset, split)
    event_N = event_N[dataset.rating_N[event_N] != NO_RATING]
    user_N = np.searchsorted(dataset.start_U1, event_N, side="right") - 1
    rating_N = dataset.rating_levels[np.asarray(dataset.rating_N[event_N]) - 1]
    return user_N, np.asarray(dataset.item_N[event_N]), rating_N


def _shrunken_means(row_N: Ints, value_N: Floats, rows: int, shrinkage: float) -> Floats:
    total_O = np.bincount(row_N, value_N, minlength=rows)
    return total_O / (np.bincount(row_N, minlength=rows) + shrinkage)
