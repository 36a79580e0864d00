"""What is known of a user and a request, hidden piece by piece; and the words for what was measured.

How events are measured is `evaluation.attribution`, which the reports use too.

Legend: N events, D width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.engine.answers import EventEffect, Explanation, SimilarItem
from bert4rec.ids import NO_TIME, UNKNOWN

SIMILAR_ITEMS = 3
TOLD_EVENTS = 3
"""How many events the sentence names."""


def with_all_features(history: Histories, dataset: PreparedDataset) -> Histories:
    """The same with the stored demographics spelled out, so that each can be hidden alone."""
    return replace(
        history,
        user_features={**dataset.user_feature_values(history.user_B), **history.user_features},
    )


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


def similar_items(item_VD: Tensor, item_N: Ints, item: int) -> list[tuple[int, float]]:
    """The latest place in a history of each of the items most like another one, and the cosine of their vectors."""
    latest = {int(seen): place for place, seen in enumerate(item_N) if seen != item}
    if not latest:
        return []
    cosine = F.cosine_similarity(item_VD[list(latest)], item_VD[[item]]).tolist()
    likest = sorted(zip(latest.values(), cosine, strict=True), key=lambda pair: -pair[1])
    return likest[:SIMILAR_ITEMS]


def sentence_of(explained: Explanation) -> str:
    """What was measured, in words, and nothing else."""
    name = (
        f"{explained.title} ({explained.item_id})"
        if explained.title
        else f"Item {explained.item_id}"
    )
    place = (
        f"would be number {explained.rank} if it were not seen already"
        if explained.seen
        else f"is number {explained.rank} among the unseen items"
    )
    said = [f"{name} {place}, with score {explained.score:.2f}.", _raised_by(explained.events)]
    for what, worth in (
        ("the user and the request", explained.side_information),
        ("the item", explained.item_information),
    ):
        if worth:
            most = max(worth, key=lambda name: abs(worth[name]))
            said.append(f"Of what is known of {what}, {most} matters most ({worth[most]:+.2f}).")
    if explained.similar:
        said.append(f"Most like it in the history: {', '.join(map(_called, explained.similar))}.")
    if explained.expected_rating is not None and explained.rating_interval is not None:
        low, high = explained.rating_interval
        between = f"{low:g}" if low == high else f"{low:g} to {high:g}"
        said.append(
            f"Its expected rating is {explained.expected_rating:.1f}, most likely {between}."
        )
    return " ".join(said)


def _called(thing: EventEffect | SimilarItem) -> str:
    return thing.title or f"item {thing.item_id}"


def _raised_by(events: Sequence[EventEffect]) -> str:
    if not events:
        return "No past event is known."
    raising = [event for event in events if event.effect + (event.alone or 0) > 0][:TOLD_EVENTS]
    if not raising:
        return "No past event raises its score."
    return f"What raises it most: {', '.join(map(_effect, raising))}."


def _effect(event: EventEffect) -> str:
    alone = "" if event.alone is None else f"; alone {event.alone:+.2f}"
    without = "" if event.rank_without is None else f"; without it number {event.rank_without}"
    return f"{_called(event)} ({event.effect:+.2f}{alone}{without})"
