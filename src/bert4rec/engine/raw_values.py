"""Raw ids and raw feature values looked up in a dataset, and back.

Legend: M values of an item or user.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import LARGEST_NUMBER, Feature, FeatureTables, Kind
from bert4rec.data.plain_values import plain, plain_number, shown
from bert4rec.errors import UnknownItem, UsageError
from bert4rec.ids import FIRST_ITEM, UNKNOWN, Vocabulary

MOST_LISTED_VALUES = 30
"""Number of known values that an error lists."""
MOST_DEVIATIONS = 1e6
"""Distance of a request's number from the mean of the data, in standard deviations.

Squares of larger ones leave float32 inside the network.
"""


def row_of(vocabulary: Vocabulary, raw: Any) -> int | None:
    """Row of a raw id; None if it is unknown.

    Ids are compared with their type: neither '7' nor 7.0 is the id 7.
    """
    raw = plain(raw)
    return vocabulary.row(raw) if type(raw) in (int, str) else None


def item_row(dataset: PreparedDataset, item_id: Any) -> int:
    """Row of a known item. Raises UnknownItem."""
    row = row_of(dataset.items, item_id)
    if row is None:
        raise UnknownItem([plain(item_id)])
    return row


def title_of(dataset: PreparedDataset, item: int) -> str | None:
    """Title of an item row; None if the data has none."""
    if not dataset.titles:
        return None
    return dataset.titles[item - FIRST_ITEM] or None


def name_of(dataset: PreparedDataset, item: int) -> str:
    """Title of an item row, or its id if the data has none."""
    return title_of(dataset, item) or str(dataset.items.raw(item))


def raw_value(feature: Feature, value: Any) -> Any:
    """Raw value or values of a stored one; None if unknown."""
    if feature.kind is Kind.NUMERIC:
        return _raw_number(feature, float(value))
    if feature.kind is Kind.MULTI:
        return [feature.values[row - 1] for row in value.tolist() if row != UNKNOWN]
    return None if value == UNKNOWN else feature.values[int(value) - 1]


def _raw_number(feature: Feature, number: float) -> int | float | None:
    """Number as the data writes it: a whole one where all of them are."""
    if np.isnan(number):
        return None
    return int(number) if feature.is_whole and number.is_integer() else number


def feature_rows(
    features: FeatureTables,
    values: Mapping[str, Any],
    kind: str = "user feature",
) -> dict[str, NDArray[Any]]:
    """Stored form of one user's or item's raw values, by feature; None means unknown.

    Raises UsageError for an unknown feature or value; `kind` names the features in its message.
    """
    rows = {}
    for name, value in values.items():
        if name not in features:
            raise UsageError(
                f"unknown {kind} {shown(name)}; known are {', '.join(features) or 'none'}"
            )
        feature, table = features[name]
        rows[name] = _feature_row(feature, table, value, f"{kind} {name!r}")
    return rows


def _feature_row(feature: Feature, table: NDArray[Any], value: Any, label: str) -> NDArray[Any]:
    """Stored form of one value, with a leading axis of one user or item."""
    if feature.kind is Kind.NUMERIC:
        return _number(feature, value, label)
    raw_values = _raw_values(value)
    if feature.kind is Kind.CATEGORICAL and len(raw_values) > 1:
        raise UsageError(f"{label} holds one value, not {shown(value)}")
    rows = sorted({_value_row(feature, raw, label) for raw in raw_values})
    if feature.kind is Kind.CATEGORICAL:
        return np.array(rows or [UNKNOWN])
    padding = [UNKNOWN] * (table.shape[1] - len(rows))
    return np.array([rows + padding])


def _raw_values(value: Any) -> list[Any]:
    """Known raw values of one, or of a list, a set or an array of several."""
    value = plain(value)
    several = isinstance(value, Iterable) and not isinstance(value, str | bytes | Mapping)
    values = map(plain, value) if several else [value]
    return [each for each in values if each is not None]


def _value_row(feature: Feature, value: Any, label: str) -> int:
    """Row of a value, compared as text: the command line's '7' is the data's 7, and so is 7.0."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    texts = [str(known) for known in feature.values]
    if str(value) not in texts:
        raise UsageError(f"{label} has no value {shown(value)}; known are {_listed(texts)}")
    return texts.index(str(value)) + 1


def _listed(texts: Sequence[str]) -> str:
    shown = ", ".join(texts[:MOST_LISTED_VALUES])
    return f"{shown}, …" if len(texts) > MOST_LISTED_VALUES else shown


def _number(feature: Feature, value: Any, label: str) -> NDArray[Any]:
    """Number, NaN if unknown. Raises UsageError for one that the network cannot stand."""
    try:
        number = plain_number(value)
    except ValueError:
        raise UsageError(f"{label} is a number, not {shown(value)}") from None
    if number is None:
        return np.array([np.nan])
    deviations = abs(number - feature.mean) / feature.scale
    if abs(number) > LARGEST_NUMBER or deviations > MOST_DEVIATIONS:
        known = f"the mean of the data is {feature.mean:g}, its deviation {feature.scale:g}"
        raise UsageError(f"{label}: {shown(value)} is too large a number; {known}")
    return np.array([float(number)])
