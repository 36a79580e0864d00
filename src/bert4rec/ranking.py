"""Scores to lists and ranks: the only code in the package that makes a list.

Legend: B users, V item rows (PAD and MASK included), K list length.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bert4rec.ids import FIRST_ITEM

NEVER = -torch.inf
"""The score of what may not be listed."""


def exclude(score_BV: Tensor, row_N: Tensor, item_N: Tensor) -> Tensor:
    """The scores with PAD, MASK and the N given (row, item) pairs put out of every list, in place."""
    score_BV[:, :FIRST_ITEM] = NEVER
    score_BV[row_N, item_N] = NEVER
    return score_BV


def top_k(score_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The K best items of every user and their scores, best first; ties go to the lower item row.

    Both are `[B, min(k, V)]`; places that nothing may fill score minus infinity.
    """
    k = min(k, score_BV.shape[1])
    best = score_BV.topk(min(k + 1, score_BV.shape[1]), dim=1)
    item_BK = best.indices[:, :k].sort(dim=1).values
    tied_B = best.values[:, k - 1] == best.values[:, -1] if best.values.shape[1] > k else torch.zeros(len(score_BV)) > 0
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


def rank_of(score_BV: Tensor, target_B: Tensor) -> Tensor:
    """The place of each target in its user's list, from 1; items with an equal score stand before it."""
    target_score_B1 = score_BV.gather(1, target_B[:, None])
    return (score_BV >= target_score_B1).sum(1)
