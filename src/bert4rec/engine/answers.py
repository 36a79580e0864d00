"""What the engine answers: frozen values with `to_dict()`, in raw ids."""

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
    """One item of a list."""

    item_id: RawId
    rank: int
    """From 1."""
    score: float
    """A logit: higher is better; only comparable within one list."""
    title: str | None = None
    expected_rating: float | None = None
    """The mean of the predicted rating distribution, on the data's scale; None for a model without ratings."""
    rating_interval: tuple[float, float] | None = None
    """The lowest and the highest of the fewest neighbouring rating levels that hold 80 % of that distribution."""
    moves: Sequence[Move] | None = None
    """The rules that moved it, in their order; None where the request has no rules."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what is unknown."""
        moves = {} if self.moves is None else {"moves": [move.to_dict() for move in self.moves]}
        return {**_without_none(vars(self)), **moves}


@dataclass(frozen=True)
class Recommendations(Sequence[Recommendation]):
    """A list, best first; it is a sequence of its items."""

    user_id: RawId | None
    items: Sequence[Recommendation]

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, place: Any) -> Any:
        return self.items[place]

    def __iter__(self) -> Iterator[Recommendation]:
        return iter(self.items)

    @property
    def item_ids(self) -> list[RawId]:
        """The ids alone, best first."""
        return [item.item_id for item in self.items]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {"user_id": self.user_id, "items": [item.to_dict() for item in self.items]}


@dataclass(frozen=True)
class RecommendationTable:
    """The lists of several users, one after another: a row for each item, in four columns of the same length."""

    user_id: NDArray[Any]
    item_id: NDArray[Any]
    score: NDArray[np.float32]
    rank: NDArray[np.int64]
    """From 1 for each user."""

    def __len__(self) -> int:
        return len(self.user_id)


@dataclass(frozen=True)
class EventEffect:
    """What one past event does to the score of an item."""

    item_id: RawId
    effect: float
    """The item's score with all events minus its score without this one; by gradients, an estimate."""
    position: int
    """Place in the history, 0 is the oldest."""
    title: str | None = None
    alone: float | None = None
    """The item's score with this event alone minus its score without any; gradients do not tell."""
    rank_without: int | None = None
    """Where the item would stand without this event, among the same items; gradients do not tell."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what is unknown."""
        return _without_none(vars(self))


@dataclass(frozen=True)
class SimilarItem:
    """An item of the history that is like the one that is explained."""

    item_id: RawId
    similarity: float
    """The cosine of the two items' vectors, id and metadata together."""
    position: int
    """Of the latest such event."""
    title: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, without what is unknown."""
        return _without_none(vars(self))


@dataclass(frozen=True)
class Explanation:
    """Why an item stands where it stands: measured on the model by leaving things out."""

    user_id: RawId | None
    item_id: RawId
    title: str | None
    score: float
    rank: int
    """Among the items that the user has not seen (and this one); 1 is the top of the list."""
    seen: bool
    """Whether the item is in the history, so that a list that filters what is seen does not hold it."""
    events: Sequence[EventEffect]
    """The most important first: those that together carry the item most, then the rest. Events before the last
    `seq_length` have no effect and are not listed."""
    side_information: Mapping[str, float]
    """The same difference for each piece of what is known of the user and of the request: `user_id`, each demographic
    feature, `request_time`."""
    item_information: Mapping[str, float]
    """The same for each known feature of the item: its score minus that of the same item without the feature."""
    similar: Sequence[SimilarItem]
    """The items of the history that are most like this one."""
    expected_rating: float | None
    rating_interval: tuple[float, float] | None
    sentence: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            **_without_none(vars(self)),
            "events": [event.to_dict() for event in self.events],
            "side_information": dict(self.side_information),
            "item_information": dict(self.item_information),
            "similar": [item.to_dict() for item in self.similar],
        }


@dataclass(frozen=True)
class AttentionMaps:
    """Where a network looked when it read one history: weights to look at, which explain nothing by themselves.

    Legend: H heads, L places, S user tokens.
    """

    places: Sequence[str]
    """What stands at each place: the start, the events oldest first, or the request."""
    layers: Sequence[NDArray[np.float32]]
    """For each block `[H, L, L]`: query place, key place. Rows of softmax attention sum to 1, of gated blocks not."""
    user_tokens: Sequence[str]
    """What the answering place may ask of the user and the request; empty without cross-attention."""
    user_HS: NDArray[np.float32]
    """How much of each it took, `[H, S]`; rows sum to 1."""


def _without_none(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is known, as JSON has it: tuples are lists."""
    known = {name: value for name, value in values.items() if value is not None}
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in known.items()
    }
