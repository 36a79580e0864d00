"""What a rating head must beat: the mean, and user and item biases, fitted on the training ratings.

Legend: N rated training events, C cases, V item rows, U user rows.
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
"""Ratings of the mean added to each item's and each user's own (Koren 2009 has the form, and values of this size)."""


def rating_baselines(
    dataset: PreparedDataset, split: Split, cases: Cases
) -> dict[str, dict[str, float]]:
    """RMSE and MAE of both baselines on the cases that have a rating; empty without ratings."""
    if not len(dataset.rating_levels):
        return {}
    true_C = true_ratings(dataset, cases)
    return {
        name: _errors(guess_C - true_C)
        for name, guess_C in rating_guesses(dataset, split, cases).items()
    }


def rating_guesses(dataset: PreparedDataset, split: Split, cases: Cases) -> dict[str, Floats]:
    """What both baselines predict for each case."""
    mean, user_U, item_V = rating_biases(dataset, split)
    return {
        "global mean": np.full(len(cases), mean),
        "user and item biases": mean
        + user_U[cases.user_C]
        + item_V[dataset.item_N[cases.target_C]],
    }


def _errors(error_C: Floats) -> dict[str, float]:
    """The RMSE and MAE of the cases that have a rating; empty where none has."""
    known_C = error_C[~np.isnan(error_C)]
    if not len(known_C):
        return {}
    return {
        name: float(mean_of(name, value_C.mean()))
        for name, value_C in rating_metrics(known_C).items()
    }


def rating_biases(dataset: PreparedDataset, split: Split) -> tuple[float, Floats, Floats]:
    """The mean training rating, each user's and each item's shrunken deviation from it."""
    user_N, item_N, rating_N = rated_training_events(dataset, split)
    mean = float(rating_N.mean()) if len(rating_N) else float("nan")
    item_V = _shrunken(item_N, rating_N - mean, dataset.item_rows, ITEM_SHRINKAGE)
    user_U = _shrunken(user_N, rating_N - mean - item_V[item_N], dataset.user_rows, USER_SHRINKAGE)
    return mean, user_U, item_V


def rated_training_events(dataset: PreparedDataset, split: Split) -> tuple[Ints, Ints, Floats]:
    """User row, item row and rating of every training event that has one."""
    event_N = training_events(dataset, split)
    event_N = event_N[dataset.rating_N[event_N] != NO_RATING]
    user_N = np.searchsorted(dataset.start_U1, event_N, side="right") - 1
    return (
        user_N,
        np.asarray(dataset.item_N[event_N]),
        dataset.rating_levels[np.asarray(dataset.rating_N[event_N]) - 1],
    )


def _shrunken(row_N: np.ndarray, value_N: Floats, rows: int, shrinkage: float) -> Floats:
    total = np.bincount(row_N, value_N, minlength=rows)
    return total / (np.bincount(row_N, minlength=rows) + shrinkage)
