"""How far new items are held back, so that they do not crowd out the known ones.

Of a new item the metadata alone speaks, and a network scores it as the typical item of its kind: what trained most is
more than that, but most is less. Their scores are lowered until the known items lose no more than is allowed, on
validation, where known items without their ids stand for new ones: a fifth of the catalogue at a time.

Legend: C cases (users), B those of a piece, V item rows, F fifths, K places of a list.
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
CASES = 10_000
"""As many users are asked, or up to twice as many: enough to tell a thousandth of the others' hits."""
HALVINGS = 30


def cold_item_penalty(
    scorer: NetworkScorer, dataset: PreparedDataset, split: Split, cost: float
) -> float:
    """The least penalty of a new item's score by which known items keep all but a share `cost` of their Hit@10 and
    NDCG@10 on validation. 0 where new items cannot be placed, or where nobody validates.
    """
    new_V = torch.zeros(dataset.item_rows, dtype=torch.bool)
    new_V[:FIRST_ITEM] = True
    new_V[torch.from_numpy(split.cold_start_items(dataset))] = True
    known = split.validation[~new_V.numpy()[dataset.item_N[split.validation.target_C]]]
    known = known[:: max(1, len(known) // CASES)]
    if not len(known) or not scorer.network.places_cold_start_items or cost >= 1:
        return 0.0
    pieces = [_of_piece(scorer, dataset, piece, new_V) for piece in known.batches(BATCH_SIZE)]
    rank_C, ahead_CFK = (torch.cat(parts) for parts in zip(*pieces, strict=True))
    within, above = (
        0.0,
        max(float(ahead_CFK.max()) + 1, 0.0),
    )  # nothing new is ahead of a target above that
    if _cost(rank_C, ahead_CFK, within) <= cost:
        return within
    for _ in range(HALVINGS):
        middle = (within + above) / 2
        within, above = (
            (within, middle) if _cost(rank_C, ahead_CFK, middle) <= cost else (middle, above)
        )
    return above


def _of_piece(
    scorer: NetworkScorer, dataset: PreparedDataset, piece: Cases, new_V: Tensor
) -> tuple[Tensor, Tensor]:
    """The place `[B]` of each target among the known items, and by how much the best items without their ids are ahead
    of it, `[B, F, K]`: of each fifth of the catalogue. What is seen is neither, nor is the target without its id.
    """
    histories = piece.histories(dataset, uses_request_time(scorer, dataset))
    target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
    score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
    score_BV = score_BV.cpu().masked_fill(new_V, EXCLUDED)
    own_B1 = score_BV.gather(1, target_B[:, None])
    nameless_BV = (
        scorer.score_by_metadata(histories).cpu().masked_fill(score_BV == EXCLUDED, EXCLUDED)
    )
    ahead_BV = nameless_BV.scatter(1, target_B[:, None], EXCLUDED) - own_B1
    fifths = [ahead_BV[:, first::FOLDS] for first in range(FOLDS)]
    best = [fifth_BX.topk(min(LIST_LENGTH, fifth_BX.shape[1])).values for fifth_BX in fifths]
    least = min(of.shape[1] for of in best)
    return rank_of(score_BV, target_B), torch.stack([of[:, :least] for of in best], dim=1)


def _cost(rank_C: Tensor, ahead_CFK: Tensor, penalty: float) -> float:
    """The share of Hit@10 or NDCG@10, whichever is more, that known items lose to what is ahead despite the penalty."""
    before = rank_metrics(rank_C.numpy())
    after = rank_metrics((rank_C[:, None] + (ahead_CFK >= penalty).sum(2)).numpy())
    return max(
        1 - after[name].mean() / before[name].mean() if before[name].any() else 0.0
        for name in COMPARED
    )
