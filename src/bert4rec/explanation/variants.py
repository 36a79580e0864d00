"""Variants of one history, and a scorer's figures of one item in each of them.

An event that is left out is truly absent: the scorer reads a history without it, and the other
events keep their times.

Legend: N events, X variants of one history, V item rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints, offsets
from bert4rec.data.histories import Histories
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import rank_of

VARIANTS_AT_ONCE = 256

Score: TypeAlias = Callable[[Histories], Tensor]
"""Scores of every item row `[X, V]`: a scorer's method."""


class ItemScores(NamedTuple):
    """A scorer's figures of one item in each variant."""

    score_X: Floats
    log_likelihood_X: Floats
    """Log-likelihood under a softmax of the scores of the item and the unseen items."""
    rank_X: Ints
    """Rank among the same items; ties count against the item."""


def score_item(score: Score, variants: Sequence[Histories], seen_N: Ints, item: int) -> ItemScores:
    """Score, log-likelihood and rank of an item in each variant, some variants at a time."""
    joined = concatenate(variants)
    parts = []
    for first in range(0, len(joined), VARIANTS_AT_ONCE):
        row_X = np.arange(first, min(len(joined), first + VARIANTS_AT_ONCE))
        score_XV = score(joined.take(row_X)).cpu()
        score_X = score_XV[:, item].clone()
        _exclude_seen(score_XV, seen_N, item)
        rank_X = rank_of(score_XV, torch.full((len(score_XV),), item))
        parts.append((score_X, score_X - score_XV.logsumexp(1), rank_X))
    return ItemScores(*(torch.cat(column).numpy() for column in zip(*parts, strict=True)))


def _exclude_seen(score_XV: Tensor, seen_N: Ints, item: int) -> Tensor:
    """Exclude seen items but for the explained one, in place."""
    others_N = torch.from_numpy(seen_N[seen_N != item].astype(np.int64))
    row_N = torch.arange(len(score_XV)).repeat_interleave(len(others_N))
    return exclude(score_XV, row_N, others_N.repeat(len(score_XV)))


def keep_events(history: Histories, positions: Sequence[int] | Ints) -> Histories:
    """One user's history of these events alone, oldest first."""
    position_N = np.sort(np.asarray(positions, dtype=np.int64))
    return replace(
        history,
        start_B1=np.array([0, len(position_N)]),
        item_N=history.item_N[position_N],
        time_N=history.time_N[position_N],
        rating_N=history.rating_N[position_N],
    )


def leave_out_events(history: Histories, positions: Sequence[int] | Ints) -> Histories:
    """One user's history without these events."""
    return keep_events(history, np.setdiff1d(np.arange(len(history.item_N)), positions))


def concatenate(histories: Sequence[Histories]) -> Histories:
    """Several histories of one user each as one batch; all name the same features."""
    lengths = np.array([len(history.item_N) for history in histories])
    return Histories(
        user_B=np.concatenate([history.user_B for history in histories]),
        start_B1=offsets(lengths),
        item_N=np.concatenate([history.item_N for history in histories]),
        time_N=np.concatenate([history.time_N for history in histories]),
        rating_N=np.concatenate([history.rating_N for history in histories]),
        request_time_B=np.concatenate([history.request_time_B for history in histories]),
        user_features=_joined_features(histories),
    )


def _joined_features(histories: Sequence[Histories]) -> dict[str, Ints]:
    features = [history.user_features for history in histories]
    return {name: np.concatenate([*map(itemgetter(name), features)]) for name in features[0]}
