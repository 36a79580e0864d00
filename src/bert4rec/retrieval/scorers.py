"""Interfaces of a scorer, which networks and baselines implement.

Legend: B users, V item rows, R rating levels.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import Tensor

from bert4rec.data.histories import Histories


class Scorer(Protocol):
    """Scores of every item for users' histories: a network, a baseline or an ensemble."""

    name: str

    def score(self, histories: Histories) -> Tensor:
        """Scores `[B, V]`, higher is better; the columns of PAD and MASK have no meaning.

        The tensor belongs to the caller, who excludes items in place.
        """


@runtime_checkable
class RatingScorer(Protocol):
    """A scorer that may also predict the rating of an item."""

    @property
    def predicts_ratings(self) -> bool:
        """True if the scorer predicts ratings."""

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """Probability of each rating level, `[B, R]`."""
