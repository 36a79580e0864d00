"""Scores to lists and ranks: the only code in the package that makes a list.

Legend: B users, V item rows (PAD and MASK included), K list length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bert4rec.ids import FIRST_ITEM

EXCLUDED = -torch.inf
"""The score of what may not be listed."""
CANDIDATES = 200
"""What diversity chooses from, the best by score."""


def exclude(score_BV: Tensor, row_N: Tensor, item_N: Tensor) -> Tensor:
    """The scores with PAD, MASK and the N given (row, item) pairs put out of every list, in place."""
    score_BV[:, :FIRST_ITEM] = EXCLUDED
    score_BV[row_N, item_N] = EXCLUDED
    return score_BV


def top_k(score_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The K best items of every user and their scores, best first; ties go to the lower item row.

    Both are `[B, min(k, V)]`; places that nothing may fill score minus infinity.
    """
    k = min(k, score_BV.shape[1])
    best = score_BV.topk(min(k + 1, score_BV.shape[1]), dim=1)
    item_BK = best.indices[:, :k].sort(dim=1).values
    tied_B = (
        best.values[:, k - 1] == best.values[:, -1]
        if best.values.shape[1] > k
        else torch.zeros(len(score_BV)) > 0
    )
    if tied_B.any():
        item_BK[tied_B] = _lowest_of_ties(score_BV[tied_B], best.values[tied_B, k - 1 : k], k)
    order_BK = score_BV.gather(1, item_BK).sort(dim=1, descending=True, stable=True).indices
    item_BK = item_BK.gather(1, order_BK)
    return item_BK, score_BV.gather(1, item_BK)


def _lowest_of_ties(score_BV: Tensor, threshold_B1: Tensor, k: int) -> Tensor:
    """Where items tie at the last place: all above it and the lowest rows at it, `[B, K]` in the order of rows."""
    at_BV = score_BV == threshold_B1
    room_B1 = k - (score_BV > threshold_B1).sum(1, keepdim=True)
    kept_BV = (score_BV > threshold_B1) | (at_BV & (at_BV.cumsum(1) <= room_B1))
    return kept_BV.nonzero()[:, 1].view(-1, k)


def mmr_rerank(
    score_BN: Tensor, vector_BND: Tensor, k: int, diversity: float, value_BNW: Tensor, cap_W: Tensor
) -> Tensor:
    """Places of the K candidates that are chosen one after another, `[B, K]`; -1 where none is left that may be.

    The next one is that of the largest (1 − diversity) · score − diversity · likeness (maximal marginal relevance,
    Carbonell and Goldstein 1998): the score on a scale from 0 to 1 over the candidates, the likeness the largest cosine
    to what is chosen already. No value W that the candidates have may occur more than `cap_W` times. Candidates of
    score minus infinity are none.
    """
    B, N = score_BN.shape
    may_BN, rows = score_BN > EXCLUDED, torch.arange(B)
    low_B1 = score_BN.masked_fill(~may_BN, torch.inf).amin(1, keepdim=True)
    high_B1 = score_BN.amax(1, keepdim=True)
    relevance_BN = ((score_BN - low_B1) / (high_B1 - low_B1).clamp(min=1e-9)).nan_to_num(0, 0, 0)
    vector_BND = torch.nn.functional.normalize(vector_BND, dim=2)
    likeness_BN = torch.zeros_like(relevance_BN)
    count_BW = torch.zeros(B, len(cap_W), dtype=torch.long)
    chosen_BK = torch.full((B, min(k, N)), -1)
    for place in range(chosen_BK.shape[1]):
        full_BNW = value_BNW & (count_BW >= cap_W)[:, None]
        able_BN = may_BN & ~full_BNW.any(2)
        worth_BN = (1 - diversity) * relevance_BN - diversity * likeness_BN
        best_B = worth_BN.masked_fill(~able_BN, EXCLUDED).argmax(1)
        is_able_B = able_BN[rows, best_B]
        chosen_BK[:, place] = best_B.where(is_able_B, -1)
        may_BN = may_BN & ((torch.arange(N) != best_B[:, None]) & is_able_B[:, None])
        count_BW += value_BNW[rows, best_B].long()
        cosine_BN = (vector_BND @ vector_BND[rows, best_B][:, :, None])[:, :, 0]
        likeness_BN = cosine_BN if place == 0 else torch.maximum(likeness_BN, cosine_BN)
    return chosen_BK


def rank_of(score_BV: Tensor, target_B: Tensor) -> Tensor:
    """The place of each target in its user's list, from 1; items with an equal score stand before it."""
    target_score_B1 = score_BV.gather(1, target_B[:, None])
    return (score_BV >= target_score_B1).sum(1)
