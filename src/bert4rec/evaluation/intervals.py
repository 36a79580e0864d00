"""Means of metrics with bootstrap intervals over users.

Which metrics there are is left to `metrics`, tests of significance to `comparison`.

Legend: C cases (users), Y resamples, X metrics side by side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bert4rec.data.arrays import Floats
from bert4rec.evaluation.metrics import mean_of
from bert4rec.result_tables import Estimate

RESAMPLES = 1000
LEVEL = 0.95
COUNTS_AT_ONCE = 2**22
"""Users times resamples drawn at once; bounds the memory."""


def mean_estimates(value_C: Mapping[str, Floats], seed: int = 0) -> dict[str, Estimate]:
    """Mean of each metric with its 95 % percentile interval (Efron 1979).

    All metrics share the same resamples. Cases whose value is NaN do not count. A metric without
    any value is left out.
    """
    known = {name: column_C for name, column_C in value_C.items() if not np.isnan(column_C).all()}
    mean_Y = _resampled_means(known, seed)
    return {name: _estimate(mean_of(name, mean_Y[name])) for name in known}


def difference_estimates(
    first_C: Mapping[str, Floats], second_C: Mapping[str, Floats], seed: int = 0
) -> dict[str, Estimate]:
    """Difference of each metric, first minus second, on the same resamples of the same users.

    Cases that one of the two lacks do not count. Metrics are subtracted, not cases: the RMSEs of a
    resample are subtracted after their roots are taken.
    """
    first_Y, second_Y = _paired_means(first_C, second_C, seed)
    return {
        name: _estimate(mean_of(name, first_Y[name]) - mean_of(name, second_Y[name]))
        for name in first_Y
    }


def relative_loss_estimates(
    before_C: Mapping[str, Floats], after_C: Mapping[str, Floats], seed: int = 0
) -> dict[str, Estimate]:
    """Share of each mean that is lost, `1 − after / before`, on the same resamples.

    A metric whose mean before is zero in any resample is left out.
    """
    before_Y, after_Y = _paired_means(before_C, after_C, seed)
    positive = [name for name in before_Y if (before_Y[name] > 0).all()]
    return {name: _estimate(1 - after_Y[name] / before_Y[name]) for name in positive}


def _paired_means(
    first_C: Mapping[str, Floats], second_C: Mapping[str, Floats], seed: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Means of both over the cases that both have; metrics without such a case are left out."""
    first, second = {}, {}
    for name, column_C in first_C.items():
        unknown_C = np.isnan(column_C) | np.isnan(second_C[name])
        if not unknown_C.all():
            first[name] = np.where(unknown_C, np.nan, column_C)
            second[name] = np.where(unknown_C, np.nan, second_C[name])
    return _resampled_means(first, seed), _resampled_means(second, seed)


def _estimate(value_Y: Floats) -> Estimate:
    """First value, that of the cases as they are, and the edges that hold 95 % of the others."""
    low, high = np.nanquantile(value_Y[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Estimate(float(value_Y[0]), low, high)


def _resampled_means(value_C: Mapping[str, Floats], seed: int) -> dict[str, Floats]:
    """Mean of each metric over its known cases, followed by the mean in every resample."""
    if not value_C:
        return {}
    columns = [np.asarray(column_C, dtype=float) for column_C in value_C.values()]
    value_CX = np.stack(columns, axis=1)
    all_once_YC = np.ones((1, len(value_CX)))
    counts = [all_once_YC, *_draws(len(value_CX), seed)]
    mean_YX = np.concatenate([_weighted_means(count_YC, value_CX) for count_YC in counts])
    return dict(zip(value_C, mean_YX.T, strict=True))


def _draws(cases: int, seed: int) -> Iterator[Floats]:
    """Number of times each user is drawn in each resample `[Y, C]`, some resamples at a time."""
    random = np.random.default_rng(seed)
    at_once = max(1, COUNTS_AT_ONCE // cases)
    for first in range(0, RESAMPLES, at_once):
        resamples = min(at_once, RESAMPLES - first)
        drawn_YC = random.integers(0, cases, (resamples, cases))
        drawn_YC += np.arange(resamples)[:, None] * cases
        count_X = np.bincount(drawn_YC.ravel(), minlength=resamples * cases)
        yield count_X.reshape(resamples, cases).astype(float)


def _weighted_means(count_YC: Floats, value_CX: Floats) -> Floats:
    """Mean of every metric in every resample, NaN where a resample has no known case."""
    known_YX = count_YC @ (~np.isnan(value_CX)).astype(float)
    return (count_YC @ np.nan_to_num(value_CX)) / np.where(known_YX > 0, known_YX, np.nan)
