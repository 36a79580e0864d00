"""Metrics of one user each: of the place of the one relevant item, and of the list as a list.

Legend: C cases (users), K list length, V item rows, M values an item may have.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.histories import Ints

HIT_AT = (1, 5, 10, 20)
NDCG_AT = (5, 10, 20)

Floats = NDArray[np.floating[Any]]


def place_metrics(place_C: Ints) -> dict[str, Floats]:
    """Hit@K, NDCG@K and the reciprocal rank of every case, from the place (1 is best) of its only relevant item.

    With one relevant item the ideal DCG is 1, so NDCG@K is 1 / log2(place + 1) within the first K, else 0.
    """
    place_C = np.asarray(place_C, dtype=np.int64)
    gain_C = 1 / np.log2(place_C + 1)
    return {
        **{f"hit@{k}": (place_C <= k).astype(float) for k in HIT_AT},
        **{f"ndcg@{k}": np.where(place_C <= k, gain_C, 0.0) for k in NDCG_AT},
        "mrr": 1 / place_C,
    }


def summarise(place_C: Ints) -> dict[str, float]:
    """The means of `place_metrics`."""
    return {name: float(value_C.mean()) for name, value_C in place_metrics(place_C).items()}


def list_metrics(item_CK: Ints, share_V: Floats, values_VM: Ints | None) -> Mapping[str, Floats]:
    """What the lists are like, whether right or wrong; averages over each list.

    popularity@10: percentile of the items' popularity, 1 for the most popular; novelty@10: −log2 of the share of users
    who have the item (Zhou et al. 2010), in bits; diversity@10: 1 − Jaccard similarity of the items' values (genres),
    averaged over pairs. `share_V` is the share of training users with each item.
    """
    order_V = np.argsort(np.argsort(share_V, kind="stable"), kind="stable") / max(1, len(share_V) - 1)
    least = 1 / max(2.0, 1 / max(share_V[share_V > 0].min(initial=1.0), 1e-12))
    metrics = {
        "popularity@10": order_V[item_CK].mean(1),
        "novelty@10": -np.log2(np.maximum(share_V, least))[item_CK].mean(1),
    }
    if values_VM is not None and item_CK.shape[1] > 1:
        metrics["diversity@10"] = _unlikeness(values_VM, item_CK)
    return metrics


def _unlikeness(values_VM: Ints, item_CK: Ints) -> Floats:
    """1 − Jaccard similarity of value sets, averaged over the pairs of each list."""
    has_VW = np.zeros((len(values_VM), int(values_VM.max(initial=0)) + 1), dtype=np.float32)
    np.put_along_axis(has_VW, np.asarray(values_VM, dtype=np.int64), 1.0, axis=1)
    has_CKW = has_VW[:, 1:][item_CK]
    shared_CKK = has_CKW @ has_CKW.transpose(0, 2, 1)
    size_CK = has_CKW.sum(2)
    either_CKK = size_CK[:, :, None] + size_CK[:, None] - shared_CKK
    likeness_CKK = np.divide(shared_CKK, either_CKK, out=np.zeros_like(shared_CKK), where=either_CKK > 0)
    first, second = np.triu_indices(item_CK.shape[1], 1)
    return 1 - likeness_CKK[:, first, second].mean(1)
