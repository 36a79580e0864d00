"""Scores of the candidates: what a scorer says of every item, with excluded items at minus infinity.

Legend: B users, V item rows, R rating levels.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.histories import Histories
from bert4rec.errors import Diverged
from bert4rec.retrieval.ranking import exclude, rank_of


class Scorer(Protocol):
    """Whatever can say how well each item would come next: a network, a counting rule, an ensemble."""

    name: str

    def score(self, histories: Histories) -> Tensor:
        """Scores `[B, item rows]`, higher is better; the columns of PAD and MASK mean nothing.

        The tensor is the caller's: what is seen is struck out in place.
        """


@runtime_checkable
class RatingScorer(Protocol):
    """A scorer that may also predict the rating of a known item."""

    @property
    def predicts_ratings(self) -> bool:
        """Whether it does."""

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """How likely each rating level is, `[B, R]`."""


def target_rank(scorer: Scorer, histories: Histories, target_B: Tensor) -> Ints:
    """The place `[B]` of each target among all items the user has not seen, from 1; ties count against the scorer.

    A target that was seen before stays a candidate: the question is where it stands, not whether it may be asked.
    """
    score_BV = candidate_scores(scorer, histories, target_B)
    return rank_of(score_BV, target_B.to(score_BV.device)).cpu().numpy()


def candidate_scores(scorer: Scorer, histories: Histories, target_B: Tensor) -> Tensor:
    """The scores `[B, V]`, EXCLUDED for what is seen but for the target, on whatever device the scorer scores."""
    score_BV = finite_scores(scorer, histories)
    device = score_BV.device
    target_B = target_B.to(device)
    own_B1 = score_BV.gather(1, target_B[:, None])
    row_N, item_N = (
        torch.from_numpy(histories.row_N),
        torch.from_numpy(histories.item_N.astype(np.int64)),
    )
    exclude(score_BV, row_N.to(device), item_N.to(device))
    return score_BV.scatter_(1, target_B[:, None], own_B1)


def finite_scores(scorer: Scorer, histories: Histories) -> Tensor:
    """The scores `[B, V]`. Raises Diverged where they are no numbers."""
    score_BV = scorer.score(histories)
    if score_BV.isnan().any():
        raise Diverged(
            f"{scorer.name}: scored NaN; its training has diverged, lower the learning rate"
        )
    return score_BV
