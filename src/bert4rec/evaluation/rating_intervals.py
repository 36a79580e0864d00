"""Prediction intervals of ratings, and how often they hold the true rating.

How well the probabilities themselves are calibrated is left to `calibration`.

Legend: B cases of a batch, R rating levels, X runs of neighbouring levels.
"""

from __future__ import annotations

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.ids import NO_RATING

NOMINAL_COVERAGE = 0.8
"""Least probability that a prediction interval holds."""


def rating_intervals(probability_BR: Floats) -> tuple[Ints, Ints, Floats]:
    """Smallest prediction intervals: first level, last level, and the probability between them.

    An interval is the fewest neighbouring levels that hold `NOMINAL_COVERAGE`; of equally many,
    those that hold most. Levels are few, so intervals usually hold more than that even where all
    probabilities are right.
    """
    below_BR1 = np.insert(probability_BR.astype(float).cumsum(1), 0, 0.0, axis=1)
    first_X, last_X = np.triu_indices(probability_BR.shape[1])
    held_BX = below_BR1[:, last_X + 1] - below_BR1[:, first_X]
    enough_BX = held_BX >= NOMINAL_COVERAGE * below_BR1[:, -1:]
    best_B = np.where(enough_BX, last_X - first_X - held_BX, np.inf).argmin(1)
    return first_X[best_B], last_X[best_B], held_BX[np.arange(len(held_BX)), best_B]


def interval_metrics(probability_BR: Floats, rating_B: Ints) -> dict[str, Floats]:
    """Coverage of each case's interval, the coverage it states, and its number of levels.

    `rating_B` are rating rows; cases without a rating are NaN.
    """
    first_B, last_B, stated_B = rating_intervals(probability_BR)
    level_B = np.asarray(rating_B).astype(np.int64) - NO_RATING - 1
    values = {
        "rating_coverage": (first_B <= level_B) & (level_B <= last_B),
        "rating_coverage_stated": stated_B,
        "rating_interval_levels": last_B - first_B + 1,
    }
    return {name: np.where(level_B < 0, np.nan, value_B) for name, value_B in values.items()}
