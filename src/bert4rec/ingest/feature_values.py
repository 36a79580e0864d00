"""Columns of an item or user table to feature tables of value rows.

Legend: M values per row, O rows of the table (items or users).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bert4rec.data.features import LARGEST_NUMBER, Feature, Kind
from bert4rec.errors import ConfigError, SourceError
from bert4rec.ids import RawId
from bert4rec.ingest.schema import FeatureColumn

_YES = ["1", "1.0", "true", "True"]
_NAN = ["NaN", "nan"]


@dataclass(frozen=True)
class BuiltFeature:
    """A feature and its table."""

    feature: Feature
    table_O: NDArray[Any]
    """Value rows or numbers, `[O]` or `[O, M]`, the reserved rows first."""
    known: int
    """Real rows with a value."""


def build_feature(
    column: FeatureColumn, rows: pl.DataFrame, reserved: int, path: Path
) -> BuiltFeature:
    """Feature of the rows of a table.

    Args:
        column: Declaration of the feature.
        rows: Text columns in row order; an id without a row is null.
        reserved: Unknown rows that come first in the table.
        path: File of the rows, for error messages.

    Raises:
        SourceError: A value of a numeric feature is no number.
        ConfigError: `extract` is no regular expression that polars knows.
    """
    if column.kind is Kind.NUMERIC:
        return _numeric(column, rows[column.column], reserved, path)
    text = _one_hot_text(column, rows) if column.one_hot else _values(column, rows[column.column])
    if column.kind is Kind.MULTI:
        return _multi(column, text, reserved)
    return _categorical(column, text, reserved)


def _values(column: FeatureColumn, text: pl.Series) -> pl.Series:
    """Values after replacement, extraction and binning; null where unknown."""
    if column.map:
        text = text.replace(dict(column.map))
    if column.extract:
        text = _extracted(column, text)
    if column.bins:
        text = _binned(column, text)
    if column.missing and column.kind is not Kind.MULTI:
        text = text.replace(dict.fromkeys(column.missing))
    return text


def _extracted(column: FeatureColumn, text: pl.Series) -> pl.Series:
    try:
        return text.str.extract(column.extract)
    except pl.exceptions.ComputeError as problem:
        # Rust's regular expressions have no look-around.
        raise ConfigError(
            f"feature {column.name!r}: extract {column.extract!r} is not supported"
        ) from problem


def _binned(column: FeatureColumn, text: pl.Series) -> pl.Series:
    """Label of each number's bin; null where there is no number."""
    number = text.cast(pl.Float64, strict=False)
    bounds = np.asarray(column.bins)
    bin_O = np.searchsorted(bounds, number.fill_null(0).to_numpy(), side="right")
    labels = pl.Series([column.bin_labels[bin_] for bin_ in bin_O], dtype=pl.String)
    unknown = pl.Series([None] * len(text), dtype=pl.String)
    return labels.zip_with(number.is_not_null(), unknown)


def _one_hot_text(column: FeatureColumn, rows: pl.DataFrame) -> pl.Series:
    """Values of the marked columns, joined by the separator."""
    marked = [
        pl.when(pl.col(name).is_in(_YES)).then(pl.lit(value))
        for name, value in column.one_hot.items()
    ]
    joined = pl.concat_str(marked, separator=column.separator, ignore_nulls=True)
    return rows.select(joined).to_series()


def _categorical(column: FeatureColumn, text: pl.Series, reserved: int) -> BuiltFeature:
    feature = _feature(column, text.drop_nulls().unique().to_list())
    row_of = _rows_by_text(feature)
    table_O = np.array(
        [0] * reserved + [row_of.get(value, 0) for value in text.to_list()], dtype=np.int32
    )
    return BuiltFeature(feature, table_O, len(text) - text.null_count())


def _multi(column: FeatureColumn, text: pl.Series, reserved: int) -> BuiltFeature:
    left_out = {"", *column.missing}
    lists = [_split(entry or "", column.separator, left_out) for entry in text.to_list()]
    feature = _feature(column, set().union(*lists))
    row_of = _rows_by_text(feature)
    width = max(1, *map(len, lists)) if lists else 1
    table_OM = np.zeros((reserved + len(lists), width), dtype=np.int32)
    for row, values in enumerate(lists, reserved):
        table_OM[row, : len(values)] = [row_of[value] for value in values]
    return BuiltFeature(feature, table_OM, sum(map(bool, lists)))


def _split(text: str, separator: str, left_out: set[str]) -> list[str]:
    """Distinct values in their order, without those that mean "unknown"."""
    words = (word.strip() for word in text.split(separator))
    return list(dict.fromkeys(word for word in words if word not in left_out))


def _numeric(column: FeatureColumn, text: pl.Series, reserved: int, path: Path) -> BuiltFeature:
    number_O = _values(column, text).cast(pl.Float64, strict=False).fill_nan(None)
    is_unknown_O = text.is_null() | text.is_in([*column.missing, *_NAN])
    is_too_large_O = (number_O.abs() > LARGEST_NUMBER).fill_null(False)
    wrong = ((number_O.is_null() & ~is_unknown_O) | is_too_large_O).arg_true()
    if len(wrong):
        raise SourceError(f"{text[int(wrong[0])]!r} is not a number", path, field=column.column)
    known = number_O.drop_nulls()
    mean = float(known.mean() or 0.0)  # type: ignore[arg-type]
    scale = float(known.std() or 0.0) or 1.0  # type: ignore[arg-type]
    is_whole = bool((known == known.floor()).all())
    feature = Feature(column.name, column.kind, mean=mean, scale=scale, is_whole=is_whole)
    known_O = number_O.fill_null(float("nan")).to_numpy()
    table_O = np.concatenate([np.full(reserved, np.nan), known_O])
    return BuiltFeature(feature, table_O, len(known))


def _feature(column: FeatureColumn, texts: Iterable[str]) -> Feature:
    """Feature of these values, with the labels that the schema declares for them."""
    values = _sorted_values(set(texts), column)
    labels = {
        str(value): column.labels[str(value)] for value in values if str(value) in column.labels
    }
    return Feature(column.name, column.kind, values, labels or None)


def _sorted_values(texts: set[str], column: FeatureColumn) -> Sequence[RawId]:
    """Values in order: bins as declared, integers by size, text by the alphabet."""
    if column.bins:
        return [label for label in column.bin_labels if label in texts]
    if texts and all(text.isdecimal() and str(int(text)) == text for text in texts):
        return sorted(int(text) for text in texts)
    return sorted(texts)


def _rows_by_text(feature: Feature) -> dict[str, int]:
    """Value rows by the value's text."""
    return {str(value): row for row, value in enumerate(feature.values, 1)}
