"""New items for a trained model, placed by their metadata at once; nothing is trained.

In training the ids of some items are hidden (`id_dropout`), so a network knows what to make of an item of which only
the metadata is known. A new item is one whose id stays hidden: its row of every table of items is zero.

Legend: N new items, V item rows, M values an item may have.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.data.features import Feature, Kind
from bert4rec.engine.request import feature_rows, plain_id
from bert4rec.errors import UsageError
from bert4rec.ids import RawId
from bert4rec.model.network import Bert4Rec
from bert4rec.model.vocabulary_growth import grown_weights

OWN_COLUMNS = ("item_id", "title")


def with_items(model: Artefact, items: Sequence[Mapping[str, Any]]) -> Artefact:
    """The model with more items: each a mapping of `item_id`, `title` where there are titles, and features by name.

    What is missing or None is unknown, but some feature must be known; a missing title is the id. What was known before
    is answered as before. Raises UsageError for a model without metadata, and for items that are known already, come
    twice, or say nothing.
    """
    if not model.network.places_cold_start_items:
        raise UsageError(
            f"{model.source}: knows items by their ids alone; train with item_features and an id_dropout above 0"
        )
    dataset = _grown(model.dataset, items)
    network = Bert4Rec.for_dataset(model.run.model, dataset, model.run.training.task_weights)
    grown = grown_weights(network, model.network, model.dataset, dataset)
    network.load_state_dict({**network.state_dict(), **grown})
    return replace(model, network=network.eval(), dataset=dataset, metrics={})


def _grown(dataset: PreparedDataset, items: Sequence[Mapping[str, Any]]) -> PreparedDataset:
    """The dataset with the items behind those that it has; they have no event."""
    ids = _checked(dataset, items)
    rows = [
        feature_rows(
            dataset.item_features,
            {n: v for n, v in item.items() if n not in OWN_COLUMNS},
            "item feature",
        )
        for item in items
    ]
    features = {
        name: (feature, _stacked(feature, np.asarray(table), [row.get(name) for row in rows]))
        for name, (feature, table) in dataset.item_features.items()
    }
    titles = (
        None
        if dataset.titles is None
        else [*dataset.titles, *(str(item.get("title") or item["item_id"]) for item in items)]
    )
    return replace(
        dataset.in_memory(),
        manifest={**dataset.manifest, "num_items": dataset.num_items + len(items)},
        item_features=features,
        stored_vocabularies=Vocabularies.from_lists(
            [*dataset.items.ids, *ids], dataset.users.ids, titles
        ),
    )


def _checked(dataset: PreparedDataset, items: Sequence[Mapping[str, Any]]) -> list[RawId]:
    """The ids of the new items."""
    if not items:
        raise UsageError("no items: there is nothing to add")
    known = [*OWN_COLUMNS, *dataset.item_features]
    kind = type(dataset.items.ids[0])
    ids: list[RawId] = []
    for row, item in enumerate(items, 1):
        unknown = [name for name in item if name not in known]
        if unknown:
            raise UsageError(
                f"item {row}: unknown column {unknown[0]!r}; known are {', '.join(known)}"
            )
        raw = plain_id(item.get("item_id"))
        if type(raw) is not kind:
            raise UsageError(
                f"item {row}: item_id is {raw!r}; the data's ids are of type {kind.__name__}"
            )
        if raw in dataset.items:
            raise UsageError(f"item {row}: item_id {raw!r} is in the catalogue already")
        if not any(item.get(name) not in (None, "", []) for name in dataset.item_features):
            raise UsageError(
                f"item {row}: nothing is known of {raw!r}; give one of {', '.join(dataset.item_features)}"
            )
        ids.append(raw)
    for raw, times in Counter(ids).items():
        if times > 1:
            raise UsageError(f"item_id {raw!r} comes {times} times")
    return ids


def _stacked(
    feature: Feature, table: np.ndarray[Any, Any], new: Sequence[Any]
) -> np.ndarray[Any, Any]:
    """The table with a row for each new item, unknown where nothing is given; wider where an item has more values."""
    if feature.kind is not Kind.MULTI:
        unknown = np.nan if feature.kind is Kind.NUMERIC else 0
        return np.concatenate(
            [table, np.array([unknown if row is None else row[0] for row in new], table.dtype)]
        )
    width = max(table.shape[1], *(0 if row is None else row.shape[1] for row in new))
    stacked = np.zeros((len(table) + len(new), width), table.dtype)
    stacked[: len(table), : table.shape[1]] = table
    for place, row in enumerate(new, len(table)):
        if row is not None:
            stacked[place, : row.shape[1]] = row[0]
    return stacked
