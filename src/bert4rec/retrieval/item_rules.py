"""`ItemRules`: business rules resolved to item rows, ready for the scores of any number of users.

Legend: V item rows, D width, M values of an item, F feature values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.plain_values import shown
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, RawId
from bert4rec.retrieval.conditions import items_where
from bert4rec.retrieval.reranking import Caps
from bert4rec.retrieval.rules import Rules

MOST_SHOWN_IDS = 5
"""Number of unknown ids that a warning names."""
RowOf = Callable[[RawId], int | None]
"""Item row of a raw id; None if the id is unknown."""


@dataclass(frozen=True)
class ItemRules:
    """Rules of a request as arrays over the items of one model."""

    rules: Rules
    allowed_V: Tensor
    """True for items that pass the filters."""
    boost_V: Tensor
    """Sum of the boosts that each item gets."""
    caps: Caps | None
    """Caps on feature values; None without caps."""
    item_VD: Tensor
    """Item embeddings, between which MMR measures similarity."""
    warnings: Sequence[str] = ()
    """Remarks on ids that the model does not know."""

    @classmethod
    def resolve(
        cls, rules: Rules, dataset: PreparedDataset, row_of: RowOf, item_VD: Tensor
    ) -> ItemRules:
        """Item rows of the ids, conditions and features that the rules name.

        Unknown ids of `deny` and `allow` are left out, with a warning. Raises UsageError for a
        condition or feature that is unknown and for filters that no item of the catalogue passes.
        """
        listed = {"allow": rules.allow or (), "deny": rules.deny}
        unknown = {name: _unknown(item_ids, row_of) for name, item_ids in listed.items()}
        allowed_V = torch.from_numpy(_allowed(rules, dataset, row_of))
        boost_V = torch.from_numpy(_boosts(rules, dataset))
        warnings = [_warning(name, len(listed[name]), ids) for name, ids in unknown.items() if ids]
        return cls(rules, allowed_V, boost_V, _caps(rules, dataset), item_VD, warnings)

    @property
    def allows_unknown_items_only(self) -> bool:
        """True if the ids of `allow` are all unknown: every list is empty, which a warning says."""
        return bool(self.rules.allow) and not bool(self.allowed_V.any())


def _allowed(rules: Rules, dataset: PreparedDataset, row_of: RowOf) -> Mask:
    """Items `[V]` that pass the filters."""
    every_V = np.ones(dataset.item_rows, dtype=bool)
    meets_V = every_V if rules.where is None else items_where(rules.where, dataset)
    allowed_V = np.full(dataset.item_rows, rules.allow is None)
    allowed_V[_known_rows(rules.allow or (), row_of)] = True
    if rules.allow and not allowed_V.any():
        return allowed_V
    allowed_V[_known_rows(rules.deny, row_of)] = False
    allowed_V &= meets_V
    if rules.filters and not allowed_V[FIRST_ITEM:].any():
        raise UsageError(f"{rules.filters} leave no item at all; they contradict each other")
    return allowed_V


def _known_rows(item_ids: Sequence[RawId], row_of: RowOf) -> list[int]:
    """Item rows of those raw ids that are known."""
    rows = map(row_of, item_ids)
    return [row for row in rows if row is not None]


def _unknown(item_ids: Sequence[RawId], row_of: RowOf) -> list[RawId]:
    return [item_id for item_id in item_ids if row_of(item_id) is None]


def _warning(rule: str, listed: int, unknown: Sequence[RawId]) -> str:
    """Remark on the unknown ids of a rule, with the first of them."""
    examples = ", ".join(map(shown, unknown[:MOST_SHOWN_IDS]))
    more = ", …" if len(unknown) > MOST_SHOWN_IDS else ""
    outcome = "ignored"
    count = f"{len(unknown):,} of {listed:,} ids not in the catalogue"
    if rule == "allow" and len(unknown) == listed:
        outcome = "so no item is allowed and the list is empty"
    return f"{rule}: {count}, {outcome}: {examples}{more}"


def _boosts(rules: Rules, dataset: PreparedDataset) -> Floats:
    """Sum of the boosts of each item, `[V]`."""
    boost_V = np.zeros(dataset.item_rows)
    for condition, boost in rules.boosts.items():
        boost_V += boost * items_where(condition, dataset)
    return boost_V


def _caps(rules: Rules, dataset: PreparedDataset) -> Caps | None:
    """Caps of all capped features side by side."""
    if not rules.at_most:
        return None
    tables, caps = [], []
    for name, cap in rules.at_most.items():
        value_VF = _values(name, dataset)
        tables.append(value_VF)
        # A cap above the catalogue is none; as a tensor it might not fit.
        caps.append(torch.full((value_VF.shape[1],), min(cap, dataset.item_rows)))
    return Caps(torch.cat(tables, 1), torch.cat(caps))


def _values(name: str, dataset: PreparedDataset) -> Tensor:
    """Known values `[V, F]` of a feature with values: True where an item has one."""
    feature, table = _feature_with_values(name, dataset)
    row_VM = torch.from_numpy(np.asarray(table).astype(np.int64)).view(dataset.item_rows, -1)
    has_VF = torch.zeros(dataset.item_rows, feature.rows, dtype=torch.bool)
    has_VF.scatter_(1, row_VM, value=True)
    # Row 0 of a feature means unknown: no value that a cap could count.
    return has_VF[:, 1:]


def _feature_with_values(name: str, dataset: PreparedDataset) -> tuple[Feature, Any]:
    features = dataset.item_features
    if name in features and features[name][0].kind is not Kind.NUMERIC:
        return features[name]
    known = [other for other, (feature, _) in features.items() if feature.kind is not Kind.NUMERIC]
    raise UsageError(
        f"at_most: {name!r} is no feature with values; there are {', '.join(known) or 'none'}"
    )
