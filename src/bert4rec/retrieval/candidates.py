"""Scores of the candidates: excluded items score minus infinity. Ranking them is left to `ranking`.

Legend: B users, V item rows (PAD and MASK included), N events of all users.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories
from bert4rec.errors import Diverged
from bert4rec.ids import FIRST_ITEM
from bert4rec.retrieval.scorers import Scorer

EXCLUDED = -torch.inf
"""Score of an item that is no candidate."""


def candidate_scores(
    scorer: Scorer,
    histories: Histories,
    *,
    seen: Histories | None,
    target_B: Tensor | None = None,
) -> Tensor:
    """Scores `[B, V]` on the scorer's device; PAD, MASK and each user's seen items are EXCLUDED.

    `seen` None filters no seen items. A target stays a candidate even if the user has seen it.
    Raises Diverged as `valid_scores` does.
    """
    score_BV = valid_scores(scorer, histories)
    if target_B is None:
        return _exclude_seen(score_BV, seen)
    target_B1 = target_B.to(score_BV.device)[:, None]
    target_score_B1 = score_BV.gather(1, target_B1)
    _exclude_seen(score_BV, seen)
    return score_BV.scatter_(1, target_B1, target_score_B1)


def valid_scores(scorer: Scorer, histories: Histories) -> Tensor:
    """Scores `[B, V]` of every item.

    Raises Diverged if a real item scores NaN or infinity, or all of them minus infinity: no list
    could be made of that.
    """
    score_BV = scorer.score(histories)
    # The largest is NaN where any score is.
    best_B = score_BV[:, FIRST_ITEM:].amax(1)
    wrong_B = best_B[~best_B.isfinite()]
    if len(wrong_B):
        raise diverged(scorer.name, "NaN" if wrong_B.isnan().any() else "infinity")
    return score_BV


def diverged(name: str, value: str) -> Diverged:
    """Error about a model that answers with a value that is no number."""
    return Diverged(
        f"{name}: scored {value}; its training has diverged, lower the learning rate "
        "(or a number of the request is far beyond those of the data)"
    )


def exclude(score_BV: Tensor, row_N: Tensor, item_N: Tensor) -> Tensor:
    """Exclude PAD, MASK and the given (user, item) pairs, in place."""
    score_BV[:, :FIRST_ITEM] = EXCLUDED
    score_BV[row_N, item_N] = EXCLUDED
    return score_BV


def _exclude_seen(score_BV: Tensor, seen: Histories | None) -> Tensor:
    """Exclude PAD, MASK and each user's seen items, in place."""
    if seen is None:
        score_BV[:, :FIRST_ITEM] = EXCLUDED
        return score_BV
    row_N = torch.from_numpy(seen.row_N).to(score_BV.device)
    item_N = torch.from_numpy(seen.item_N.astype(np.int64)).to(score_BV.device)
    return exclude(score_BV, row_N, item_N)
