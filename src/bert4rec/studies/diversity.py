"""What the diversity dial costs and gives: how right and how varied the lists are at each of its settings.

Legend: B users of a piece, C cases, K list length, I candidates, D width, V item rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import UsageError
from bert4rec.evaluation.beyond_accuracy import ItemTraits, beyond_accuracy_metrics, item_traits
from bert4rec.evaluation.evaluate import LISTED, can_know_the_time
from bert4rec.evaluation.intervals import mean_and_interval
from bert4rec.ids import PAD
from bert4rec.retrieval.candidates import candidate_scores
from bert4rec.retrieval.mmr import MMR_CANDIDATES, mmr_rerank
from bert4rec.retrieval.ranking import top_k
from bert4rec.retrieval.scorers import Scorer

SETTINGS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
ACCURACY = ("ndcg@10", "hit@10")
VARIETY = ("distance@10", "diversity@10", "novelty@10")


class WithVectors(Scorer, Protocol):
    """A scorer whose items have vectors: likeness is measured between them."""

    @property
    def item_VD(self) -> Tensor:
        """The vector of every item row."""


@dataclass(frozen=True)
class DiversityCurve:
    """The metrics of the lists at each setting, with 95 % intervals, and the share of the catalogue that is listed."""

    users: int
    request_time: bool
    values: Mapping[float, Mapping[str, tuple[float, tuple[float, float]]]]
    coverage: Mapping[float, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "users": self.users,
            "request_time": self.request_time,
            "settings": [
                {
                    "diversity": setting,
                    **{
                        name: {"value": value, "interval": list(edges)}
                        for name, (value, edges) in found.items()
                    },
                    "coverage@10": self.coverage[setting],
                }
                for setting, found in self.values.items()
            ],
        }


def diversity_curve(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[Iterator[Cases], int], Iterator[Cases]] = lambda pieces, _: pieces,
) -> DiversityCurve:
    """RecommendationTable of 10 at every setting of the dial, for every case; the request time is known where it can be.

    distance@10 is what the dial turns up, 1 − the cosine of two items' vectors, averaged over the pairs of a list;
    diversity@10 and novelty@10 are those of `lists`. Raises UsageError for a scorer without item vectors.
    """
    if not hasattr(scorer, "item_VD"):
        raise UsageError(
            "the diversity dial needs the item vectors of one model; name one model alone"
        )
    cases = split.cases(subset)
    knows, traits = can_know_the_time(scorer, dataset), item_traits(dataset, split)
    vector_VD = F.normalize(scorer.item_VD, dim=1)
    found: dict[float, list[dict[str, Floats]]] = {setting: [] for setting in SETTINGS}
    listed_V = {setting: np.zeros(dataset.item_rows, dtype=bool) for setting in SETTINGS}
    for piece in progress(cases.batches(batch_size), -(-len(cases) // batch_size)):
        target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
        histories = piece.histories(dataset, knows)
        score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
        item_BI, score_BI = top_k(score_BV, MMR_CANDIDATES)
        for setting in SETTINGS:
            item_BK = mmr_rerank(item_BI, score_BI, vector_VD, LISTED, setting).numpy()
            found[setting].append(_metrics(item_BK, target_B.numpy(), vector_VD, traits))
            listed_V[setting][item_BK[item_BK != PAD]] = True
    return DiversityCurve(
        users=len(cases),
        request_time=knows,
        values={
            setting: mean_and_interval(_joined(parts), seed) for setting, parts in found.items()
        },
        coverage={
            setting: float(listed.sum() / dataset.num_items) for setting, listed in listed_V.items()
        },
    )


def _metrics(
    item_BK: Ints, target_B: Ints, vector_VD: Tensor, traits: ItemTraits
) -> dict[str, Floats]:
    is_target_BK = item_BK == target_B[:, None]
    gain_K = 1 / np.log2(np.arange(item_BK.shape[1]) + 2)
    return {
        "ndcg@10": (is_target_BK * gain_K).sum(1),
        "hit@10": is_target_BK.any(1).astype(float),
        "distance@10": _distance(item_BK, vector_VD),
        **{
            name: value_B
            for name, value_B in beyond_accuracy_metrics(item_BK, traits).items()
            if name in VARIETY
        },
    }


def _distance(item_BK: Ints, vector_VD: Tensor) -> Floats:
    """1 − cosine, averaged over the pairs of each list; NaN for lists of one item."""
    vector_BKD = vector_VD[torch.from_numpy(item_BK).to(vector_VD.device)]
    likeness_BKK = (vector_BKD @ vector_BKD.transpose(1, 2)).cpu().numpy()
    first, second = np.triu_indices(item_BK.shape[1], 1)
    known_BX = (item_BK[:, first] != PAD) & (item_BK[:, second] != PAD)
    pairs_B = known_BX.sum(1)
    total_B = np.where(known_BX, 1 - likeness_BKK[:, first, second], 0).sum(1, dtype=float)
    return total_B / np.where(pairs_B > 0, pairs_B, np.nan)


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
