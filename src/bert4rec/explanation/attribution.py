"""Which past events carry an item: its score with everything, without each event, and with that event alone.

Leave-one-out attribution (Li et al. 2016, "Understanding Neural Networks through Representation Erasure") and its
counterpart from the other end, as a Shapley value averages both (Shapley 1953). Two events that say the same have
little effect one by one, each while the other is there, so the most important ones are found one after another.
What is left out is truly left out: the scorer reads a history without it, and the others keep their times.

Legend: E events that are read, X variants of one history, V item rows, C candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints, offsets
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import last_events
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import rank_of
from bert4rec.retrieval.scorers import Scorer

VARIANTS_AT_ONCE = 256
STEPS = 5
"""So many events are found one after another; the rest follow by what each does by itself."""
CANDIDATES = 24
"""The events that each step chooses from, the best ones by themselves."""


Score = Callable[[Histories], Tensor]
"""Scores of every item row, `[X, V]`: a scorer's method."""


class Reader(Scorer, Protocol):
    """A scorer that reads the last events of a history."""

    @property
    def seq_length(self) -> int:
        """How many."""

    def score_without_cold_start_bias(self, histories: Histories) -> Tensor:
        """Scores by one rule for all histories, nothing added where no event is known."""


class Measured(NamedTuple):
    """What a scorer says of one item, `[X]` each."""

    score_X: Floats
    log_likelihood_X: Floats
    """Of the item among it and what is unseen, under a softmax of the scores."""
    rank_X: Ints
    """Its place among the same; ties count against it."""


@dataclass(frozen=True)
class Attribution:
    """What each event that is read does for an item."""

    event_E: Ints
    """Places in the history, oldest first."""
    effect_E: Floats
    """The score minus the score without the event."""
    alone_E: Floats
    """The score with this event alone minus the score with none, by the rule for those who have some."""
    rank_without_E: Ints
    order_E: Ints
    """Indices into the above, the most important event first."""


def attribute(scorer: Reader, history: Histories, item: int) -> Attribution:
    """Measures one user's history: what was seen long before what is read has no effect, and none is listed."""
    # Some events more than are read: they move up where others are left out.
    read = last_events(history, scorer.seq_length + STEPS)
    event_E = np.arange(max(0, len(read.item_N) - scorer.seq_length), len(read.item_N))
    variants = [
        read,
        kept(read, []),
        *(left_out(read, e) for e in event_E[:, None]),
        *(kept(read, e) for e in event_E[:, None]),
    ]
    found = measured(scorer.score_without_cold_start_bias, variants, history.item_N, item)
    E = len(event_E)
    without, alone = slice(2, 2 + E), slice(2 + E, None)

    def on_its_own(column_X: Floats) -> tuple[Floats, Floats]:
        return column_X[0] - column_X[without], column_X[alone] - column_X[1]

    effect_E, alone_E = on_its_own(found.score_X)
    worth_E = np.sum(
        [_standard(column_E) for column_E in on_its_own(found.log_likelihood_X)], axis=0
    )

    def worth_of(chosen: Sequence[int], candidates: Sequence[int]) -> Floats:
        """What each candidate does once the chosen ones are left out, and beside them where nothing else is there."""
        sets = [event_E[[*chosen, candidate]] for candidate in candidates]
        asked = [
            *(left_out(read, events) for events in sets),
            *(kept(read, events) for events in sets),
        ]
        likely_X = measured(
            scorer.score_without_cold_start_bias, asked, history.item_N, item
        ).log_likelihood_X
        return _standard(-likely_X[: len(sets)]) + _standard(likely_X[len(sets) :])

    return Attribution(
        event_E=event_E + len(history.item_N) - len(read.item_N),
        effect_E=effect_E,
        alone_E=alone_E,
        rank_without_E=found.rank_X[without],
        order_E=_in_order(worth_E, worth_of),
    )


def _in_order(worth_E: Floats, worth_of: Callable[[Sequence[int], Sequence[int]], Floats]) -> Ints:
    """The event of most worth, then those of most worth beside the ones before; the rest by their own worth."""
    by_worth = np.argsort(-worth_E, kind="stable").tolist()
    chosen, candidates = by_worth[:1], by_worth[1 : 1 + CANDIDATES]
    while candidates and len(chosen) < STEPS:
        chosen.append(candidates.pop(int(np.argmax(worth_of(chosen, candidates)))))
    return np.array(
        [*chosen, *(event for event in by_worth if event not in chosen)], dtype=np.int64
    )


def _standard(value_C: Floats) -> Floats:
    """On a scale of their own spread, so that two questions weigh alike."""
    spread = value_C.std() if len(value_C) else 0.0
    return (value_C - value_C.mean()) / spread if spread > 0 else np.zeros(len(value_C))


def measured(score: Score, variants: Sequence[Histories], seen_N: Ints, item: int) -> Measured:
    """What a scorer says of the item in each variant, some variants at a time."""
    joined, found = join(variants), []
    for first in range(0, len(joined), VARIANTS_AT_ONCE):
        score_XV = score(
            joined.take(np.arange(first, min(len(joined), first + VARIANTS_AT_ONCE)))
        ).cpu()
        score_X = score_XV[:, item].clone()
        _among_unseen(score_XV, seen_N, item)
        rank_X = rank_of(score_XV, torch.full((len(score_XV),), item))
        found.append((score_X, score_X - score_XV.logsumexp(1), rank_X))
    return Measured(*(torch.cat(column).numpy() for column in zip(*found, strict=True)))


def _among_unseen(score_XV: Tensor, seen_N: Ints, item: int) -> Tensor:
    """Scores with what is seen put out of the list, but for the item asked about; in place."""
    others_N = torch.from_numpy(seen_N[seen_N != item].astype(np.int64))
    rows = torch.arange(len(score_XV)).repeat_interleave(len(others_N))
    return exclude(score_XV, rows, others_N.repeat(len(score_XV)))


def kept(history: Histories, events: Sequence[int] | Ints) -> Histories:
    """One user's history of these events alone, oldest first."""
    event_N = np.sort(np.asarray(events, dtype=np.int64))
    return replace(
        history,
        start_B1=np.array([0, len(event_N)]),
        item_N=history.item_N[event_N],
        time_N=history.time_N[event_N],
        rating_N=history.rating_N[event_N],
    )


def left_out(history: Histories, events: Sequence[int] | Ints) -> Histories:
    """One user's history without these events; the times of the others stay."""
    return kept(history, np.setdiff1d(np.arange(len(history.item_N)), events))


def join(histories: Sequence[Histories]) -> Histories:
    """Several histories of one user each as one; all name the same features."""
    return Histories(
        user_B=np.concatenate([history.user_B for history in histories]),
        start_B1=offsets(np.array([len(history.item_N) for history in histories])),
        item_N=np.concatenate([history.item_N for history in histories]),
        time_N=np.concatenate([history.time_N for history in histories]),
        rating_N=np.concatenate([history.rating_N for history in histories]),
        request_time_B=np.concatenate([history.request_time_B for history in histories]),
        user_features={
            name: np.concatenate([history.user_features[name] for history in histories])
            for name in histories[0].user_features
        },
    )
