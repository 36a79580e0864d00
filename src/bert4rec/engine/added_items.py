"""Cold-start items for a trained model: vocabulary growth by metadata, without training.

Training hides the ids of some items (`id_dropout`), so the network can place an item by its
metadata alone. A cold-start item keeps its id hidden: its rows of the item tables are zero.

Legend: X cold-start items, O rows of an item table, M values of an item.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.artefact import Artefact
from bert4rec.data.arrays import Ints
from bert4rec.data.checksums import features_checksum
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.data.features import Feature, Kind
from bert4rec.data.plain_values import plain
from bert4rec.engine.raw_values import feature_rows
from bert4rec.errors import UsageError
from bert4rec.ids import UNKNOWN, RawId
from bert4rec.model.network import Bert4Rec
from bert4rec.model.vocabulary_growth import grown_weights

Item = Mapping[str, Any]
"""Cold-start item: `item_id`, `title`, and raw item features by name."""
RESERVED_NAMES = ("item_id", "title")


def with_items(model: Artefact, items: Sequence[Item]) -> Artefact:
    """Model of a larger catalogue; scores of the items that it had stay.

    A feature that is missing or None is unknown, but one at least must be known. A missing title is
    the id. Raises UsageError for a model without metadata, and for an item that is known already,
    comes twice or has no known feature.
    """
    if not model.network.places_cold_start_items:
        raise UsageError(
            f"{model.source}: knows items by their ids alone; "
            "train with item_features and an id_dropout above 0"
        )
    return with_learned_weights(model, _with_items(model.dataset, items))


def with_learned_weights(model: Artefact, dataset: PreparedDataset) -> Artefact:
    """Model of another catalogue with the weights that were learned."""
    network = Bert4Rec.for_dataset(model.config.model, dataset, model.config.training.task_weights)
    grown = grown_weights(network, model.network, model.dataset, dataset)
    # Feature tables are those of the larger dataset, learned weights those of the trained network.
    network.load_state_dict({**network.state_dict(), **grown})
    return replace(model, network=network.eval(), dataset=dataset, metrics={})


def _with_items(dataset: PreparedDataset, items: Sequence[Item]) -> PreparedDataset:
    """Dataset with more items behind its own, which have no event."""
    item_ids = _checked_ids(dataset, items)
    rows = [_feature_rows(dataset, item) for item in items]
    features = {}
    for name, (feature, table) in dataset.item_features.items():
        new_rows = [row.get(name) for row in rows]
        features[name] = feature, _extended(feature, np.asarray(table), new_rows)
    titles = _titles(dataset, items)
    checksum = features_checksum(titles, features.values(), dataset.user_features.values())
    return replace(
        dataset.in_memory(),
        manifest={
            **dataset.manifest,
            "num_items": dataset.num_items + len(items),
            "features_checksum": checksum,
        },
        item_features=features,
        stored_vocabularies=Vocabularies.from_lists(
            [*dataset.items.ids, *item_ids], dataset.users.ids, titles
        ),
    )


def _titles(dataset: PreparedDataset, items: Sequence[Item]) -> list[str] | None:
    if dataset.titles is None:
        return None
    return [*dataset.titles, *(str(item.get("title") or item["item_id"]) for item in items)]


def _feature_rows(dataset: PreparedDataset, item: Item) -> dict[str, NDArray[Any]]:
    values = {name: value for name, value in item.items() if name not in RESERVED_NAMES}
    return feature_rows(dataset.item_features, values, "item feature")


def _checked_ids(dataset: PreparedDataset, items: Sequence[Item]) -> list[RawId]:
    """Ids of the cold-start items. Raises UsageError for an item that cannot be added."""
    if not items:
        raise UsageError("no items: there is nothing to add")
    item_ids = [_checked_id(dataset, item, f"item {row}") for row, item in enumerate(items, 1)]
    for item_id, count in Counter(item_ids).items():
        if count > 1:
            raise UsageError(f"item_id {item_id!r} comes {count} times")
    return item_ids


def _checked_id(dataset: PreparedDataset, item: Item, label: str) -> RawId:
    """Id of one item; `label` names it in errors."""
    features = list(dataset.item_features)
    known = [*RESERVED_NAMES, *features]
    for name in item:
        if name not in known:
            raise UsageError(f"{label}: unknown column {name!r}; known are {', '.join(known)}")
    item_id: RawId = plain(item.get("item_id"))
    kind = type(dataset.items.ids[0])
    if type(item_id) is not kind:
        raise UsageError(
            f"{label}: item_id is {item_id!r}; the data's ids are of type {kind.__name__}"
        )
    if item_id in dataset.items:
        raise UsageError(
            f"{label}: item_id {item_id!r} is in the catalogue already; update-items changes it"
        )
    if all(item.get(name) in (None, "", []) for name in features):
        raise UsageError(
            f"{label}: nothing is known of {item_id!r}; give one of {', '.join(features)}"
        )
    return item_id


def _extended(
    feature: Feature, table: NDArray[Any], new_rows: Sequence[NDArray[Any] | None]
) -> NDArray[Any]:
    """Table with a row for each cold-start item, unknown where no value is given."""
    if feature.kind is Kind.MULTI:
        return _extended_multi(table, new_rows)
    unknown = np.nan if feature.kind is Kind.NUMERIC else UNKNOWN
    new_X = [unknown if row is None else row[0] for row in new_rows]
    return np.concatenate([table, np.array(new_X, table.dtype)])


def _extended_multi(table_OM: NDArray[Any], new_rows: Sequence[NDArray[Any] | None]) -> Ints:
    """Table of a multi-valued feature, wider if a cold-start item has more values."""
    widths = [row.shape[1] for row in new_rows if row is not None]
    shape = len(table_OM) + len(new_rows), max(table_OM.shape[1], *widths, 0)
    extended_OM = np.full(shape, UNKNOWN, table_OM.dtype)
    extended_OM[: len(table_OM), : table_OM.shape[1]] = table_OM
    for item, row in enumerate(new_rows, len(table_OM)):
        if row is not None:
            extended_OM[item, : row.shape[1]] = row[0]
    return extended_OM
