"""Text of an explanation: the measured values as sentences, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from bert4rec.engine.answers import EventEffect, Explanation, SimilarItem
from bert4rec.shown_text import shown

MOST_NAMED_EVENTS = 3
"""Number of events that the text names."""


def explanation_text(explanation: Explanation) -> str:
    """Sentences on rank, events, features, similar items and rating."""
    return shown(" ".join(_sentences(explanation)))


def _sentences(explanation: Explanation) -> Iterator[str]:
    yield f"{_item(explanation)} {_rank(explanation)}, with score {explanation.score:.2f}."
    yield _events(explanation.events)
    if explanation.context_effects:
        yield _largest("a user or request feature", explanation.context_effects)
    if explanation.item_feature_effects:
        yield _largest("an item feature", explanation.item_feature_effects)
    if explanation.similar_items:
        names = ", ".join(_name(item) for item in explanation.similar_items)
        yield f"Most similar in the history: {names}."
    if explanation.expected_rating is not None and explanation.rating_interval is not None:
        yield _rating(explanation.expected_rating, *explanation.rating_interval)


def _item(explanation: Explanation) -> str:
    if explanation.title:
        return f"{explanation.title} ({explanation.item_id})"
    return f"Item {explanation.item_id}"


def _rank(explanation: Explanation) -> str:
    if explanation.seen:
        return f"would have rank {explanation.rank} if it had not been seen"
    return f"has rank {explanation.rank} among the unseen items"


def _events(events: Sequence[EventEffect]) -> str:
    if not events:
        return "No past event is known."
    raising = [event for event in events if event.effect + (event.effect_alone or 0) > 0]
    if not raising:
        return "No past event raises its score."
    return f"Raised most by: {', '.join(map(_effect, raising[:MOST_NAMED_EVENTS]))}."


def _effect(event: EventEffect) -> str:
    parts = [f"{event.effect:+.2f}"]
    if event.effect_alone is not None:
        parts.append(f"alone {event.effect_alone:+.2f}")
    if event.rank_without is not None:
        parts.append(f"rank {event.rank_without} without it")
    return f"{_name(event)} ({'; '.join(parts)})"


def _largest(kind: str, effects: Mapping[str, float]) -> str:
    """Sentence on the feature with the largest effect."""
    name = max(effects, key=lambda name: abs(effects[name]))
    return f"Largest effect of {kind}: {name} ({effects[name]:+.2f})."


def _rating(expected: float, low: float, high: float) -> str:
    interval = f"{low:g}" if low == high else f"{low:g} to {high:g}"
    return f"Its expected rating is {expected:.1f}, most likely {interval}."


def _name(thing: EventEffect | SimilarItem) -> str:
    return thing.title or f"item {thing.item_id}"
