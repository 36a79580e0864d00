"""Leave-one-out attribution of an item's score to the events of a history.

Leave-one-out compares the score with and without an event (Li et al. 2016, "Understanding Neural
Networks through Representation Erasure"). Its counterpart compares the event alone with no event; a
Shapley value averages both ends (Shapley 1953). Two redundant events have little effect one by one,
each while the other is there, so the most important events are found greedily, one after another.

Legend: N events that the scorer reads, X variants of one history, I events to choose from.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import last_events
from bert4rec.explanation.variants import keep_events, leave_out_events, score_item
from bert4rec.retrieval.scorers import Scorer

GREEDY_STEPS = 5
"""Most events that are chosen greedily; the others follow in order of their own importance."""
GREEDY_CANDIDATES = 24
"""Number of most important events among which each greedy step chooses."""


class SequenceScorer(Scorer, Protocol):
    """Scorer that reads the last events of a history."""

    @property
    def seq_length(self) -> int:
        """Number of events that are read."""

    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Scores by one rule for all histories, nothing added to those without events."""


@dataclass(frozen=True)
class Attribution:
    """Effects of each event that is read on the score of an item."""

    position_N: Ints
    """Positions in the history, oldest first."""
    effect_N: Floats
    """Score minus the score without the event."""
    alone_effect_N: Floats
    """Score with this event alone minus the score with none, both without cold-start bias."""
    rank_without_N: Ints
    """Rank of the item without the event."""
    order_N: Ints
    """Indices into the above, the most important event first."""


def attribute(scorer: SequenceScorer, history: Histories, item: int) -> Attribution:
    """Attribution of an item's score to one user's events.

    Events before those that the scorer reads have no effect and are left out of the result.
    """
    # Some events more than are read: they move up where others are left out.
    recent = last_events(history, scorer.seq_length + GREEDY_STEPS)
    length = len(recent.item_N)
    position_N = np.arange(max(0, length - scorer.seq_length), length)
    variants = [
        recent,
        keep_events(recent, []),
        *(leave_out_events(recent, [position]) for position in position_N.tolist()),
        *(keep_events(recent, [position]) for position in position_N.tolist()),
    ]
    score = scorer.score_without_cold_start_bias
    found = score_item(score, variants, history.item_N, item)
    effect_N, alone_effect_N = _effects(found.score_X)
    importance_N = sum(map(_standardised, _effects(found.log_likelihood_X)))

    def joint_importance(chosen: Sequence[int], candidates: Sequence[int]) -> Floats:
        """Importance of each candidate `[I]` together with the chosen events."""
        sets = [position_N[[*chosen, candidate]] for candidate in candidates]
        variants = [leave_out_events(recent, events) for events in sets]
        variants += [keep_events(recent, events) for events in sets]
        likelihood_X = score_item(score, variants, history.item_N, item).log_likelihood_X
        without_I, alone_I = np.split(likelihood_X, 2)
        return _standardised(-without_I) + _standardised(alone_I)

    return Attribution(
        position_N=position_N + len(history.item_N) - length,
        effect_N=effect_N,
        alone_effect_N=alone_effect_N,
        rank_without_N=found.rank_X[2 : 2 + len(position_N)],
        order_N=_greedy_order(np.asarray(importance_N), joint_importance),
    )


def _effects(value_X: Floats) -> tuple[Floats, Floats]:
    """Effect of leaving each event out, and effect of each event alone.

    The variants are the history, the empty history, each event left out, and each event alone.
    """
    whole, empty = value_X[:2]
    without_N, alone_N = np.split(value_X[2:], 2)
    return whole - without_N, alone_N - empty


def _greedy_order(
    importance_N: Floats, joint_importance: Callable[[Sequence[int], Sequence[int]], Floats]
) -> Ints:
    """Greedy order: each event is the most important beside those before; then the rest."""
    by_importance = np.argsort(-importance_N, kind="stable").tolist()
    chosen, candidates = by_importance[:1], by_importance[1 : 1 + GREEDY_CANDIDATES]
    while candidates and len(chosen) < GREEDY_STEPS:
        best = int(np.argmax(joint_importance(chosen, candidates)))
        chosen.append(candidates.pop(best))
    rest = [event for event in by_importance if event not in chosen]
    return np.array([*chosen, *rest], dtype=np.int64)


def _standardised(value_I: Floats) -> Floats:
    """Values with mean 0 and deviation 1, so that two effects weigh alike; 0 where equal."""
    spread = value_I.std() if len(value_I) else 0.0
    return (value_I - value_I.mean()) / spread if spread > 0 else np.zeros(len(value_I))
