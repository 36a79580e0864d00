"""Columns of an item or user table to feature tables of value rows.

Legend: R rows of the table (items or users, reserved rows included), M values a row may have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bert4rec.data.features import Feature, Kind
from bert4rec.errors import ConfigError, SourceError
from bert4rec.ids import RawId
from bert4rec.ingest.schema import FeatureColumn


@dataclass(frozen=True)
class Built:
    """A feature, its table, and how many of the real rows have a value."""

    feature: Feature
    table_R: NDArray[Any]
    known: int


def build_feature(column: FeatureColumn, rows: pl.DataFrame, reserved: int, path: Path) -> Built:
    """The feature of a table whose rows are in row order; missing rows are null. `reserved` unknown rows come first."""
    if column.kind is Kind.NUMERIC:
        return _numeric(column, rows, reserved, path)
    values = _one_hot(column, rows) if column.one_hot else _values(column, rows[column.column])
    if column.kind is Kind.MULTI:
        return _multi(column, values, reserved)
    return _categorical(column, values, reserved)


def _values(column: FeatureColumn, text: pl.Series) -> pl.Series:
    """The column's values after mapping, extraction and binning; null where unknown."""
    if column.map:
        text = text.replace(dict(column.map))
    if column.extract:
        try:
            text = text.str.extract(column.extract)
        except (
            pl.exceptions.ComputeError
        ) as problem:  # Rust's regular expressions, without look-around
            raise ConfigError(
                f"feature {column.name!r}: extract {column.extract!r} is not supported"
            ) from problem
    if column.bins:
        number = text.cast(pl.Float64, strict=False)
        bin_R = np.searchsorted(
            np.asarray(column.bins), number.fill_null(0).to_numpy(), side="right"
        )
        text = pl.Series([column.bin_labels[place] for place in bin_R], dtype=pl.String).zip_with(
            number.is_not_null(), pl.Series([None] * len(text), dtype=pl.String)
        )
    if column.missing and column.kind is not Kind.MULTI:
        text = text.replace(dict.fromkeys(column.missing))
    return text


_YES = ["1", "1.0", "true", "True"]


def _one_hot(column: FeatureColumn, rows: pl.DataFrame) -> pl.Series:
    marks = [
        pl.when(pl.col(name).is_in(_YES)).then(pl.lit(value))
        for name, value in column.one_hot.items()
    ]
    return rows.select(
        pl.concat_str(marks, separator=column.separator, ignore_nulls=True)
    ).to_series()


def _categorical(column: FeatureColumn, value_R: pl.Series, reserved: int) -> Built:
    values = _sorted_values(value_R.drop_nulls().unique().to_list(), column)
    row_of = {str(value): row for row, value in enumerate(values, 1)}
    table_R = [0] * reserved + [row_of.get(value, 0) for value in value_R.to_list()]
    return Built(
        _feature(column, values),
        np.array(table_R, dtype=np.int32),
        len(value_R) - value_R.null_count(),
    )


def _multi(column: FeatureColumn, value_R: pl.Series, reserved: int) -> Built:
    left_out = {"", *column.missing}
    words = [
        [word.strip() for word in (text or "").split(column.separator)]
        for text in value_R.to_list()
    ]
    lists = [list(dict.fromkeys(word for word in entry if word not in left_out)) for entry in words]
    values = _sorted_values({value for entry in lists for value in entry}, column)
    row_of = {str(value): row for row, value in enumerate(values, 1)}
    table_RM = np.zeros(
        (reserved + len(lists), max((len(entry) for entry in lists), default=0) or 1),
        dtype=np.int32,
    )
    for row, entry in enumerate(lists, reserved):
        table_RM[row, : len(entry)] = [row_of[value] for value in entry]
    return Built(_feature(column, values), table_RM, sum(map(bool, lists)))


_NAN = ["NaN", "nan"]


def _numeric(column: FeatureColumn, rows: pl.DataFrame, reserved: int, path: Path) -> Built:
    text = rows[column.column]
    number_R = _values(column, text).cast(pl.Float64, strict=False).fill_nan(None)
    unknown_R = text.is_null() | text.is_in([*column.missing, *_NAN])
    wrong = ((number_R.is_null() & ~unknown_R) | number_R.is_infinite().fill_null(False)).arg_true()
    if len(wrong):
        raise SourceError(f"{text[int(wrong[0])]!r} is not a number", path, field=column.column)
    known = number_R.drop_nulls()
    mean = float(known.mean() or 0.0)  # type: ignore[arg-type]
    scale = float(known.std() or 0.0) or 1.0  # type: ignore[arg-type]
    standard_R = ((number_R - mean) / scale).fill_null(float("nan")).to_numpy()
    table_R = np.concatenate([np.full(reserved, np.nan), standard_R]).astype(np.float32)
    return Built(Feature(column.name, column.kind, mean=mean, scale=scale), table_R, len(known))


def _sorted_values(values: set[str] | Sequence[str], column: FeatureColumn) -> list[RawId]:
    """Values in order: bins in theirs, whole numbers as integers by size, text by the alphabet."""
    if column.bins:
        return [label for label in column.bin_labels if label in values]
    if values and all(value.isdecimal() and str(int(value)) == value for value in values):
        return sorted(int(value) for value in values)
    return sorted(values)


def _feature(column: FeatureColumn, values: Sequence[RawId]) -> Feature:
    labels = {
        str(value): column.labels[str(value)] for value in values if str(value) in column.labels
    }
    return Feature(column.name, column.kind, list(values), labels or None)
