"""`EnsembleScorer`: mean scores of several networks.

`artefact.scorer_of` checks that its members were trained on the same data and split.

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
    """Mean of the scores of its members, and of the ratings of those that predict them.

    Raises DataError for members whose scores have no mean, or that one protocol does not describe.

        scorer = EnsembleScorer([first.scorer(), second.scorer()])
    """

    def __init__(self, members: Sequence[NetworkScorer], name: str = "") -> None:
        for problem in _incompatibilities(members):
            raise DataError(problem)
        self.members = tuple(members)
        self.name = name or " + ".join(member.name for member in members)

    @property
    def reads_request_time(self) -> bool:
        """True if the members were trained with request times; all agree."""
        return self.members[0].reads_request_time

    @property
    def seq_length(self) -> int:
        """Number of most recent events of a history that any member reads."""
        return max(member.seq_length for member in self.members)

    @property
    def predicts_ratings(self) -> bool:
        """True if any member was trained to predict ratings."""
        return any(member.predicts_ratings for member in self.members)

    def with_shuffled_weights(self, seed: int) -> EnsembleScorer:
        """Ensemble of members whose weights are permuted, each with a seed of its own."""
        shuffled = [
            member.with_shuffled_weights(seed + number)
            for number, member in enumerate(self.members)
        ]
        return EnsembleScorer(shuffled)

    def score(self, histories: Histories) -> Tensor:
        """Mean score of every item row, `[B, V]`."""
        return self._mean(member.score(histories) for member in self.members)

    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Mean score of every item row without the members' cold-start biases, `[B, V]`."""
        scores = (member.score_without_cold_start_bias(histories) for member in self.members)
        return self._mean(scores)

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """Mean probability of each rating level over the members that predict ratings, `[B, R]`."""
        distributions = [
            member.rating_distribution(histories, item_B)
            for member in self.members
            if member.predicts_ratings
        ]
        if not distributions:
            raise DataError(f"{self.name}: all were trained without ratings and predict none")
        return torch.stack(distributions).mean(0)

    def _mean(self, scores: Iterator[Tensor]) -> Tensor:
        """Mean of the members' scores, of which one at a time is in memory."""
        total_BV = next(scores)
        for score_BV in scores:
            total_BV += score_BV  # in place: one more [B, V] is never held
        return total_BV / len(self.members)


def _incompatibilities(members: Sequence[NetworkScorer]) -> Iterator[str]:
    """Reasons why the networks have no common mean."""
    if not members:
        yield "an ensemble of no models: name one or more"
        return
    first, *others = members
    rater = next((member for member in members if member.predicts_ratings), first)
    for other in others:
        yield from _different_items(first, other)
        if other.predicts_ratings:
            yield from _different_rating_levels(rater, other)
        yield from _different_request_times(first, other)


def _different_items(first: NetworkScorer, other: NetworkScorer) -> Iterator[str]:
    ours, theirs = (member.network.table_sizes.item_rows for member in (first, other))
    if ours != theirs:
        yield (
            f"{first.name} and {other.name}: score {ours} and {theirs} item rows; "
            "there is no mean of them"
        )


def _different_rating_levels(first: NetworkScorer, other: NetworkScorer) -> Iterator[str]:
    ours, theirs = (member.network.table_sizes.rating_levels for member in (first, other))
    if ours != theirs:
        yield (
            f"{first.name} and {other.name}: know {ours} and {theirs} rating levels; "
            "they have no mean"
        )


def _different_request_times(first: NetworkScorer, other: NetworkScorer) -> Iterator[str]:
    if first.reads_request_time != other.reads_request_time:
        reads, other = (first, other) if first.reads_request_time else (other, first)
        yield (
            f"{reads.name} and {other.name}: the first reads the time of the request, the second "
            "was trained with request_time 'never'; take models that agree"
        )
