"""Measured explanations: the score of an item with everything, and without each thing in turn, all in one batch.

Leave-one-out attribution (Li et al. 2016, "Understanding Neural Networks through Representation Erasure"). What is
left out is truly left out: the network reads a history without that event, or a user without that piece of information.

Legend: B variants of one history, N events, V item rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories, Ints, offsets
from bert4rec.data.prepared import PreparedDataset
from bert4rec.engine.answers import EventEffect
from bert4rec.evaluation.evaluate import Scorer
from bert4rec.ids import NO_TIME, UNKNOWN
from bert4rec.ranking import exclude, rank_of

VARIANTS_AT_ONCE = 256
TOLD_EVENTS = 3
"""How many events the sentence names."""


def measured_effects(scorer: Scorer, variants: Sequence[Histories], seen_N: Ints, item: int) -> tuple[Ints, Ints]:
    """The item's score in each variant, and its place among it and what is unseen; both `[B]`."""
    joined = join(variants)
    scores, places = [], []
    for first in range(0, len(joined), VARIANTS_AT_ONCE):
        score_BV = scorer.score(joined.take(np.arange(first, min(len(joined), first + VARIANTS_AT_ONCE)))).cpu()
        scores.append(score_BV[:, item].clone())
        places.append(rank_of(_among_unseen(score_BV, seen_N, item), torch.full((len(score_BV),), item)))
    return torch.cat(scores).numpy(), torch.cat(places).numpy()


def _among_unseen(score_BV: Tensor, seen_N: Ints, item: int) -> Tensor:
    """Scores with what is seen put out of the list, but for the item asked about."""
    others_N = torch.from_numpy(seen_N[seen_N != item].astype(np.int64))
    rows = torch.arange(len(score_BV)).repeat_interleave(len(others_N))
    return exclude(score_BV, rows, others_N.repeat(len(score_BV)))


def without_event(history: Histories, event: int) -> Histories:
    """The history without one event; the times of the others stay."""
    return replace(
        history,
        start_B1=np.array([0, len(history.item_N) - 1]),
        item_N=np.delete(history.item_N, event),
        time_N=np.delete(history.time_N, event),
        rating_N=np.delete(history.rating_N, event),
    )


def with_all_features(history: Histories, dataset: PreparedDataset) -> Histories:
    """The same with the stored demographics spelled out, so that each can be hidden alone."""
    stored = {name: np.asarray(table)[history.user_B] for name, (_, table) in dataset.user_features.items()}
    return replace(history, user_features={**stored, **history.user_features})


def without_side_information(history: Histories) -> dict[str, Histories]:
    """The history with each known piece of user and request hidden, by name; its features are all spelled out."""
    hidden = {}
    if history.user_B[0] != UNKNOWN:
        hidden["user_id"] = replace(history, user_B=np.array([UNKNOWN]))
    for name, value in history.user_features.items():
        nothing = _unknown(value)
        if not np.array_equal(value, nothing, equal_nan=value.dtype.kind == "f"):
            hidden[name] = replace(history, user_features={**history.user_features, name: nothing})
    if history.request_time_B[0] != NO_TIME:
        hidden["request_time"] = history.without_request_time()
    return hidden


def _unknown(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.full_like(value, np.nan if value.dtype.kind == "f" else UNKNOWN)


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


def sentence_of(
    name: str, rank: int, score: float, seen: bool, events: Sequence[EventEffect], side: Mapping[str, float]
) -> str:
    """What the measured effects say, in words; `name` is that of the item, `events` have the strongest effect first."""
    place = (
        f"would be number {rank} if it were not seen already" if seen else f"is number {rank} among the unseen items"
    )
    said = [f"{name} {place}, with score {score:.2f}.", _raised_by(events)]
    if side:
        most = max(side, key=lambda what: abs(side[what]))
        said.append(f"Of what is known of the user and the request, {most} matters most ({side[most]:+.2f}).")
    return " ".join(said)


def _raised_by(events: Sequence[EventEffect]) -> str:
    if not events:
        return "No past event is known."
    raising = [event for event in events if event.effect > 0][:TOLD_EVENTS]
    if not raising:
        return "No past event raises its score."
    parts = [
        f"{event.title or f'item {event.item_id}'} ({event.effect:+.2f}; without it number {event.rank_without})"
        for event in raising
    ]
    return f"What raises it most: {', '.join(parts)}."
