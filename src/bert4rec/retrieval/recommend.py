"""The best items of some users: scores of the model, made into lists by `ranking`.

Legend: B users, K list length, V item rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.histories import Histories
from bert4rec.ids import PAD
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import Scorer
from bert4rec.retrieval.ranking import EXCLUDED, exclude, top_k
from bert4rec.retrieval.rules import RulesOfItems


def best_items(
    scorer: Scorer, histories: Histories, k: int, seen: Histories | None = None
) -> tuple[Ints, Floats]:
    """The best item rows of each user and their scores, `[B, K]`; EXCLUDED where nothing is left to list."""
    item_BK, best_BK = top_k(listable_scores(scorer, histories, seen), k)
    return item_BK.cpu().numpy(), best_BK.cpu().numpy()


def ruled_items(
    scorer: NetworkScorer, histories: Histories, k: int, seen: Histories | None, rules: RulesOfItems
) -> tuple[Ints, Floats]:
    """The same under rules; PAD and EXCLUDED where a list ends early."""
    score_BV, item_VD = listable_scores(scorer, histories, seen).cpu().numpy(), scorer.item_VD.cpu()
    shape = len(score_BV), min(k, score_BV.shape[1])
    item_BK, best_BK = np.full(shape, PAD), np.full(shape, EXCLUDED, dtype=np.float32)
    for row, score_V in enumerate(score_BV):
        placed = [one.item for one in rules.place(score_V, k, item_VD)]
        item_BK[row, : len(placed)] = placed
        best_BK[row, : len(placed)] = score_V[placed]
    return item_BK, best_BK


def listable_scores(scorer: Scorer, histories: Histories, seen: Histories | None) -> Tensor:
    """The scores `[B, V]` of who has these histories, EXCLUDED for what may not be listed: what is in `seen` of each."""
    score_BV = scorer.score(histories)
    row_N, item_N = (
        (np.empty(0, np.int64),) * 2 if seen is None else (seen.row_N, seen.item_N.astype(np.int64))
    )
    return exclude(
        score_BV,
        torch.from_numpy(row_N).to(score_BV.device),
        torch.from_numpy(item_N).to(score_BV.device),
    )
