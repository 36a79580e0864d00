"""Bootstrap over users: how far a mean would move if other users had been asked.

Legend: C cases (users), R resamples, X metrics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from bert4rec.evaluation.metrics import Floats, mean_of

RESAMPLES = 1000
LEVEL = 0.95
COUNTS_IN_PIECE = 2**22
"""Users times resamples that are drawn at once: what bounds the memory."""


def mean_and_interval(value_C: Mapping[str, Floats], seed: int = 0) -> dict[str, tuple[float, tuple[float, float]]]:
    """The mean of each column and its 95 % percentile interval (Efron 1979), all columns on the same resamples.

    Cases whose value is NaN have none and do not count; a column without any value is left out.
    """
    known = {name: column_C for name, column_C in value_C.items() if not np.isnan(column_C).all()}
    if not known:
        return {}
    value_CX = np.stack([np.asarray(column_C, dtype=float) for column_C in known.values()], axis=1)
    mean_X = _weighted_mean(np.ones((1, len(value_CX))), value_CX)[0]
    mean_RX = np.concatenate([_weighted_mean(count_RC, value_CX) for count_RC in _draws(len(value_CX), seed)])
    edges_2X = np.nanquantile(mean_RX, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return {
        name: (float(mean_of(name, mean_X[place])), tuple(mean_of(name, edges_2X[:, place]).tolist()))
        for place, name in enumerate(known)
    }


def rmse_difference(one_C: Floats, other_C: Floats, seed: int = 0) -> tuple[float, tuple[float, float]] | None:
    """The difference of two RMSEs and its 95 % interval, from the squared errors of the same users.

    Users whose error is NaN in either do not count; None where none is left.
    """
    both_C = ~np.isnan(one_C + other_C)
    if not both_C.any():
        return None
    square_C2 = np.stack([one_C[both_C], other_C[both_C]], axis=1)
    mean_R2 = np.concatenate([_weighted_mean(count_RC, square_C2) for count_RC in _draws(len(square_C2), seed)])
    low, high = np.quantile(np.sqrt(mean_R2) @ [1, -1], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(np.sqrt(square_C2.mean(0)) @ [1, -1]), (float(low), float(high))


def _draws(cases: int, seed: int) -> Iterator[Floats]:
    """How often each user was drawn, `[resamples, cases]`, piece by piece."""
    random, done = np.random.default_rng(seed), 0
    while done < RESAMPLES:
        resamples = min(RESAMPLES - done, max(1, COUNTS_IN_PIECE // cases))
        drawn_RC = random.integers(0, cases, (resamples, cases)) + np.arange(resamples)[:, None] * cases
        yield np.bincount(drawn_RC.ravel(), minlength=resamples * cases).reshape(resamples, cases).astype(float)
        done += resamples


def _weighted_mean(count_RC: Floats, value_CX: Floats) -> Floats:
    known_RX = count_RC @ (~np.isnan(value_CX)).astype(float)
    return (count_RC @ np.nan_to_num(value_CX)) / np.where(known_RX > 0, known_RX, np.nan)
