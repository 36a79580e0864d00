"""Bootstrap over users: how far a mean would move if other users had been asked.

Legend: C cases (users), R resamples.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from bert4rec.evaluation.metrics import Floats

RESAMPLES = 1000
LEVEL = 0.95
_COUNTS_IN_PIECE = 2**24


def bootstrap(
    value_C: Mapping[str, Floats], seed: int = 0, finish: Mapping[str, Callable[[Floats], Floats]] | None = None
) -> dict[str, tuple[float, float]]:
    """The 95 % percentile interval of the mean of each column (Efron 1979), all columns on the same resamples.

    Cases whose value is NaN have none and do not count. `finish` turns means into metrics (a root, for an RMSE).
    """
    names = list(value_C)
    columns_CX = np.stack([np.asarray(value_C[name], dtype=float) for name in names], axis=1)
    known_CX = ~np.isnan(columns_CX)
    mean_RX = _resampled_means(np.nan_to_num(columns_CX), known_CX, np.random.default_rng(seed))
    edges = [(1 - LEVEL) / 2, (1 + LEVEL) / 2]
    intervals = {}
    for place, name in enumerate(names):
        mean_R = mean_RX[:, place]
        low, high = np.nanquantile(finish[name](mean_R) if finish and name in finish else mean_R, edges)
        intervals[name] = (float(low), float(high))
    return intervals


def _resampled_means(value_CX: Floats, known_CX: Floats, random: np.random.Generator) -> Floats:
    cases = len(value_CX)
    pieces = []
    for first in range(0, RESAMPLES, max(1, _COUNTS_IN_PIECE // cases)):
        resamples = min(RESAMPLES - first, max(1, _COUNTS_IN_PIECE // cases))
        drawn_RC = random.integers(0, cases, (resamples, cases))
        row_R1 = np.arange(resamples)[:, None] * cases
        count_RC = np.bincount((drawn_RC + row_R1).ravel(), minlength=resamples * cases).reshape(resamples, cases)
        known_RX = count_RC @ known_CX.astype(float)
        pieces.append((count_RC @ value_CX) / np.where(known_RX > 0, known_RX, np.nan))
    return np.concatenate(pieces)
