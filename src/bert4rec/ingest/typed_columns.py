"""Text columns to typed ones: ids and ratings; null where that fails."""

from __future__ import annotations

import polars as pl

from bert4rec.ingest.numbers import number_of
from bert4rec.ingest.schema import Format

ROW = "\x1frow"
"""Column of row numbers, from 0; begins with a character that no column of a file does."""
NOT_A_TIME = (
    "missing or not a time "
    "(seconds, milliseconds, or dates like 2024-05-31 or 2024-05-31T18:30:00+02:00)"
)


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


def ratings(kind: pl.DataType, layout: Format) -> list[pl.Expr]:
    """Column `rating` as numbers, and `rating_given`: true where the file has any text."""
    column = stripped("rating", kind)
    is_plain = kind != pl.String or (layout.decimal == "." and not layout.thousands)
    number = column.cast(pl.Float64, strict=False) if is_plain else number_of(column, layout)
    return [
        number.alias("rating"),
        column.is_not_null().alias("rating_given"),
    ]
