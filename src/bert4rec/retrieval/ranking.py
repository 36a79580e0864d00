"""Top-k items and ranks of given scores. Rules and re-ranking are left to `recommend`.

Legend: B users, V item rows (PAD and MASK included), K items of a list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.histories import Histories
from bert4rec.ids import PAD
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.scorers import Scorer

COMPARISONS_AT_ONCE = 2**24
"""Most comparisons of `list_rank` at once, 16 MiB; it limits the memory for long lists."""


def top_k(score_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Top-k items of each user and their scores, best first; ties go to the lower item row.

    Both are `[B, min(k, V)]`. Where candidates run out, the score is EXCLUDED.

    >>> top_k(torch.tensor([[0.0, 2.0, 3.0, 2.0]]), 2)
    (tensor([[2, 1]]), tensor([[3., 2.]]))
    """
    rows = score_BV.shape[1]
    k = min(k, rows)
    # `topk` breaks ties at will: one item more shows whether the last one was tied.
    best = score_BV.topk(min(k + 1, rows), dim=1)
    item_BK = best.indices[:, :k].sort(dim=1).values
    if k < rows:
        tied_B = best.values[:, k - 1] == best.values[:, k]
        if tied_B.any():
            last_score_B1 = best.values[tied_B, k - 1 : k]
            item_BK[tied_B] = _lowest_tied_rows(score_BV[tied_B], last_score_B1, k)
    order_BK = score_BV.gather(1, item_BK).sort(dim=1, descending=True, stable=True).indices
    item_BK = item_BK.gather(1, order_BK)
    return item_BK, score_BV.gather(1, item_BK)


def top_candidates(score_BV: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Items and scores of `top_k`, with PAD for the item where candidates run out."""
    item_BK, score_BK = top_k(score_BV, k)
    return item_BK.where(score_BK > EXCLUDED, PAD), score_BK


def _lowest_tied_rows(score_BV: Tensor, last_score_B1: Tensor, k: int) -> Tensor:
    """Top-k items where several tie at the last score: the lowest rows win, `[B, K]` by row."""
    above_BV = score_BV > last_score_B1
    tied_BV = score_BV == last_score_B1
    room_B1 = k - above_BV.sum(1, keepdim=True)
    kept_BV = above_BV | (tied_BV & (tied_BV.cumsum(1) <= room_B1))
    return kept_BV.nonzero()[:, 1].view(-1, k)


def rank_of(score_BV: Tensor, target_B: Tensor) -> Tensor:
    """Rank of each user's target, from 1; ties count against the target.

    >>> rank_of(torch.tensor([[1.0, 1.0, 3.0]]), torch.tensor([0]))
    tensor([3])
    """
    target_score_B1 = score_BV.gather(1, target_B[:, None])
    return (score_BV >= target_score_B1).sum(1)


def list_rank(score_BV: Tensor, item_BK: Tensor) -> Tensor:
    """Rank `[B, K]` of each item in the full list of `top_k`, from 1; ties go to the lower row."""
    items_at_once = max(1, COMPARISONS_AT_ONCE // score_BV.numel())
    ranks = [_list_rank(score_BV, part_BK) for part_BK in item_BK.split(items_at_once, dim=1)]
    return torch.cat(ranks, dim=1)


def _list_rank(score_BV: Tensor, item_BK: Tensor) -> Tensor:
    """Rank of each item, by comparison with every item row: K is small."""
    score_BK1 = score_BV.gather(1, item_BK)[:, :, None]
    score_B1V = score_BV[:, None, :]
    row_V = torch.arange(score_BV.shape[1], device=score_BV.device)
    is_lower_BKV = row_V < item_BK[:, :, None]
    is_before_BKV = (score_B1V > score_BK1) | ((score_B1V == score_BK1) & is_lower_BKV)
    return is_before_BKV.sum(2) + 1


def target_rank(scorer: Scorer, histories: Histories, target_B: Tensor) -> Ints:
    """Rank `[B]` of each target among all items that the user has not seen, from 1.

    Ties count against the scorer. A target that the user has seen stays a candidate.
    """
    score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
    return rank_of(score_BV, target_B.to(score_BV.device)).cpu().numpy()
