"""Measured explanations: the score of an item with everything, and without each thing in turn, all in one batch.

Legend: B variants of one history, N events, V item rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import PreparedDataset
from bert4rec.engine.answers import EventEffect
from bert4rec.evaluation.evaluate import Scorer
from bert4rec.ids import NO_TIME, UNKNOWN, RawId
from bert4rec.ranking import exclude, rank_of

VARIANTS_AT_ONCE = 256


def measured_effects(scorer: Scorer, variants: Sequence[Histories], seen: Histories, item: int) -> tuple[Ints, Ints]:
    """The item's score in each variant, and its place among what is unseen in `seen`; both `[B]`."""
    joined = join(variants)
    scores, places = [], []
    for first in range(0, len(joined), VARIANTS_AT_ONCE):
        score_BV = scorer.score(joined.take(np.arange(first, min(len(joined), first + VARIANTS_AT_ONCE)))).cpu()
        target_B = torch.full((len(score_BV),), item)
        scores.append(score_BV[:, item].clone())
        places.append(rank_of(_among_unseen(score_BV, seen, item), target_B))
    return torch.cat(scores).numpy(), torch.cat(places).numpy()


def _among_unseen(score_BV: Tensor, seen: Histories, item: int) -> Tensor:
    own_B = score_BV[:, item].clone()
    item_N = torch.from_numpy(seen.item_N.astype(np.int64))
    rows = torch.arange(len(score_BV)).repeat_interleave(len(item_N))
    exclude(score_BV, rows, item_N.repeat(len(score_BV)))
    score_BV[:, item] = own_B
    return score_BV


def without_event(history: Histories, event: int) -> Histories:
    """The history without one event; the times of the others stay."""
    return replace(
        history,
        start_B1=np.array([0, len(history.item_N) - 1]),
        item_N=np.delete(history.item_N, event),
        time_N=np.delete(history.time_N, event),
        rating_N=np.delete(history.rating_N, event),
    )


def without_side_information(history: Histories, dataset: PreparedDataset, asked: bool) -> dict[str, Histories]:
    """The history with each known piece of user and request hidden, by name."""
    hidden = {}
    stored = {name: np.asarray(table)[history.user_B] for name, (_, table) in dataset.user_features.items()}
    given = {**stored, **history.user_features}
    if history.user_B[0] != UNKNOWN:
        hidden["user_id"] = replace(history, user_B=np.array([UNKNOWN]), user_features=given)
    for name, value in given.items():
        unknown = np.full_like(value, np.nan if value.dtype.kind == "f" else UNKNOWN)
        if not np.array_equal(value, unknown, equal_nan=value.dtype.kind == "f"):
            hidden[name] = replace(history, user_features={**history.user_features, name: unknown})
    if asked:
        hidden["request_time"] = replace(history, request_time_B=np.array([NO_TIME]))
    return hidden


def join(histories: Sequence[Histories]) -> Histories:
    """Several one-user histories as one; a feature that only some of them override is overridden in all."""
    names = dict.fromkeys(name for history in histories for name in history.user_features)
    missing = [name for name in names if any(name not in history.user_features for history in histories)]
    if missing:
        raise ValueError(f"every variant must say {missing}")
    return Histories(
        user_B=np.concatenate([history.user_B for history in histories]),
        start_B1=np.concatenate([[0], np.cumsum([len(history.item_N) for history in histories])]),
        item_N=np.concatenate([history.item_N for history in histories]),
        time_N=np.concatenate([history.time_N for history in histories]),
        rating_N=np.concatenate([history.rating_N for history in histories]),
        request_time_B=np.concatenate([history.request_time_B for history in histories]),
        user_features={name: np.concatenate([history.user_features[name] for history in histories]) for name in names},
    )


def sentence_of(item_id: RawId, title: str | None, rank: int, score: float, events: Sequence[EventEffect]) -> str:
    """What the measured effects say, in words."""
    name = f"{title} ({item_id})" if title else f"Item {item_id}"
    opening = f"{name} is number {rank} among the unseen items, with score {score:.2f}."
    raising = [event for event in events if event.effect > 0][:3]
    if not raising:
        return f"{opening} No past event raises its score."
    parts = [
        f"{event.title or f'item {event.item_id}'} ({event.effect:+.2f}; without it number {event.rank_without})"
        for event in raising
    ]
    return f"{opening} What raises it most: {', '.join(parts)}."
