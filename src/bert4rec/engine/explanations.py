"""Explanation of one item: effects of events, of user features and of item features.

Attribution methods are left to `bert4rec.explanation`, which the faithfulness study measures too.

Legend: N events, V item rows, D width, X variants of one history.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any, Literal, get_args

import numpy as np
import torch.nn.functional as functional
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.engine.answers import EventEffect, Explanation, SimilarItem
from bert4rec.engine.explanation_text import explanation_text
from bert4rec.engine.ratings import expected_ratings
from bert4rec.engine.raw_values import title_of
from bert4rec.errors import UsageError
from bert4rec.explanation.attribution import attribute
from bert4rec.explanation.integrated_gradients import integrated_gradients
from bert4rec.explanation.side_information import with_stored_features, without_side_information
from bert4rec.explanation.variants import score_item
from bert4rec.ids import RawId
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import valid_scores

Method = Literal["leave-one-out", "gradients"]
"""Attribution to events: measured by leaving each out, or estimated by integrated gradients."""
MOST_SIMILAR_ITEMS = 3


def check_method(method: str) -> None:
    """Raises UsageError for an unknown attribution method."""
    if method not in get_args(Method):
        raise UsageError(f"method is {method!r}: there are {' and '.join(get_args(Method))}")


def explain_item(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    user_id: RawId | None,
    history: Histories,
    seen_N: Ints,
    item: int,
    method: Method,
) -> Explanation:
    """Explanation of an item's score for one user; `seen_N` holds forgotten items too."""
    full = with_stored_features(history, dataset)
    hidden = without_side_information(full)
    found = score_item(partial(valid_scores, scorer), [full, *hidden.values()], seen_N, item)
    context_effect_X = found.score_X[0] - found.score_X[1:]
    ((expected_rating, rating_interval),) = expected_ratings(scorer, dataset, history, [item])
    explanation = Explanation(
        user_id=user_id,
        item_id=dataset.items.raw(item),
        title=title_of(dataset, item),
        score=float(found.score_X[0]),
        rank=int(found.rank_X[0]),
        seen=item in seen_N,
        events=list(_event_effects(scorer, dataset, full, item, method)),
        context_effects=dict(zip(hidden, context_effect_X.tolist(), strict=True)),
        item_feature_effects=scorer.item_feature_effects(history, item),
        similar_items=list(_similar_items(scorer.item_VD, dataset, history.item_N, item)),
        expected_rating=expected_rating,
        rating_interval=rating_interval,
    )
    return replace(explanation, sentence=explanation_text(explanation))


def _event_effects(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    history: Histories,
    item: int,
    method: Method,
) -> Iterator[EventEffect]:
    """Effects of the events that the model reads, the most important first."""
    if method == "gradients":
        effect_N = integrated_gradients(scorer, history, item)
        first_read = len(history.item_N) - len(effect_N)
        for event in np.argsort(-effect_N, kind="stable").tolist():
            named = _event(dataset, history.item_N, first_read + event)
            yield EventEffect(effect=effect_N[event].item(), **named)
        return
    found = attribute(scorer, history, item)
    for event in found.order_N:
        yield EventEffect(
            effect=found.effect_N[event].item(),
            effect_alone=found.alone_effect_N[event].item(),
            rank_without=found.rank_without_N[event].item(),
            **_event(dataset, history.item_N, found.position_N[event].item()),
        )


def _similar_items(
    item_VD: Tensor, dataset: PreparedDataset, item_N: Ints, item: int
) -> Iterator[SimilarItem]:
    """Items of the history whose vectors have the largest cosine to an item, without itself."""
    # Of several events of an item the latest position remains.
    latest = {seen: position for position, seen in enumerate(item_N.tolist()) if seen != item}
    if not latest:
        return
    cosines = functional.cosine_similarity(item_VD[list(latest)], item_VD[[item]]).tolist()
    pairs = zip(cosines, latest.values(), strict=True)
    most_similar = sorted(pairs, key=lambda pair: -pair[0])[:MOST_SIMILAR_ITEMS]
    for cosine, position in most_similar:
        yield SimilarItem(similarity=cosine, **_event(dataset, item_N, position))


def _event(dataset: PreparedDataset, item_N: Ints, position: int) -> dict[str, Any]:
    """Raw id, title and position of an event."""
    item = int(item_N[position])
    return {
        "item_id": dataset.items.raw(item),
        "position": position,
        "title": title_of(dataset, item),
    }
