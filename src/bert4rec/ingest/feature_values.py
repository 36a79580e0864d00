"""Columns of an item or user table to feature tables of value rows.

Legend: M values per row, O rows of the table (items or users).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from bert4rec.data.features import LARGEST_NUMBER, Feature, Kind
from bert4rec.errors import ConfigError, SourceError
from bert4rec.ids import RawId
from bert4rec.ingest.file_types import is_parquet
from bert4rec.ingest.list_texts import entry_texts, hold_lists, parsed_list
from bert4rec.ingest.numbers import advice_on, numbers_of
from bert4rec.ingest.schema import FeatureColumn, Format, SideTable
from bert4rec.ingest.text_errors import line_of
from bert4rec.ingest.typed_columns import ROW

POSITION = "\x1fposition"
"""Column of the ids' positions in row order, from 0."""
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


@dataclass(frozen=True)
class RowsOfIds:
    """Rows of a table beside the ids of the data: one row per id, or several to collect."""

    frame: pl.DataFrame
    """Columns `position` (of the id, from 0), `row` (null without a row) and those declared."""
    ids: int
    path: Path
    table: SideTable
    text_fields: Mapping[str, str]
    """By column, the field to take of records that are written as text."""

    @property
    def layout(self) -> Format:
        """Layout of the numbers. A Parquet file has its own."""
        return Format() if is_parquet(self.path) else self.table.format

    def error(self, index: int, reason: str, column: str) -> SourceError:
        """Error about a value of one row."""
        line, _ = line_of(self.path, self.table.format, int(self.frame[ROW][index]))
        return SourceError(reason, self.path, line, column)

    def single(self, values: pl.Series, column: str) -> pl.Series:
        """Value of each id. Raises SourceError where the rows of one id have several."""
        if len(self.frame) == self.ids:
            return values
        given = self.frame.select(POSITION, ROW, value=values).drop_nulls()
        distinct = given.unique([POSITION, "value"], maintain_order=True)
        again = distinct.filter(~pl.col(POSITION).is_first_distinct())
        if len(again):
            index = int((self.frame[ROW] == again[ROW][0]).arg_true()[0])
            reason = (
                f"{again['value'][0]!r} is a second value of one id; only kind multi holds several"
            )
            raise self.error(index, reason, column)
        positions = self.frame.select(pl.col(POSITION).unique(maintain_order=True))
        return positions.join(distinct, on=POSITION, how="left", maintain_order="left")["value"]


def build_feature(column: FeatureColumn, rows: RowsOfIds, reserved: int) -> BuiltFeature:
    """Feature of the rows of a table; `reserved` unknown rows come first in its own table.

    Raises:
        SourceError: A value is not of the feature's kind.
        ConfigError: `extract` is no regular expression that polars knows.
    """
    column = replace(column, missing=[*column.missing, *rows.table.missing])
    if column.kind is Kind.MULTI:
        return _multi(column, _lists(column, rows), reserved)
    cells = _single_cells(column, rows)
    if column.kind is Kind.NUMERIC:
        return _numeric(column, _numbers(column, cells, rows), rows, reserved)
    values = rows.single(_values(column, cells, rows), column.column)
    return _categorical(column, values, reserved)


def _single_cells(column: FeatureColumn, rows: RowsOfIds) -> pl.Series:
    """Texts of a feature with one value per row. Raises SourceError for lists."""
    cells = rows.frame[column.column]
    field = rows.text_fields.get(column.column, "")
    if field:
        return _field_texts(cells, field, column, rows)
    is_text = cells.dtype == pl.String
    if not is_text or (not column.extract and hold_lists(cells)):
        example = str(next(iter(cells.drop_nulls().to_list()), []))[:80]
        reason = f"holds lists such as {example}; 'kind: multi' reads them"
        raise SourceError(reason, rows.path, field=column.column)
    return cells


def _field_texts(cells: pl.Series, field: str, column: FeatureColumn, rows: RowsOfIds) -> pl.Series:
    """Field of the record in each text. Raises SourceError for a list of several."""
    texts: list[str | None] = []
    for index, values in enumerate(_parsed_lists(cells, field, column, rows)):
        if len(values) > 1:
            raise rows.error(
                index, "holds several records; 'kind: multi' reads them", column.column
            )
        texts.append(values[0] if values else None)
    return pl.Series(texts, dtype=pl.String)


def _values(column: FeatureColumn, text: pl.Series, rows: RowsOfIds) -> pl.Series:
    """Values after replacement, extraction and binning; null where unknown."""
    if column.map:
        text = text.replace(dict(column.map))
    if column.extract:
        text = _extracted(column, text)
    if column.bins:
        text = _binned(column, text, rows)
    return text.replace(dict.fromkeys(column.missing)) if column.missing else text


def _extracted(column: FeatureColumn, text: pl.Series) -> pl.Series:
    try:
        return text.str.extract(column.extract)
    except pl.exceptions.ComputeError as problem:
        # Rust's regular expressions have no look-around.
        raise ConfigError(
            f"feature {column.name!r}: extract {column.extract!r} is not supported"
        ) from problem


def _binned(column: FeatureColumn, text: pl.Series, rows: RowsOfIds) -> pl.Series:
    """Label of each number's bin; null where the number is unknown."""
    number = _checked_numbers(column, text, rows)
    bounds = np.asarray(column.bins)
    bin_O = np.searchsorted(bounds, number.fill_null(0).to_numpy(), side="right")
    labels = pl.Series([column.bin_labels[bin_] for bin_ in bin_O], dtype=pl.String)
    unknown = pl.Series([None] * len(text), dtype=pl.String)
    return labels.zip_with(number.is_not_null(), unknown)


def _numbers(column: FeatureColumn, cells: pl.Series, rows: RowsOfIds) -> pl.Series:
    """Number of each row after replacement and extraction; null where unknown."""
    unknown = [*column.missing, *_NAN]
    cells = cells.replace(dict.fromkeys(unknown))
    text = _values(replace(column, bins=()), cells, rows)
    lost = (text.is_null() & cells.is_not_null() & ~_is_mapped_away(column, cells)).arg_true()
    if len(lost):
        raise _no_number(str(cells[int(lost[0])]), int(lost[0]), column, rows)
    return _checked_numbers(column, text, rows)


def _is_mapped_away(column: FeatureColumn, cells: pl.Series) -> pl.Series:
    """True where the map replaces a text by one that means "unknown"."""
    gone = [text for text, value in column.map.items() if value in column.missing]
    return cells.is_in(gone).fill_null(False)


def _checked_numbers(column: FeatureColumn, text: pl.Series, rows: RowsOfIds) -> pl.Series:
    """Numbers of texts. Raises SourceError, with the row, for a text that is none."""
    text = text.replace(dict.fromkeys([*column.missing, *_NAN]))
    number = numbers_of(text, rows.layout)
    wrong = (number.is_null() & text.is_not_null()).arg_true()
    if len(wrong):
        raise _no_number(str(text[int(wrong[0])]), int(wrong[0]), column, rows)
    too_large = (number.abs() > LARGEST_NUMBER).fill_null(False).arg_true()
    if len(too_large):
        index = int(too_large[0])
        reason = f"{text[index]!r} is beyond 2^53, the largest number of a feature"
        raise rows.error(index, reason, column.column)
    return number


def _no_number(text: str, index: int, column: FeatureColumn, rows: RowsOfIds) -> SourceError:
    return rows.error(index, f"{text!r} is not a number; {advice_on(text)}", column.column)


def _lists(column: FeatureColumn, rows: RowsOfIds) -> list[list[str]]:
    """Distinct known values of each id in their order."""
    found = _one_hot_lists(column, rows) if column.one_hot else _row_lists(column, rows)
    left_out = {"", *column.missing}
    lists: list[dict[str, None]] = [{} for _ in range(rows.ids)]
    for position, values in zip(rows.frame[POSITION].to_list(), found, strict=True):
        lists[position] |= dict.fromkeys(value for value in values if value not in left_out)
    return [list(values) for values in lists]


def _row_lists(column: FeatureColumn, rows: RowsOfIds) -> list[list[str]]:
    """Values of each row: entries of lists as they are, texts split at the separator."""
    cells = rows.frame[column.column]
    field = rows.text_fields.get(column.column, "")
    if isinstance(cells.dtype, pl.List):
        entries = [_stripped(values or []) for values in cells.to_list()]
        return _values_of_entries(column, entries, rows)
    if field or (not column.extract and hold_lists(cells)):
        return _values_of_entries(column, _parsed_lists(cells, field, column, rows), rows)
    texts = _values(replace(column, missing=()), cells, rows).to_list()
    return [_stripped((text or "").split(column.separator)) for text in texts]


def _stripped(values: Sequence[str | None]) -> list[str]:
    return [value.strip() for value in values if value is not None]


def _values_of_entries(
    column: FeatureColumn, lists: Sequence[Sequence[str]], rows: RowsOfIds
) -> list[list[str]]:
    """Lists whose entries are replaced, extracted and binned."""
    if not (column.map or column.extract or column.bins):
        return [list(values) for values in lists]
    index = np.repeat(np.arange(len(lists)), list(map(len, lists))).tolist()
    flat = pl.Series(list(chain.from_iterable(lists)), dtype=pl.String)
    entries = replace(rows, frame=rows.frame[index])
    changed: list[list[str]] = [[] for _ in lists]
    for row, value in zip(index, _values(column, flat, entries).to_list(), strict=True):
        if value is not None:
            changed[row].append(value)
    return changed


def _parsed_lists(
    cells: pl.Series, field: str, column: FeatureColumn, rows: RowsOfIds
) -> list[list[str]]:
    """Entries of lists that are written as text. Raises SourceError for a text that is none."""
    return [_parsed(index, text, field, column, rows) for index, text in enumerate(cells)]


def _parsed(
    index: int, text: str | None, field: str, column: FeatureColumn, rows: RowsOfIds
) -> list[str]:
    if text is None or text in column.missing:
        return []
    values = parsed_list(text)
    if values is None:
        reason = (
            f"{text[:80]!r} is no list, as other values are; correct it, or list it under missing"
        )
        raise rows.error(index, reason, column.column)
    try:
        return entry_texts(values, field)
    except ValueError as problem:
        reason = str(problem).replace("COLUMN", column.column)
        raise rows.error(index, reason, column.column) from None


def _one_hot_lists(column: FeatureColumn, rows: RowsOfIds) -> list[list[str]]:
    """Values of the marked columns."""
    marks = rows.frame.select(pl.col(name).is_in(_YES).fill_null(False) for name in column.one_hot)
    values = list(column.one_hot.values())
    return [list(compress(values, row)) for row in marks.iter_rows()]


def _categorical(column: FeatureColumn, text: pl.Series, reserved: int) -> BuiltFeature:
    feature = _feature(column, text.drop_nulls().unique().to_list())
    row_of = _rows_by_text(feature)
    table_O = np.array(
        [0] * reserved + [row_of.get(value, 0) for value in text.to_list()], dtype=np.int32
    )
    return BuiltFeature(feature, table_O, len(text) - text.null_count())


def _multi(column: FeatureColumn, lists: Sequence[Sequence[str]], reserved: int) -> BuiltFeature:
    feature = _feature(column, set().union(*lists))
    row_of = _rows_by_text(feature)
    width = max(1, *map(len, lists)) if lists else 1
    table_OM = np.zeros((reserved + len(lists), width), dtype=np.int32)
    for row, values in enumerate(lists, reserved):
        table_OM[row, : len(values)] = [row_of[value] for value in values]
    return BuiltFeature(feature, table_OM, sum(map(bool, lists)))


def _numeric(
    column: FeatureColumn, numbers: pl.Series, rows: RowsOfIds, reserved: int
) -> BuiltFeature:
    number_O = rows.single(numbers, column.column)
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
