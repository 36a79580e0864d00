"""Penalty on the scores of cold-start items, so that they do not displace warm items.

A network scores a cold-start item like a typical item with its metadata. Most warm items score
lower. The penalty is the least with which warm
items lose no more accuracy than allowed, on validation: warm items scored by metadata only stand
for cold-start items, one fold of the catalogue at a time (docs/decisions/0014).

Legend: C validation cases, B those of a batch, V item rows, G folds of the catalogue, K items of a
ranked list, X items of one fold.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.config import FOLDS
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split
from bert4rec.evaluation.comparison import COMPARED
from bert4rec.evaluation.evaluate import LIST_LENGTH
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.protocol import uses_request_time
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.ranking import rank_of

BATCH_SIZE = 64
MIN_CASES = 10_000
"""Minimum sample of validation cases, where there are as many.

They suffice to measure a loss of a thousandth of the hits. A sample has less than twice as many.
"""
HALVINGS = 30
"""Steps of the bisection."""


def cold_item_penalty(
    scorer: NetworkScorer, dataset: PreparedDataset, split: Split, cost: float
) -> float:
    """Least penalty with which warm items lose at most a share `cost` of their accuracy.

    Accuracy is the validation Hit@10 and NDCG@10. 0 if the network does not score items by
    metadata, or without validation users.
    """
    excluded_V = torch.zeros(dataset.item_rows, dtype=torch.bool)
    excluded_V[:FIRST_ITEM] = True
    excluded_V[torch.from_numpy(split.cold_start_item_rows(dataset))] = True
    target_C = dataset.item_N[split.validation.target_C]
    warm = split.validation[~excluded_V.numpy()[target_C]]
    warm = warm[:: max(1, len(warm) // MIN_CASES)]
    if not len(warm) or not scorer.network.places_cold_start_items or cost >= 1:
        return 0.0
    batches = warm.batches(BATCH_SIZE)
    parts = [_ranks_and_leads(scorer, dataset, batch, excluded_V) for batch in batches]
    rank_C, lead_CGK = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
    return _least_penalty(rank_C, lead_CGK, cost)


def _least_penalty(rank_C: Tensor, lead_CGK: Tensor, cost: float) -> float:
    """Least penalty of at most this cost, by bisection: a larger penalty costs less."""
    low = 0.0
    high = max(float(lead_CGK.max()) + 1, 0.0)  # no simulated item leads by more
    if _cost(rank_C, lead_CGK, low) <= cost:
        return low
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        if _cost(rank_C, lead_CGK, middle) <= cost:
            high = middle
        else:
            low = middle
    return high


def _ranks_and_leads(
    scorer: NetworkScorer, dataset: PreparedDataset, batch: Cases, excluded_V: Tensor
) -> tuple[Tensor, Tensor]:
    """Rank `[B]` of each target among warm items, and leads `[B, G, K]` of simulated cold items.

    A lead is the score by metadata less the target's score; those of the best items of each fold
    are kept. Seen items and the target itself are not simulated.
    """
    histories = batch.histories(dataset, uses_request_time(scorer, dataset))
    target_B = torch.from_numpy(dataset.item_N[batch.target_C].astype(np.int64))
    score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
    score_BV = score_BV.cpu().masked_fill(excluded_V, EXCLUDED)
    own_B1 = score_BV.gather(1, target_B[:, None])
    metadata_BV = scorer.score_by_metadata(histories).cpu()
    metadata_BV = metadata_BV.masked_fill(score_BV == EXCLUDED, EXCLUDED)
    lead_BV = metadata_BV.scatter(1, target_B[:, None], EXCLUDED) - own_B1
    folds = [lead_BV[:, first::FOLDS] for first in range(FOLDS)]
    best = [fold_BX.topk(min(LIST_LENGTH, fold_BX.shape[1])).values for fold_BX in folds]
    length = min(lead_BK.shape[1] for lead_BK in best)
    lead_BGK = torch.stack([lead_BK[:, :length] for lead_BK in best], dim=1)
    return rank_of(score_BV, target_B), lead_BGK


def _cost(rank_C: Tensor, lead_CGK: Tensor, penalty: float) -> float:
    """Share of Hit@10 or NDCG@10, whichever is larger, lost to simulated items under a penalty."""
    before = rank_metrics(rank_C.numpy())
    displaced_CG = (lead_CGK >= penalty).sum(2)
    after = rank_metrics((rank_C[:, None] + displaced_CG).numpy())
    losses = [
        1 - after[name].mean() / before[name].mean() if before[name].any() else 0.0
        for name in COMPARED
    ]
    return max(losses)
