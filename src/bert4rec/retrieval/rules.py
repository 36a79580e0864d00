"""Rules of a request: what may be listed, what is preferred, and how alike a list may be. And what each rule moved.

    scores ─► allow, deny, where ─► boosts ─► at_most and diversity ─► the list

Legend: V item rows, N candidates, K list length, W values of a feature, D width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.errors import UnknownItem, UsageError
from bert4rec.ids import FIRST_ITEM, RawId
from bert4rec.retrieval.conditions import items_where
from bert4rec.retrieval.ranking import CANDIDATES, EXCLUDED, mmr_rerank


@dataclass(frozen=True)
class Rules:
    """What a request asks of its list besides the best scores. Raises UsageError for what cannot be meant."""

    allow: Sequence[RawId] | None = None
    """Nothing but these items; None allows all."""
    deny: Sequence[RawId] = ()
    """None of these."""
    where: str | None = None
    """Only items of which this is true: `year >= 1990 and 'Comedy' in genres` (`engine.where`)."""
    boosts: Mapping[str, float] = field(default_factory=dict)
    """What is added to the score of items of which a condition is true; +0.7 doubles the odds."""
    at_most: Mapping[str, int] = field(default_factory=dict)
    """By a feature's name, how many items of the list may have the same value of it."""
    diversity: float = 0.0
    """From 0, scores alone, to 1, likeness alone: maximal marginal relevance (Carbonell and Goldstein 1998)."""

    def __post_init__(self) -> None:
        if not 0 <= self.diversity <= 1:
            raise UsageError(f"diversity is {self.diversity!r}: it must be between 0 and 1")
        for name, number in self.at_most.items():
            if isinstance(number, bool) or not isinstance(number, int) or number < 1:
                raise UsageError(
                    f"at_most of {name} is {number!r}: it must be a whole number, 1 or more"
                )
        for condition, boost in self.boosts.items():
            if (
                isinstance(boost, bool)
                or not isinstance(boost, int | float)
                or not np.isfinite(boost)
            ):
                raise UsageError(f"the boost of {condition!r} is {boost!r}: it must be a number")

    @classmethod
    def of(cls, given: Rules | Mapping[str, Any] | None) -> Rules:
        """From a mapping of the same names."""
        if given is None or isinstance(given, Rules):
            return given or cls()
        known = [entry.name for entry in fields(cls)]
        for name in given:
            if name not in known:
                raise UsageError(f"unknown rule {name!r}; there are {', '.join(known)}")
        return cls(**given)


@dataclass(frozen=True)
class Move:
    """What a rule did to an item of a list."""

    rule: str
    """Its name; of several that act together, all names."""
    before: int
    """The item's place without the rule, among what the rules before it left."""
    after: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return dict(vars(self))


@dataclass(frozen=True)
class Placed:
    """An item of a list that rules made."""

    item: int
    moves: Sequence[Move]


@dataclass(frozen=True)
class RulesOfItems:
    """Rules as they bear on the items of a dataset: read once, they place the lists of any number of users."""

    rules: Rules
    filters: str
    """The names of the filters that are set."""
    allowed_V: NDArray[np.bool_]
    """What the filters leave."""
    boost_V: Floats
    """What is added to each score."""
    value_VW: Tensor
    """Which values of the capped features each item has."""
    cap_W: Tensor
    """How many items of a list may have each of them."""

    @classmethod
    def of(
        cls, rules: Rules, dataset: PreparedDataset, row_of: Callable[[RawId], int | None]
    ) -> RulesOfItems:
        """`row_of` finds an item's row.

        Raises UnknownItem for ids, UsageError for conditions and features that are not known, and for filters that
        leave nothing.
        """
        allowed_V, filters = _allowed(rules, dataset, row_of)
        boost_V = np.zeros(dataset.item_rows)
        for condition, boost in rules.boosts.items():
            boost_V += boost * items_where(condition, dataset)
        return cls(rules, filters, allowed_V, boost_V, *_capped_values(rules, dataset))

    def place(self, score_V: Floats, k: int, item_VD: Tensor) -> list[Placed]:
        """The list of one user, empty where the filters leave none of what may be listed: of what is not EXCLUDED."""
        orders = [("", _order(score_V))]
        if self.filters:
            score_V = np.where(self.allowed_V, score_V, EXCLUDED)
            orders.append((self.filters, _order(score_V)))
        if self.rules.boosts:
            score_V = score_V + self.boost_V
            orders.append(("boosts", _order(score_V)))
        best = orders[-1][1]
        chosen = best[:k]
        varying = [name for name in ("at_most", "diversity") if getattr(self.rules, name)]
        if varying:
            chosen = self._varied(score_V, best, k, item_VD)
            orders.append((" and ".join(varying), chosen))
        return [Placed(int(item), list(_moves(int(item), orders))) for item in chosen]

    def _varied(
        self, score_V: Floats, best: NDArray[np.int64], k: int, item_VD: Tensor
    ) -> NDArray[np.int64]:
        """The list that keeps the caps and trades score for variety; it is full where enough items meet the caps."""
        number = max(CANDIDATES, 10 * k)
        while True:
            item_N = torch.from_numpy(best[:number])
            score_1N, vector_1ND = (
                torch.from_numpy(score_V[best[:number]])[None],
                item_VD[item_N][None],
            )
            place_1K = mmr_rerank(
                score_1N,
                vector_1ND,
                k,
                self.rules.diversity,
                self.value_VW[item_N][None],
                self.cap_W,
            )
            chosen = place_1K[0][place_1K[0] >= 0]
            if len(chosen) == min(k, len(best)) or number >= len(best):
                return item_N[chosen].numpy()
            number *= 4


def _order(score_V: Floats) -> NDArray[np.int64]:
    """What may be listed, best first; ties go to the lower row."""
    order_V = np.argsort(-score_V, kind="stable")
    return order_V[score_V[order_V] > EXCLUDED]


def _allowed(
    rules: Rules, dataset: PreparedDataset, row_of: Callable[[RawId], int | None]
) -> tuple[NDArray[np.bool_], str]:
    """What the filters leave of all items, and the names of those that are set."""
    allowed_V = np.ones(dataset.item_rows, dtype=bool)
    if rules.allow is not None:
        allowed_V[:] = False
        allowed_V[_rows(rules.allow, row_of)] = True
    allowed_V[_rows(rules.deny, row_of)] = False
    if rules.where is not None:
        allowed_V &= items_where(rules.where, dataset)
    named = [name for name, is_set in _filters(rules) if is_set]
    if named and not allowed_V[FIRST_ITEM:].any():
        raise UsageError(f"{' and '.join(named)} leave no item at all; they contradict each other")
    return allowed_V, " and ".join(named)


def _filters(rules: Rules) -> Iterator[tuple[str, bool]]:
    yield "allow", rules.allow is not None
    yield "deny", bool(len(rules.deny))
    yield "where", rules.where is not None


def _rows(items: Sequence[RawId], row_of: Callable[[RawId], int | None]) -> list[int]:
    rows = [row_of(item) for item in items]
    unknown = [item for item, row in zip(items, rows, strict=True) if row is None]
    if unknown:
        raise UnknownItem(unknown)
    return [row for row in rows if row is not None]


def _capped_values(rules: Rules, dataset: PreparedDataset) -> tuple[Tensor, Tensor]:
    """Which values of the capped features each item has, `[V, W]`, and the cap of each value."""
    tables, caps = (
        [torch.zeros(dataset.item_rows, 0, dtype=torch.bool)],
        [torch.zeros(0, dtype=torch.long)],
    )
    for name, cap in rules.at_most.items():
        feature, table = dataset.item_features.get(name, (None, None))
        if feature is None or feature.kind is Kind.NUMERIC:
            known = [
                name
                for name, (feature, _) in dataset.item_features.items()
                if feature.kind is not Kind.NUMERIC
            ]
            raise UsageError(
                f"at_most: {name!r} is no feature with values; there are {', '.join(known) or 'none'}"
            )
        row_VM = torch.from_numpy(np.asarray(table).astype(np.int64)).view(dataset.item_rows, -1)
        has_VW = torch.zeros(dataset.item_rows, feature.rows, dtype=torch.bool).scatter_(
            1, row_VM, value=True
        )
        tables.append(has_VW[:, 1:])  # what is unknown is no value
        caps.append(torch.full((feature.rows - 1,), cap))
    return torch.cat(tables, 1), torch.cat(caps)


def _moves(item: int, orders: Sequence[tuple[str, NDArray[np.int64]]]) -> Iterator[Move]:
    """The places of the item before and after each rule that moved it."""
    places = [int(np.flatnonzero(order == item)[0]) + 1 for _, order in orders]
    for (rule, _), before, after in zip(orders[1:], places, places[1:], strict=False):
        if before != after:
            yield Move(rule, before, after)
