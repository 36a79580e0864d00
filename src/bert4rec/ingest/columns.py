"""Text columns to typed ones: ids as they are, times in seconds, ratings as numbers; null where that fails."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import YEAR_3000

ROW = "row"
NOT_A_TIME = "missing or not a time (seconds, milliseconds, or dates like 2024-05-31 or 2024-05-31T18:30:00+02:00)"

_DATES = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_ZONED_DATES = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")


def stripped(name: str, kind: pl.DataType) -> pl.Expr:
    """The column, with blank text and NaN as null."""
    if kind.is_float():
        return pl.col(name).fill_nan(None)
    if kind != pl.String:
        return pl.col(name)
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text).alias(name)


def as_text(name: str, kind: pl.DataType, separator: str = "") -> pl.Expr:
    """The column as text; the entries of a list one after another. A whole number has no fraction: 1.0 is '1'."""
    if isinstance(kind, pl.List):
        return pl.col(name).cast(pl.List(pl.String)).list.join(separator)
    column = stripped(name, kind)
    if kind.is_float():
        whole = column.cast(pl.Int64, strict=False)
        return (
            pl.when(whole == column)
            .then(whole.cast(pl.String))
            .otherwise(column.cast(pl.String))
            .alias(name)
        )
    return column.cast(pl.String).alias(name)


def ids(raw: pl.LazyFrame, role: str, kind: pl.DataType, of_text: bool) -> pl.Expr:
    """Integers where every id is a whole number in its plain form, else text: '007' makes all of them text.

    A file of text does not say what its columns are; where one does, text stays text.
    """
    if kind.is_integer():
        return pl.col(role).cast(pl.Int64)
    column = as_text(role, kind)
    if kind == pl.String and not of_text:
        return column
    number = column.cast(pl.Int64, strict=False)
    plain = (number.cast(pl.String) == column).fill_null(column.is_null()).all()
    return (number if raw.select(plain).collect(engine="streaming").item() else column).alias(role)


def seconds(raw: pl.LazyFrame, kind: pl.DataType, path: Path, field: str | None) -> pl.Expr:
    """Whole seconds since 1970 of the column `time`: seconds, milliseconds (told by their size) or ISO dates.

    Dates without a zone are UTC.
    """
    if kind.is_temporal():
        return pl.col("time").cast(pl.Datetime("us")).dt.epoch("s").alias("time")
    column = stripped("time", kind)
    number = column.cast(pl.Float64, strict=False)
    facts = raw.select(
        smallest=number.filter(number >= 0).min(),
        largest=number.max(),
        numbers=number.is_not_null().sum(),
        given=column.is_not_null().sum(),
        like_dates=(
            (number // 100 % 100).is_between(1, 12) & (number % 100).is_between(1, 31)
        ).all(),
    )
    found = facts.collect(engine="streaming").row(0, named=True)
    if found["given"] and not found["numbers"] and kind == pl.String:
        return _from_dates(column)
    smallest = found["smallest"] or 0
    if smallest >= 19_000_101 and found["largest"] <= 29_991_231 and found["like_dates"]:
        what = f"{smallest:.0f} may be a date or seconds; write dates as 2024-05-31"
        raise SourceError(what, path, field=field)
    exact = pl.coalesce(
        column.cast(pl.Int64, strict=False), number.floor().cast(pl.Int64, strict=False)
    )
    return (exact // 1000 if smallest >= 3 * YEAR_3000 else exact).alias("time")


def _from_dates(column: pl.Expr) -> pl.Expr:
    text = column.str.replace(" ", "T", literal=True)
    plain = [
        text.str.to_datetime(form, time_unit="us", strict=False).dt.epoch("s") for form in _DATES
    ]
    zoned = [
        text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False).dt.epoch("s")
        for form in _ZONED_DATES
    ]
    return pl.coalesce(*plain, *zoned).alias("time")


def rating(kind: pl.DataType) -> list[pl.Expr]:
    """The column `rating` as numbers, and in `rating_given` whether anything was written there."""
    column = stripped("rating", kind)
    return [
        column.cast(pl.Float64, strict=False).alias("rating"),
        column.is_not_null().alias("rating_given"),
    ]
