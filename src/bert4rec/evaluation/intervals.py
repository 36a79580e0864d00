"""Bootstrap over users: how far a mean would move if other users had been asked.

Legend: C cases (users), R resamples, X metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bert4rec.data.arrays import Floats
from bert4rec.evaluation.metrics import mean_of

RESAMPLES = 1000
LEVEL = 0.95
COUNTS_IN_PIECE = 2**22
"""Users times resamples that are drawn at once: what bounds the memory."""


def mean_and_interval(
    value_C: Mapping[str, Floats], seed: int = 0
) -> dict[str, tuple[float, tuple[float, float]]]:
    """The mean of each column and its 95 % percentile interval (Efron 1979), all columns on the same resamples.

    Cases whose value is NaN have none and do not count; a column without any value is left out.
    """
    known = {name: column_C for name, column_C in value_C.items() if not np.isnan(column_C).all()}
    return {
        name: _with_edges(mean_of(name, mean_R))
        for name, mean_R in _resampled_means(known, seed).items()
    }


def difference_and_interval(
    first_C: Mapping[str, Floats], second_C: Mapping[str, Floats], seed: int = 0
) -> dict[str, tuple[float, tuple[float, float]]]:
    """The same of the first's metric minus the second's, on the same resamples; cases that one lacks do not count.

    Of metrics, not of cases: the RMSEs of a resample are subtracted after their roots are taken.
    """
    first, second = _paired_means(first_C, second_C, seed)
    return {
        name: _with_edges(mean_of(name, first[name]) - mean_of(name, second[name]))
        for name in first
    }


def loss_and_interval(
    before_C: Mapping[str, Floats], after_C: Mapping[str, Floats], seed: int = 0
) -> dict[str, tuple[float, tuple[float, float]]]:
    """The share of each of the first's means that the second lacks, likewise; where there is nothing to lose, none."""
    before, after = _paired_means(before_C, after_C, seed)
    return {
        name: _with_edges(1 - after[name] / before[name])
        for name in before
        if (before[name] > 0).all()
    }


def _paired_means(
    first_C: Mapping[str, Floats], second_C: Mapping[str, Floats], seed: int
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """The means of both over the cases that both know, and those of all resamples."""
    pairs = {
        name: _where_both_known(column_C, second_C[name]) for name, column_C in first_C.items()
    }
    pairs = {name: pair for name, pair in pairs.items() if not np.isnan(pair).all()}
    first, second = (
        _resampled_means({name: pair[side] for name, pair in pairs.items()}, seed)
        for side in (0, 1)
    )
    return first, second


def _where_both_known(first_C: Floats, second_C: Floats) -> Floats:
    pair_2C = np.stack([first_C, second_C]).astype(float)
    return np.where(np.isnan(pair_2C).any(0), np.nan, pair_2C)


def _with_edges(value_R: Floats) -> tuple[float, tuple[float, float]]:
    """The first value, that of the cases as they are, and the edges that hold 95 % of the others."""
    low, high = np.nanquantile(value_R[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return float(value_R[0]), (low, high)


def _resampled_means(value_C: Mapping[str, Floats], seed: int) -> dict[str, Floats]:
    """Each column's mean over the known cases, and after it those of all resamples."""
    if not value_C:
        return {}
    value_CX = np.stack(
        [np.asarray(column_C, dtype=float) for column_C in value_C.values()], axis=1
    )
    as_it_is_RC = np.ones((1, len(value_CX)))
    mean_RX = np.concatenate(
        [
            _weighted_mean(count_RC, value_CX)
            for count_RC in (as_it_is_RC, *_draws(len(value_CX), seed))
        ]
    )
    return dict(zip(value_C, mean_RX.T, strict=True))


def _draws(cases: int, seed: int) -> Iterator[Floats]:
    """How often each user was drawn, `[resamples, cases]`, piece by piece."""
    random, done = np.random.default_rng(seed), 0
    while done < RESAMPLES:
        resamples = min(RESAMPLES - done, max(1, COUNTS_IN_PIECE // cases))
        drawn_RC = (
            random.integers(0, cases, (resamples, cases)) + np.arange(resamples)[:, None] * cases
        )
        yield (
            np.bincount(drawn_RC.ravel(), minlength=resamples * cases)
            .reshape(resamples, cases)
            .astype(float)
        )
        done += resamples


def _weighted_mean(count_RC: Floats, value_CX: Floats) -> Floats:
    known_RX = count_RC @ (~np.isnan(value_CX)).astype(float)
    return (count_RC @ np.nan_to_num(value_CX)) / np.where(known_RX > 0, known_RX, np.nan)
