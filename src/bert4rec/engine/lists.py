"""The best items of some users: scores of the model, made into lists by `ranking`.

Legend: B users, K list length, V item rows.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories, Ints
from bert4rec.evaluation.evaluate import Scorer
from bert4rec.evaluation.metrics import Floats
from bert4rec.ranking import exclude, top_k


def best_items(scorer: Scorer, histories: Histories, k: int, filter_seen: bool = True) -> tuple[Ints, Floats]:
    """The best item rows of each user and their scores, `[B, K]`; NEVER where nothing is left to list."""
    item_BK, best_BK = top_k(listable_scores(scorer, histories, filter_seen), k)
    return item_BK.cpu().numpy(), best_BK.cpu().numpy()


def listable_scores(scorer: Scorer, histories: Histories, filter_seen: bool) -> Tensor:
    """The scores `[B, V]`, NEVER for what may not be listed."""
    score_BV = scorer.score(histories)
    device, seen = score_BV.device, slice(None) if filter_seen else slice(0)
    row_N, item_N = torch.from_numpy(histories.row_N[seen]), torch.from_numpy(histories.item_N[seen].astype(np.int64))
    return exclude(score_BV, row_N.to(device), item_N.to(device))
