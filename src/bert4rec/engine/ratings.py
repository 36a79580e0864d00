"""Expected ratings of items, and their intervals.

Legend: B items of one user, R rating levels.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.evaluation.rating_intervals import rating_intervals
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import diverged

ExpectedRating = tuple[float, tuple[float, float]] | tuple[None, None]
"""Expected rating and its interval; None if the model predicts no ratings."""


def expected_ratings(
    scorer: NetworkScorer, dataset: PreparedDataset, history: Histories, items: Sequence[int]
) -> list[ExpectedRating]:
    """Mean of each item's rating distribution, and the lowest and highest level of its interval.

    Raises Diverged if a probability is NaN.
    """
    if not scorer.predicts_ratings or not items:
        return [(None, None)] * len(items)
    probability_BR = scorer.rating_distribution(history, torch.tensor(items)).cpu().numpy()
    if not np.isfinite(probability_BR).all():
        raise diverged(scorer.name, "NaN")
    level_R = dataset.rating_levels
    first_B, last_B, _ = rating_intervals(probability_BR)
    intervals = zip(level_R[first_B].tolist(), level_R[last_B].tolist(), strict=True)
    return list(zip((probability_BR @ level_R).tolist(), intervals, strict=True))
