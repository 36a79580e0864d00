"""The check of a dataset that comes from files: shapes, types, ranges and names fit together.

Prepared folders and model folders are both checked here, before anything reads their numbers.

Legend: N events, U user rows.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.features import Feature, Kind
from bert4rec.ids import FIRST_ITEM, NO_TIME

if TYPE_CHECKING:
    from bert4rec.data.dataset import PreparedDataset

_MOST_LEVELS = 255
_TYPES = {"start_U1": np.int64, "item_N": np.int32, "time_N": np.int64, "rating_N": np.uint8}


def check_dataset(dataset: PreparedDataset) -> None:
    """Raise ValueError for the first thing about a dataset that does not fit the rest.

    It takes one pass over the events, without a copy of them.
    """
    for problem in _problems(dataset):
        raise ValueError(problem)


def check_names(
    items: object, users: object, titles: object, num_items: int, num_users: int
) -> None:
    """Raise ValueError for lists of names that are of another length, type, or name one twice."""
    for owner, ids, count in (("item", items, num_items), ("user", users, num_users)):
        for problem in _problems_of_ids(owner, ids, count):
            raise ValueError(problem)
    if titles is not None and not _is_list_of(str, titles, num_items):
        raise ValueError(f"the titles are no list of {num_items} texts")


def _problems(dataset: PreparedDataset) -> Iterator[str]:
    yield from _problems_of_manifest(dataset.manifest)
    for name, kind in _TYPES.items():
        array = getattr(dataset, name)
        if array.ndim != 1 or array.dtype != kind:
            yield f"{name} is {array.dtype} of shape {array.shape}, not a row of {np.dtype(kind)}"
    yield from _problems_of_events(dataset)
    levels = dataset.rating_levels
    if levels.ndim != 1 or len(levels) > _MOST_LEVELS or not _ascends(levels):
        yield f"the rating levels are not at most {_MOST_LEVELS} ascending numbers"
    for owner, features, rows in (
        ("item", dataset.item_features, dataset.item_rows),
        ("user", dataset.user_features, dataset.user_rows),
    ):
        if len(features) != len(dataset.manifest[f"{owner}_features"]):
            yield f"two {owner} features have one name"
        for feature, table in features.values():
            yield from _problems_of_feature(
                f"{owner} feature {feature.name!r}", feature, table, rows
            )


def _problems_of_manifest(manifest: Mapping[str, Any]) -> Iterator[str]:
    for name in ("name", "checksum", "features_checksum", "ties"):
        if not isinstance(manifest[name], str):
            yield f"{name} is no text"
    if not isinstance(manifest["has_times"], bool):
        yield "has_times is neither true nor false"
    if type(manifest["num_items"]) is not int or manifest["num_items"] < 0:
        yield "num_items is no count"


def _problems_of_events(dataset: PreparedDataset) -> Iterator[str]:
    start_U1, events = np.asarray(dataset.start_U1), len(dataset.item_N)
    if len(dataset.time_N) != events or len(dataset.rating_N) != events:
        yield "the events have arrays of different lengths"
    if len(start_U1) < 2 or start_U1[0] != 0 or start_U1[1] != 0 or start_U1[-1] != events:
        yield "user_start does not begin at 0 and end at the number of events"
    if (start_U1[1:] < start_U1[:-1]).any():
        yield "user_start descends"
    if not events:
        return
    if dataset.item_N.min() < FIRST_ITEM or dataset.item_N.max() >= dataset.item_rows:
        yield "event_item names an item outside the catalogue"
    if dataset.time_N.min() < NO_TIME:
        yield "event_time holds a time before 1970"
    if dataset.rating_N.max() > len(dataset.rating_levels):
        yield "event_rating names a rating outside the scale"


def _problems_of_feature(
    where: str, feature: Feature, table: NDArray[Any], rows: int
) -> Iterator[str]:
    if not isinstance(feature.name, str) or not isinstance(feature.is_whole, bool):
        yield f"{where} is not described as a feature"
    is_multi = feature.kind is Kind.MULTI
    if table.ndim != 1 + is_multi or len(table) != rows:
        yield f"{where} has a table of shape {table.shape} for {rows} rows"
    if is_multi and not table.shape[1]:
        yield f"{where} has a table without columns"
    yield from _problems_of_ids(where, feature.values, len(feature.values))
    if feature.labels is not None and not _is_text_mapping(feature.labels):
        yield f"{where} has labels that map no texts to texts"
    if feature.kind is Kind.NUMERIC:
        yield from _problems_of_numbers(where, feature, table)
        return
    if table.dtype != np.int32:
        yield f"{where} has a table of {table.dtype}, not of int32"
    if table.size and (table.min() < 0 or table.max() >= feature.rows):
        yield f"{where} has a row outside its {len(feature.values)} values"


def _problems_of_numbers(where: str, feature: Feature, table: NDArray[Any]) -> Iterator[str]:
    if table.dtype != np.float64:
        yield f"{where} has a table of {table.dtype}, not of float64"
    if np.isinf(table).any():
        yield f"{where} has a number that is not finite"
    scaling = (feature.mean, feature.scale)
    if not all(isinstance(number, float | int) and math.isfinite(number) for number in scaling):
        yield f"{where} has a mean or scale that is no finite number"
    elif feature.scale <= 0:
        yield f"{where} has a scale that is not above 0"


def _problems_of_ids(owner: str, ids: Any, count: int) -> Iterator[str]:
    if not _is_list_of(int, ids, count) and not _is_list_of(str, ids, count):
        yield f"the {owner} ids are no list of {count} texts or whole numbers"
    elif len(set(ids)) != count:
        yield f"the {owner} ids name one twice"


def _is_list_of(kind: type, values: object, count: int) -> bool:
    is_list = isinstance(values, Sequence) and not isinstance(values, str) and len(values) == count
    return is_list and all(type(value) is kind for value in values)  # type: ignore[attr-defined]


def _is_text_mapping(labels: object) -> bool:
    return isinstance(labels, Mapping) and all(
        isinstance(key, str) and isinstance(value, str) for key, value in labels.items()
    )


def _ascends(levels: NDArray[np.float64]) -> bool:
    return bool(np.isfinite(levels).all() and (levels[1:] > levels[:-1]).all())
