"""Text columns to typed ones: ids, times in seconds, ratings; null where that fails."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import YEAR_3000
from bert4rec.ingest.numbers import number_of
from bert4rec.ingest.schema import Format

ROW = "row"
"""Column of row numbers, from 0."""
NOT_A_TIME = (
    "missing or not a time "
    "(seconds, milliseconds, or dates like 2024-05-31 or 2024-05-31T18:30:00+02:00)"
)

_DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_SMALLEST_DATE = 19_000_101
_LARGEST_DATE = 29_991_231
"""Dates written as numbers, 20240531; as seconds they would lie in 1970."""


def stripped(name: str, kind: pl.DataType) -> pl.Expr:
    """The column with blank text and NaN as null."""
    if kind.is_float():
        return pl.col(name).fill_nan(None)
    if kind != pl.String:
        return pl.col(name)
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def as_text(name: str, kind: pl.DataType, separator: str = "") -> pl.Expr:
    """The column as text: lists are joined, and an integral float has no fraction (1.0 is '1')."""
    if isinstance(kind, pl.List):
        return pl.col(name).cast(pl.List(pl.String)).list.join(separator)
    column = stripped(name, kind)
    text = column.cast(pl.String)
    if kind.is_float():
        integer = column.cast(pl.Int64, strict=False)
        text = pl.when(integer == column).then(integer.cast(pl.String)).otherwise(text)
    return text.alias(name)


def ids(raw: pl.LazyFrame, role: str, kind: pl.DataType, is_text_file: bool) -> pl.Expr:
    """Ids as integers if all are plain integers, else as text: '007' makes all of them text.

    A text file does not declare the types of its columns. In a typed file text stays text.
    """
    if kind.is_integer():
        return pl.col(role).cast(pl.Int64)
    column = as_text(role, kind)
    if kind == pl.String and not is_text_file:
        return column
    number = column.cast(pl.Int64, strict=False)
    is_plain = (number.cast(pl.String) == column).fill_null(column.is_null())
    all_plain = raw.select(is_plain.all()).collect(engine="streaming").item()
    return (number if all_plain else column).alias(role)


def seconds(raw: pl.LazyFrame, kind: pl.DataType, path: Path, field: str | None) -> pl.Expr:
    """Column `time` as seconds since 1970, from seconds, milliseconds (by size) or ISO dates.

    Dates without a zone are UTC.

    Raises:
        SourceError: Numbers like 20240531 may be dates or seconds.
    """
    if kind.is_temporal():
        return pl.col("time").cast(pl.Datetime("us")).dt.epoch("s").alias("time")
    column = stripped("time", kind)
    number = column.cast(pl.Float64, strict=False)
    is_like_date = (number // 100 % 100).is_between(1, 12) & (number % 100).is_between(1, 31)
    facts = raw.select(
        smallest=number.filter(number >= 0).min(),
        largest=number.max(),
        numbers=number.is_not_null().sum(),
        given=column.is_not_null().sum(),
        like_dates=is_like_date.all(),
    )
    found = facts.collect(engine="streaming").row(0, named=True)
    if found["given"] and not found["numbers"] and kind == pl.String:
        return _seconds_of_dates(column)
    smallest = found["smallest"] or 0
    in_date_range = smallest >= _SMALLEST_DATE and found["largest"] <= _LARGEST_DATE
    if in_date_range and found["like_dates"]:
        reason = f"{smallest:.0f} may be a date or seconds; write dates as 2024-05-31"
        raise SourceError(reason, path, field=field)
    floored = number.floor().cast(pl.Int64, strict=False)
    exact = pl.coalesce(column.cast(pl.Int64, strict=False), floored)
    # Valid seconds are below YEAR_3000; milliseconds are above three times that from 1973 on.
    is_milliseconds = smallest >= 3 * YEAR_3000
    return (exact // 1000 if is_milliseconds else exact).alias("time")


def _seconds_of_dates(column: pl.Expr) -> pl.Expr:
    text = column.str.replace(" ", "T", literal=True)
    plain = [text.str.to_datetime(form, time_unit="us", strict=False) for form in _DATE_FORMATS]
    zoned = [
        text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
        for form in _ZONED_FORMATS
    ]
    return pl.coalesce(*(date.dt.epoch("s") for date in [*plain, *zoned])).alias("time")


def ratings(kind: pl.DataType, layout: Format) -> list[pl.Expr]:
    """Column `rating` as numbers, and `rating_given`: true where the file has any text."""
    column = stripped("rating", kind)
    is_plain = kind != pl.String or (layout.decimal == "." and not layout.thousands)
    number = column.cast(pl.Float64, strict=False) if is_plain else number_of(column, layout)
    return [
        number.alias("rating"),
        column.is_not_null().alias("rating_given"),
    ]
