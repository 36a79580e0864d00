"""Metadata of known items, changed in a trained model without training.

Legend: V item rows, M values of an item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.artefact import Artefact
from bert4rec.data.checksums import features_checksum
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.engine.added_items import RESERVED_NAMES, Item, with_learned_weights
from bert4rec.engine.raw_values import feature_rows, item_row
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, UNKNOWN


def with_updates(model: Artefact, items: Sequence[Item]) -> tuple[Artefact, dict[str, int]]:
    """Model with other titles and features of some items, and the number of changes of each.

    A value that is missing stays; None makes it unknown. Raises UnknownItem for an item that the
    model does not know, and UsageError for a value that it does not know.
    """
    if not items:
        raise UsageError("no items: there is nothing to change")
    dataset = model.dataset.in_memory()
    rows = [item_row(dataset, item.get("item_id")) for item in items]
    if len(set(rows)) < len(rows):
        raise UsageError("an item comes twice; give each one row")
    changes: Counter[str] = Counter()
    titles = _titles(dataset, items, rows, changes)
    features = {name: (feature, table) for name, (feature, table) in dataset.item_features.items()}
    for item, row in zip(items, rows, strict=True):
        given = {name: value for name, value in item.items() if name not in RESERVED_NAMES}
        for name, value_1M in feature_rows(features, given, "item feature").items():
            feature, table = features[name]
            table = _wide_enough(table, value_1M)
            changes[name] += not np.array_equal(table[row], value_1M[0], equal_nan=True)
            table[row] = value_1M[0]
            features[name] = feature, table
    checksum = features_checksum(titles, features.values(), dataset.user_features.values())
    changed = replace(
        dataset,
        manifest={**dataset.manifest, "features_checksum": checksum},
        item_features=features,
        stored_vocabularies=Vocabularies.from_lists(dataset.items.ids, dataset.users.ids, titles),
    )
    counts = {name: count for name, count in changes.items() if count}
    return with_learned_weights(model, changed), counts


def _titles(
    dataset: PreparedDataset,
    items: Sequence[Mapping[str, Any]],
    rows: Sequence[int],
    changes: Counter[str],
) -> list[str] | None:
    """Titles after the changes, which are counted."""
    if dataset.titles is None:
        return None
    titles = list(dataset.titles)
    for item, row in zip(items, rows, strict=True):
        title = str(item.get("title") or titles[row - FIRST_ITEM])
        changes["title"] += title != titles[row - FIRST_ITEM]
        titles[row - FIRST_ITEM] = title
    return titles


def _wide_enough(table: NDArray[Any], value_1M: NDArray[Any]) -> NDArray[Any]:
    """Table of a multi-valued feature with room for as many values as an item gets."""
    more = value_1M.shape[-1] - table.shape[-1] if table.ndim > 1 else 0
    if more <= 0:
        return table
    return np.pad(table, ((0, 0), (0, more)), constant_values=UNKNOWN)
