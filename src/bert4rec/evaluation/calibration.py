"""Are the probabilities of rating levels kept? Counted in bins as cases go by: nothing of size cases × levels is held.

The measure is the class-wise expected calibration error of Kull et al. (2019, "Beyond temperature scaling", NeurIPS):
every level is a yes-or-no question of its own that every case answers, and the answers are parted into bins of equal
width by the probability given. The usual error (Guo et al. 2017) asks about the likeliest level alone; here all of the
distribution is used, for the expected rating above all, and too much given to 1 star must not make up for too little
given to 5. Bins of equal width are the same for every model and can be counted piece by piece, where bins of equal mass
would need every case's probabilities to be kept and sorted.

Legend: B cases of a piece, R rating levels, S bins, Q three counts, P runs of neighbouring levels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.ids import NO_RATING

BINS = 20
HELD = 0.8
"""The probability that an interval of ratings holds at least."""
Reliability = Sequence[Mapping[str, float]]
"""A row for each level and bin that has cases: `level`, `cases`, mean `predicted` probability, `observed` share."""


def rating_intervals(likely_BR: Floats) -> tuple[Ints, Ints, Floats]:
    """The fewest neighbouring levels that hold `HELD` of the probability, as first and last column, and what they hold.

    Of equally many levels those that hold most. Levels are few, so `rating_coverage` is above `HELD` even where all
    probabilities are right: it is to be what the intervals say they hold.
    """
    below_BR1 = np.insert(likely_BR.astype(float).cumsum(1), 0, 0.0, axis=1)
    first_P, last_P = np.triu_indices(likely_BR.shape[1])
    held_BP = below_BR1[:, last_P + 1] - below_BR1[:, first_P]
    enough_BP = held_BP >= HELD * below_BR1[:, -1:]
    place_B = np.where(enough_BP, last_P - first_P - held_BP, np.inf).argmin(1)
    return first_P[place_B], last_P[place_B], held_BP[np.arange(len(held_BP)), place_B]


def interval_metrics(likely_BR: Floats, rating_B: Ints) -> dict[str, Floats]:
    """Whether each case's rating lies in its interval, what the interval holds by its own account, and its levels.

    `rating_B` are rating rows; cases without a rating are NaN.
    """
    first_B, last_B, held_B = rating_intervals(likely_BR)
    level_B = np.asarray(rating_B).astype(np.int64) - NO_RATING - 1
    values = {
        "rating_coverage": (first_B <= level_B) & (level_B <= last_B),
        "rating_coverage_promised": held_B,
        "rating_interval_levels": last_B - first_B + 1,
    }
    return {name: np.where(level_B < 0, np.nan, value_B) for name, value_B in values.items()}


def count_in_bins(likely_BR: Floats, rating_B: Ints) -> Floats:
    """For each level and bin `[Q, R, S]`: cases, the sum of their probabilities, how many got that rating.

    `rating_B` are rating rows; cases without a rating do not count.
    """
    rated_B, levels = rating_B != NO_RATING, likely_BR.shape[1]
    likely_BR, rating_B = likely_BR[rated_B].astype(float), rating_B[rated_B]
    came_BR = rating_B[:, None] == np.arange(levels) + NO_RATING + 1
    place_BR = np.minimum((likely_BR * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(levels)
    counts = [
        np.bincount(place_BR.ravel(), weight_BR.ravel(), minlength=levels * BINS)
        for weight_BR in (np.ones_like(likely_BR), likely_BR, came_BR)
    ]
    return np.stack(counts).reshape(3, levels, BINS).astype(float)


def no_counts() -> Floats:
    """The counts of a scorer that rates nothing."""
    return np.zeros((3, 0, BINS))


def reliability_of(count_QRS: Floats, level_R: Floats) -> list[dict[str, float]]:
    """The table, by level and by probability."""
    cases_RS, likely_RS, came_RS = count_QRS
    return [
        {
            "level": float(level_R[row]),
            "cases": int(cases_RS[row, place]),
            "predicted": float(likely_RS[row, place] / cases_RS[row, place]),
            "observed": float(came_RS[row, place] / cases_RS[row, place]),
        }
        for row, place in np.argwhere(cases_RS > 0).tolist()
    ]


def calibration_metrics(table: Reliability) -> dict[str, float]:
    """`rating_ece`, and `rating_ece_chance`: about what a perfectly calibrated model would get in these bins.

    rating_ece = Σ cases · |observed − predicted| / Σ cases over all levels and bins (Kull et al. 2019, eq. 3): by how
    much a stated probability is off. It cannot be below 0, so mere chance raises it: in a bin of n cases the observed
    share strays from p by √(2/π · p (1 − p) / n) on average (the mean of |x| of a normal x). Empty without cases.
    """
    if not table:
        return {}
    cases, predicted, observed = (
        np.array([row[name] for row in table]) for name in ("cases", "predicted", "observed")
    )
    strays = np.sqrt(2 / np.pi * predicted * (1 - predicted).clip(0) / cases)
    return {
        "rating_ece": float(np.average(np.abs(observed - predicted), weights=cases)),
        "rating_ece_chance": float(np.average(strays, weights=cases)),
    }
