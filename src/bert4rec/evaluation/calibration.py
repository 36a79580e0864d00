"""Calibration of rating probabilities, counted in bins as cases go by.

The measure is the class-wise expected calibration error of Kull et al. (2019, "Beyond temperature
scaling", NeurIPS). Each rating level is a binary event. Its predicted probabilities are put into
bins of equal width. The usual error (Guo et al. 2017) looks at the most likely level alone. Here
the whole distribution counts: too much probability for 1 star must not make up for too little for
5. Bins of equal width can be counted batch by batch, without keeping every case's probabilities;
bins of equal mass could not.

Legend: B cases of a batch, R rating levels, Z bins, X three counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.evaluation.columns import column
from bert4rec.ids import NO_RATING

BINS = 20
Reliability = Sequence[Mapping[str, float]]
"""One row for each level and bin with cases: `level`, `cases`, mean `predicted` probability and
`observed` share."""


def count_in_bins(probability_BR: Floats, rating_B: Ints) -> Floats:
    """Counts `[X, R, Z]`: cases, sum of their probabilities, cases with that rating.

    `rating_B` are rating rows; cases without a rating do not count.
    """
    rated_B = rating_B != NO_RATING
    probability_BR, rating_B = probability_BR[rated_B].astype(float), rating_B[rated_B]
    levels = probability_BR.shape[1]
    observed_BR = rating_B[:, None] == np.arange(levels) + NO_RATING + 1
    bin_BR = np.minimum((probability_BR * BINS).astype(np.int64), BINS - 1)
    bin_BR += BINS * np.arange(levels)
    weights = np.ones_like(probability_BR), probability_BR, observed_BR
    counts = [
        np.bincount(bin_BR.ravel(), weight_BR.ravel(), minlength=levels * BINS)
        for weight_BR in weights
    ]
    return np.stack(counts).reshape(3, levels, BINS).astype(float)


def no_counts() -> Floats:
    """Counts of a scorer that predicts no ratings."""
    return np.zeros((3, 0, BINS))


def reliability_table(count_XRZ: Floats, level_R: Floats) -> list[dict[str, float]]:
    """Reliability of every level and bin that has cases."""
    cases_RZ, probability_RZ, observed_RZ = count_XRZ
    filled = map(tuple, np.argwhere(cases_RZ > 0).tolist())
    return [
        {
            "level": float(level_R[index[0]]),
            "cases": int(cases_RZ[index]),
            "predicted": float(probability_RZ[index] / cases_RZ[index]),
            "observed": float(observed_RZ[index] / cases_RZ[index]),
        }
        for index in filled
    ]


def calibration_metrics(table: Reliability) -> dict[str, float]:
    """`rating_ece`, and `rating_ece_chance`, that of a perfectly calibrated model in these bins.

    rating_ece = Σ cases · |observed − predicted| / Σ cases over all levels and bins (Kull et al.
    2019, eq. 3). It cannot be below 0, so chance alone raises it: in a bin of n cases the observed
    share deviates from p by √(2/π · p (1 − p) / n) on average, the mean of |x| of a normal x.
    Empty without cases.
    """
    if not table:
        return {}
    cases, predicted, observed = (
        np.array(column(table, name)) for name in ("cases", "predicted", "observed")
    )
    deviation = np.sqrt(2 / np.pi * predicted * (1 - predicted).clip(0) / cases)
    return {
        "rating_ece": float(np.average(np.abs(observed - predicted), weights=cases)),
        "rating_ece_chance": float(np.average(deviation, weights=cases)),
    }
