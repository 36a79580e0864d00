"""Metrics of one user each: from the rank of the only relevant item, and from a predicted rating.

Metrics beyond accuracy are left to `beyond_accuracy`, averages with intervals to `intervals`.

Legend: C cases (users).
"""

from __future__ import annotations

import numpy as np

from bert4rec.data.arrays import Floats, Ints

HIT_AT = (1, 5, 10, 20)
NDCG_AT = (5, 10, 20)


def rank_metrics(rank_C: Ints) -> dict[str, Floats]:
    """Hit@K, NDCG@K and the reciprocal rank of every case, from the rank (1 is best) of its target.

    The target is the only relevant item. The ideal DCG is then 1, so NDCG@K is 1 / log2(rank + 1)
    within the first K, else 0.
    """
    rank_C = np.asarray(rank_C, dtype=np.int64)
    gain_C = 1 / np.log2(rank_C + 1)
    return {
        **{f"hit@{k}": (rank_C <= k).astype(float) for k in HIT_AT},
        **{f"ndcg@{k}": np.where(rank_C <= k, gain_C, 0.0) for k in NDCG_AT},
        "mrr": 1 / rank_C,
    }


def mean_rank_metrics(rank_C: Ints) -> dict[str, float]:
    """Mean of each of the `rank_metrics`."""
    return {name: float(value_C.mean()) for name, value_C in rank_metrics(rank_C).items()}


def rating_metrics(error_C: Floats) -> dict[str, Floats]:
    """Squared and absolute error of each predicted rating, as the RMSE and the MAE average them."""
    return {"rating_rmse": error_C**2, "rating_mae": np.abs(error_C)}


def mean_of(name: str, mean: Floats) -> Floats:
    """Metric that a mean over cases stands for: its root for an RMSE, else the mean itself."""
    return np.sqrt(mean) if name == "rating_rmse" else mean
