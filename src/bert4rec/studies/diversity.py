"""Accuracy and diversity of MMR-re-ranked lists at each value of the trade-off.

Re-ranking itself is left to `retrieval.reranking`.

Legend: B users of a batch, K items of a list, I candidates, D width, V item rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, Subset
from bert4rec.errors import UsageError
from bert4rec.evaluation.beyond_accuracy import (
    ItemTraits,
    beyond_accuracy_metrics,
    item_traits,
    mean_over_pairs,
)
from bert4rec.evaluation.columns import joined
from bert4rec.evaluation.evaluate import LIST_LENGTH, cases_of, target_items
from bert4rec.evaluation.intervals import mean_estimates
from bert4rec.evaluation.protocol import uses_request_time
from bert4rec.ids import PAD
from bert4rec.result_tables import Cell, Estimate, Table, to_plain
from bert4rec.retrieval.candidates import candidate_scores
from bert4rec.retrieval.ranking import top_k
from bert4rec.retrieval.reranking import MMR_CANDIDATES, mmr_rerank
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.progress import Progress, no_progress

DIVERSITIES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0)
"""Values of the `diversity` setting of MMR."""
ACCURACY = ("ndcg@10", "hit@10")
VARIETY = ("distance@10", "diversity@10", "novelty@10")
COVERAGE = "coverage@10"


@dataclass(frozen=True)
class DiversityCurve:
    """Metrics of the re-ranked lists at each value of `diversity`."""

    users: int
    request_time: bool
    values: Mapping[float, Mapping[str, Estimate]]
    """By diversity and metric; coverage has no interval."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        settings = [
            {"diversity": diversity, **to_plain(metrics)}
            for diversity, metrics in self.values.items()
        ]
        return {"users": self.users, "request_time": self.request_time, "settings": settings}

    def tables(self) -> list[Table]:
        """One table with a row for each value of `diversity`."""
        metrics = [name for name in (*ACCURACY, *VARIETY, COVERAGE) if self.has(name)]
        rows: list[list[Cell]] = [
            [f"{diversity:g}", *map(found.get, metrics)] for diversity, found in self.values.items()
        ]
        return [Table("MMR re-ranking", ["diversity", *metrics], rows)]

    def has(self, metric: str) -> bool:
        """True where the metric is known at every value of `diversity`."""
        return all(metric in found for found in self.values.values())


def diversity_curve(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = no_progress,
) -> DiversityCurve:
    """Metrics of MMR-re-ranked top-10 lists for every case, at each value of `diversity`.

    distance@10 is what MMR raises: 1 − the cosine of two items' vectors, averaged over the pairs
    of a list. diversity@10 and novelty@10 are those of `beyond_accuracy`. The request time is
    known where data and model have it.

    Raises UsageError for a scorer without item embeddings.
    """
    if not hasattr(scorer, "item_VD"):
        raise UsageError(
            "MMR re-ranking needs the item embeddings of one model; name one model alone"
        )
    cases = cases_of(dataset, split, subset)
    knows_time = uses_request_time(scorer, dataset)
    traits = item_traits(dataset, split)
    vector_VD = F.normalize(scorer.item_VD, dim=1)
    batches: dict[float, list[dict[str, Floats]]] = {diversity: [] for diversity in DIVERSITIES}
    listed_V = {diversity: np.zeros(dataset.item_rows, dtype=bool) for diversity in DIVERSITIES}
    for batch in progress(cases.batches(batch_size), -(-len(cases) // batch_size)):
        target_B = target_items(dataset, batch)
        histories = batch.histories(dataset, knows_time)
        score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
        item_BI, score_BI = top_k(score_BV, MMR_CANDIDATES)
        for diversity in DIVERSITIES:
            item_BK = mmr_rerank(item_BI, score_BI, vector_VD, LIST_LENGTH, diversity).numpy()
            metrics = _metrics(item_BK, target_B.numpy(), vector_VD, traits)
            batches[diversity].append(metrics)
            listed_V[diversity][item_BK[item_BK != PAD]] = True
    values = {
        diversity: {
            **mean_estimates(joined(parts), seed),
            COVERAGE: Estimate(float(listed_V[diversity].sum() / dataset.num_items)),
        }
        for diversity, parts in batches.items()
    }
    return DiversityCurve(len(cases), knows_time, values)


def _metrics(
    item_BK: Ints, target_B: Ints, vector_VD: Tensor, traits: ItemTraits
) -> dict[str, Floats]:
    """Accuracy and variety of each list."""
    is_target_BK = item_BK == target_B[:, None]
    gain_K = 1 / np.log2(np.arange(item_BK.shape[1]) + 2)
    beyond_accuracy = beyond_accuracy_metrics(item_BK, traits)
    return {
        "ndcg@10": (is_target_BK * gain_K).sum(1),
        "hit@10": is_target_BK.any(1).astype(float),
        "distance@10": _mean_distance(item_BK, vector_VD),
        **{name: value_B for name, value_B in beyond_accuracy.items() if name in VARIETY},
    }


def _mean_distance(item_BK: Ints, vector_VD: Tensor) -> Floats:
    """1 − cosine, averaged over the pairs of each list; NaN for lists of one item."""
    vector_BKD = vector_VD[torch.from_numpy(item_BK).to(vector_VD.device)]
    cosine_BKK = (vector_BKD @ vector_BKD.transpose(1, 2)).cpu().numpy()
    return mean_over_pairs(1 - cosine_BKK, item_BK != PAD)
