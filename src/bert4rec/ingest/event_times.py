"""Times of events in seconds since 1970, and the fraction of the second that orders them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import YEAR_3000
from bert4rec.ingest.schema import EventTable
from bert4rec.ingest.typed_columns import stripped

FRACTION = "fraction"
"""Column of nanoseconds after the second in `time`."""

_NANOSECONDS = 1_000_000_000
_DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_SMALLEST_DATE = 19_000_101
_LARGEST_DATE = 29_991_231
"""Dates written as numbers, 20240531; as seconds they would lie in 1970."""


def times(raw: pl.LazyFrame, kind: pl.DataType, table: EventTable, path: Path) -> list[pl.Expr]:
    """Columns `time` and, where times may have one, `fraction`.

    Numbers are seconds or milliseconds, by their size. Dates without a zone are UTC.

    Raises:
        SourceError: Numbers like 20240531 may be dates or seconds.
    """
    if kind.is_temporal():
        return _of_instants(kind)
    column = stripped("time", kind)
    found = _facts(raw, column, kind)
    if found["given"] and not found["numbers"] and kind == pl.String:
        return _of_dates(column)
    smallest = found["smallest"] or 0
    in_date_range = smallest >= _SMALLEST_DATE and found["largest"] <= _LARGEST_DATE
    if in_date_range and found["like_dates"]:
        reason = f"{smallest:.0f} may be a date or seconds; write dates as 2024-05-31"
        raise SourceError(reason, path, field=table.time)
    # Valid seconds are below YEAR_3000; milliseconds are above three times that from 1973 on.
    per_second = 1000 if smallest >= 3 * YEAR_3000 else 1
    has_fraction = per_second > 1 or found["any_fraction"]
    return _of_numbers(column, kind, per_second, has_fraction)


def _facts(raw: pl.LazyFrame, column: pl.Expr, kind: pl.DataType) -> dict[str, Any]:
    """Facts about the numbers of the column."""
    number = column.cast(pl.Float64, strict=False)
    is_like_date = (number // 100 % 100).is_between(1, 12) & (number % 100).is_between(1, 31)
    has_part = number != number.floor()
    if kind == pl.String:
        has_part = column.str.contains(".", literal=True)
    facts = raw.select(
        smallest=number.filter(number >= 0).min(),
        largest=number.max(),
        numbers=number.is_not_null().sum(),
        given=column.is_not_null().sum(),
        any_fraction=has_part.any(),
        like_dates=is_like_date.all(),
    )
    return facts.collect(engine="streaming").row(0, named=True)


def _of_instants(kind: pl.DataType) -> list[pl.Expr]:
    unit = kind.time_unit if isinstance(kind, pl.Datetime) else "us"
    instant = pl.col("time").cast(pl.Datetime(unit))
    return [
        instant.dt.epoch("s").alias("time"),
        instant.dt.nanosecond().cast(pl.Int32).alias(FRACTION),
    ]


def _of_numbers(
    column: pl.Expr, kind: pl.DataType, per_second: int, has_fraction: bool
) -> list[pl.Expr]:
    number = column.cast(pl.Float64, strict=False)
    floored = number.floor().cast(pl.Int64, strict=False)
    whole = [column.cast(pl.Int64, strict=False), floored]
    part = number - number.floor()
    if kind == pl.String:
        # The digits are exact where a float64 of the whole number is not.
        digits = column.str.extract(r"^\d+\.(\d+)$")
        part = pl.coalesce(("0." + digits).cast(pl.Float64, strict=False), part)
        whole.insert(1, column.str.extract(r"^(\d+)\.\d*$").cast(pl.Int64, strict=False))
    exact = pl.coalesce(whole)
    time = (exact // per_second if per_second > 1 else exact).alias("time")
    if not has_fraction:
        return [time]
    step = _NANOSECONDS // per_second
    rest = (part * step).round().cast(pl.Int64, strict=False)
    fraction = exact % per_second * step + rest.clip(0, step - 1)
    return [time, fraction.cast(pl.Int32, strict=False).alias(FRACTION)]


def _of_dates(column: pl.Expr) -> list[pl.Expr]:
    text = column.str.replace(r" ?UTC$", "Z").str.replace(r" ([+-]\d\d:?\d\d|Z)$", "$1")
    text = text.str.replace(" ", "T", literal=True)
    plain = [text.str.to_datetime(form, time_unit="us", strict=False) for form in _DATE_FORMATS]
    zoned = [
        text.str.to_datetime(form, time_unit="us", time_zone="UTC", strict=False)
        for form in _ZONED_FORMATS
    ]
    digits = text.str.extract(r"\.(\d+)").str.slice(0, 9).str.pad_end(9, "0")
    return [
        pl.coalesce(*(date.dt.epoch("s") for date in [*plain, *zoned])).alias("time"),
        digits.cast(pl.Int32, strict=False).fill_null(0).alias(FRACTION),
    ]
