"""`EnsembleScorer`: several networks asked as one.

That its members were trained on the same data and split is checked where they are loaded (`artefact.scorer_of`).

Legend: B users, V item rows, R rating levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from bert4rec.data.histories import Histories
from bert4rec.errors import DataError
from bert4rec.model.scorer import NetworkScorer


class EnsembleScorer:
    """The mean of its members' scores, and of the ratings of those that rate.

    Raises DataError for members of which no mean can be made, or none that one protocol describes.
    """

    def __init__(self, members: Sequence[NetworkScorer], name: str = "") -> None:
        for obstacle in _obstacles(members):
            raise DataError(obstacle)
        self.members, self.name = (
            tuple(members),
            name or " + ".join(member.name for member in members),
        )
        self.raters = tuple(member for member in members if member.predicts_ratings)

    @property
    def reads_request_time(self) -> bool:
        """Whether its members were ever told when they are asked; they agree on it."""
        return self.members[0].reads_request_time

    @property
    def seq_length(self) -> int:
        """How many events of a history any member reads, the last ones."""
        return max(member.seq_length for member in self.members)

    @property
    def predicts_ratings(self) -> bool:
        """Whether any member was trained to predict ratings."""
        return bool(self.raters)

    def with_shuffled_weights(self, seed: int) -> EnsembleScorer:
        """Another one, of members that have learned nothing."""
        return EnsembleScorer(
            [
                member.with_shuffled_weights(seed + place)
                for place, member in enumerate(self.members)
            ]
        )

    def score(self, histories: Histories) -> Tensor:
        """The mean of the members' scores of every item row, `[B, V]`."""
        return self._mean(member.score(histories) for member in self.members)

    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Likewise, without the members' biases of cold_start_bias."""
        return self._mean(
            member.score_without_cold_start_bias(histories) for member in self.members
        )

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """The mean of how likely each rating level is to the members that rate, `[B, R]`."""
        if not self.raters:
            raise DataError(f"{self.name}: all were trained without ratings and predict none")
        return torch.stack(
            [rater.rating_distribution(histories, item_B) for rater in self.raters]
        ).mean(0)

    def _mean(self, scores: Iterator[Tensor]) -> Tensor:
        """Of the members' scores, one at a time."""
        total_BV = next(scores)
        for score_BV in scores:
            total_BV += score_BV
        return total_BV / len(self.members)


def _obstacles(members: Sequence[NetworkScorer]) -> Iterator[str]:
    """Why the networks cannot answer as one."""
    if not members:
        yield "an ensemble of no models: name one or more"
        return
    first, *others = members
    rater = next((member for member in members if member.predicts_ratings), first)
    for other in others:
        items, its_items = (member.network.table_sizes.item_rows for member in (first, other))
        if items != its_items:
            yield f"{first.name} and {other.name}: score {items} and {its_items} item rows; there is no mean of them"
        levels, its_levels = (member.network.table_sizes.rating_levels for member in (rater, other))
        if other.predicts_ratings and levels != its_levels:
            yield f"{rater.name} and {other.name}: know {levels} and {its_levels} rating levels; they have no mean"
        if first.reads_request_time != other.reads_request_time:
            told, untold = (first, other) if first.reads_request_time else (other, first)
            yield (
                f"{told.name} and {untold.name}: the first reads the time of the request, the second was trained with "
                "request_time 'never'; take models that agree"
            )
