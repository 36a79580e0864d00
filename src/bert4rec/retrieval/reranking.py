"""MMR re-ranking: maximal marginal relevance under caps on feature values.

Source: Carbonell and Goldstein 1998, "The Use of MMR, Diversity-Based Reranking".

Legend: B users, I candidates, K items of a list, V item rows, D width, F feature values.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as functional
from torch import Tensor

from bert4rec.ids import PAD
from bert4rec.retrieval.candidates import EXCLUDED

MMR_CANDIDATES = 200
"""Default number of candidates, the best by score: as many as the diversity study re-ranks."""


@dataclass(frozen=True)
class Caps:
    """Limits on how many items of a list share a feature value."""

    value_VF: Tensor
    """True where an item has the value."""
    cap_F: Tensor
    """Most items of a list that may have the value."""


def mmr_rerank(
    item_BI: Tensor,
    score_BI: Tensor,
    item_VD: Tensor,
    k: int,
    diversity: float,
    caps: Caps | None = None,
) -> Tensor:
    """Item rows `[B, min(k, I)]` in the order of MMR, on the CPU; PAD where no candidate is left.

    Each step takes the item of the largest (1 − diversity) · relevance − diversity · similarity.
    Relevance is the score, scaled to 0 … 1 over the user's candidates. Similarity is the largest
    cosine to an item taken before. EXCLUDED items are never taken, nor are items over a cap.
    """
    item_BI, score_BI = item_BI.cpu(), score_BI.cpu()
    users = torch.arange(len(item_BI))
    vector_BID = functional.normalize(item_VD.cpu()[item_BI], dim=2)
    relevance_BI = _relevance(score_BI)
    similarity_BI = torch.zeros_like(relevance_BI)
    capacity = _Capacity(caps, item_BI)
    left_BI = score_BI > EXCLUDED
    taken_BK = torch.full((len(item_BI), min(k, item_BI.shape[1])), PAD)
    for rank in range(taken_BK.shape[1]):
        allowed_BI = left_BI & capacity.has_room_BI()
        margin_BI = (1 - diversity) * relevance_BI - diversity * similarity_BI
        best_B = margin_BI.masked_fill(~allowed_BI, EXCLUDED).argmax(1)
        found_B = allowed_BI[users, best_B]
        taken_BK[:, rank] = item_BI[users, best_B].where(found_B, PAD)
        left_BI[users, best_B] = False
        # A user without a candidate now has none later either.
        left_BI &= found_B[:, None]
        capacity.take(best_B)
        cosine_BI = (vector_BID @ vector_BID[users, best_B][:, :, None])[:, :, 0]
        similarity_BI = cosine_BI if rank == 0 else similarity_BI.maximum(cosine_BI)
    return taken_BK


def _relevance(score_BI: Tensor) -> Tensor:
    """Scores scaled to 0 … 1 over each user's candidates; 0 for excluded ones."""
    excluded_BI = score_BI <= EXCLUDED
    low_B1 = score_BI.masked_fill(excluded_BI, torch.inf).amin(1, keepdim=True)
    high_B1 = score_BI.amax(1, keepdim=True)
    spread_B1 = (high_B1 - low_B1).clamp(min=1e-9)
    return ((score_BI - low_B1) / spread_B1).nan_to_num(0, 0, 0)


class _Capacity:
    """Room that the caps leave for each feature value, list by list."""

    def __init__(self, caps: Caps | None, item_BI: Tensor) -> None:
        self.caps = caps
        self.users = torch.arange(len(item_BI))
        if caps is not None:
            self.value_BIF = caps.value_VF[item_BI]
            self.count_BF = torch.zeros(len(item_BI), len(caps.cap_F), dtype=torch.long)

    def has_room_BI(self) -> Tensor:
        """True for candidates none of whose values has reached its cap."""
        if self.caps is None:
            return torch.ones((), dtype=torch.bool)
        is_full_BF = self.count_BF >= self.caps.cap_F
        return ~(self.value_BIF & is_full_BF[:, None]).any(2)

    def take(self, position_B: Tensor) -> None:
        """Count the values of the candidate that each list takes."""
        if self.caps is not None:
            self.count_BF += self.value_BIF[self.users, position_B]
