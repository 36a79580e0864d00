"""Values that the engine returns: frozen, in raw ids, with `to_dict()` for JSON.

Legend: K items of a list, H attention heads, L positions, J user tokens.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.ids import RawId
from bert4rec.retrieval.recommend import Move


@dataclass(frozen=True)
class Recommendation:
    """One recommended item."""

    item_id: RawId
    rank: int
    """Rank in the list, from 1."""
    score: float
    """Logit, higher is better; comparable within one list only."""
    title: str | None = None
    expected_rating: float | None = None
    """Mean of the predicted rating distribution; None if the model predicts no ratings."""
    rating_interval: tuple[float, float] | None = None
    """Lowest and highest of the fewest neighbouring rating levels that hold 80 % probability."""
    moves: Sequence[Move] | None = None
    """Changes of the rank by rules, in their order; None for a request without rules."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; unknown ones are left out."""
        known = _known_values(self)
        if self.moves is not None:
            known["moves"] = [move.to_dict() for move in self.moves]
        return known


@dataclass(frozen=True)
class Recommendations(Sequence[Recommendation]):
    """Top-k recommendations of one user, best first: a sequence of `Recommendation`."""

    user_id: RawId | None
    items: Sequence[Recommendation]
    warnings: Sequence[str] = ()
    """Remarks on what was left out of the request, such as unknown ids of the rules."""

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    @property
    def item_ids(self) -> list[RawId]:
        """Item ids, best first."""
        return [item.item_id for item in self.items]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `warnings` where there are any."""
        warnings = {"warnings": list(self.warnings)} if self.warnings else {}
        items = [item.to_dict() for item in self.items]
        return {"user_id": self.user_id, "items": items, **warnings}


@dataclass(frozen=True)
class RecommendationTable:
    """Recommendations of many users in four columns: one row per item, user after user."""

    user_id: NDArray[Any]
    item_id: NDArray[Any]
    score: NDArray[np.float32]
    rank: NDArray[np.int64]
    """Rank in the user's list, from 1."""

    def __len__(self) -> int:
        return len(self.user_id)

    @property
    def num_users(self) -> int:
        """Number of users with at least one item."""
        return int((self.rank == 1).sum())


@dataclass(frozen=True)
class RecommendationTables(Iterator[RecommendationTable]):
    """Recommendations of many users, table by table, each computed when it is asked for."""

    tables: Iterator[RecommendationTable]
    num_users: int
    """Number of users whose lists are computed."""
    unknown_users: Sequence[RawId] = ()
    """Ids without a stored or given history, skipped or answered as cold-start users."""
    warnings: Sequence[str] = ()
    """Remarks on what was left out, such as unknown ids of the rules."""

    def __next__(self) -> RecommendationTable:
        return next(self.tables)


@dataclass(frozen=True)
class EventEffect:
    """Effect of one past event on the score of an item."""

    item_id: RawId
    effect: float
    """Leave-one-out effect: score with all events minus score without this one.

    By integrated gradients, an estimate of it."""
    position: int
    """Position in the history; 0 is the oldest event."""
    title: str | None = None
    effect_alone: float | None = None
    """Score with this event alone minus score with none; None for integrated gradients."""
    rank_without: int | None = None
    """Rank of the item without this event; None for integrated gradients."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values; unknown ones are left out."""
        return _known_values(self)


@dataclass(frozen=True)
class SimilarItem:
    """Item of the history that is similar to the explained one."""

    item_id: RawId
    similarity: float
    """Cosine of the two item embeddings, which hold id and metadata."""
    position: int
    """Position of the item's latest event in the history."""
    title: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values; unknown ones are left out."""
        return _known_values(self)


@dataclass(frozen=True)
class Explanation:
    """Explanation of an item's score: effects of the events and features that it rests on."""

    user_id: RawId | None
    item_id: RawId
    title: str | None
    score: float
    """Logit of the item."""
    rank: int
    """Rank among this item and all unseen ones, from 1."""
    seen: bool
    """True if the item is in the history, so that a filtered list leaves it out."""
    events: Sequence[EventEffect]
    """Effects of the past events, the most important first.

    The first ones carry the item most together; the rest follow by their own effect. Events before
    the last `seq_length` have no effect and are left out."""
    context_effects: Mapping[str, float]
    """Leave-one-out effects of the `user_id`, of each user feature and of the `request_time`."""
    item_feature_effects: Mapping[str, float]
    """Leave-one-out effects of the item's own features."""
    similar_items: Sequence[SimilarItem]
    """Items of the history that are most similar to this one."""
    expected_rating: float | None
    rating_interval: tuple[float, float] | None
    sentence: str = ""
    """The explanation as text."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **_known_values(self),
            "events": [event.to_dict() for event in self.events],
            "context_effects": dict(self.context_effects),
            "item_feature_effects": dict(self.item_feature_effects),
            "similar_items": [item.to_dict() for item in self.similar_items],
        }


@dataclass(frozen=True)
class AttentionMaps:
    """Attention weights over one history. They show no effects; explanations measure those."""

    positions: Sequence[str]
    """Names of the positions: the start token, the events oldest first, or the request token."""
    layers: Sequence[NDArray[np.float32]]
    """Weights `[H, L, L]` of each block, by query and key position.

    Rows of softmax attention sum to 1, rows of gated blocks do not."""
    user_tokens: Sequence[str]
    """Names of the user tokens; empty without cross-attention."""
    user_HJ: NDArray[np.float32]
    """Weights of the last position's cross-attention to the user tokens; rows sum to 1."""


def _known_values(answer: Any) -> dict[str, Any]:
    """Fields that are known, as JSON has them: tuples are lists."""
    known = {name: value for name, value in vars(answer).items() if value is not None}
    return {name: list(v) if isinstance(v, tuple) else v for name, v in known.items()}
