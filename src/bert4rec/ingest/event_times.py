"""Times of events in seconds since 1970, and the fraction of the second that orders them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import YEAR_3000
from bert4rec.ingest.schema import EventTable
from bert4rec.ingest.typed_columns import as_text, stripped

FRACTION = "fraction"
"""Column of nanoseconds after the second in `time`."""

_NANOSECONDS = 1_000_000_000
_DATE_FORMATS = ("%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S%.f")
_ZONED_FORMATS = ("%Y-%m-%dT%H:%M:%S%.f%#z", "%Y-%m-%dT%H:%M%#z")
_PER_SECOND = {"s": 1, "ms": 1000, "us": 1_000_000, "ns": _NANOSECONDS}
TIME_UNITS = tuple(_PER_SECOND)
OTHER_UNIT = "other_unit"
"""Column that is true for numbers too small for the unit of most times."""
_DATES = (
    (19_000_101, 29_991_231, 1),
    (190_001_010_000, 299_912_312_359, 10**4),
    (19_000_101_000_000, 29_991_231_235_959, 10**6),
)
"""Dates written as numbers, to the day, minute and second: the range, and what is after the day."""
_SPREADSHEET = (25_569, 73_051)
"""Days of spreadsheets from 1970 to 2099."""


def times(raw: pl.LazyFrame, kind: pl.DataType, table: EventTable, path: Path) -> list[pl.Expr]:
    """Columns `time` and, where times may have one, `fraction`.

    Numbers have the declared unit, or that of most of them by size; `other_unit` marks the rest.
    Dates without a zone are UTC.

    Raises:
        SourceError: Numbers may be dates, or most of them have no common unit.
    """
    if kind.is_temporal():
        return _of_instants(kind)
    column = stripped("time", kind)
    if table.time_format:
        return _by_format(as_text("time", kind), table.time_format)
    found = _facts(raw, column, kind)
    if kind == pl.String and 2 * found["numbers"] < found["given"]:
        return _of_dates(column)
    unit = table.time_unit or _unit(found, path, table.time)
    has_fraction = unit != "s" or found["any_fraction"]
    read = _of_numbers(column, kind, _PER_SECOND[unit], has_fraction)
    if unit != "s" and not table.time_unit:
        least = 3 * YEAR_3000 * _PER_SECOND[unit] // 1000
        read.append((column.cast(pl.Float64, strict=False) < least).alias(OTHER_UNIT))
    return read


def _facts(raw: pl.LazyFrame, column: pl.Expr, kind: pl.DataType) -> dict[str, Any]:
    """Facts about the numbers of the column."""
    number = column.cast(pl.Float64, strict=False)
    has_part = number != number.floor()
    is_part = has_part
    if kind == pl.String:
        has_part = column.str.contains(".", literal=True)
    limit = 3 * YEAR_3000
    facts = raw.select(
        numbers=number.is_not_null().sum(),
        given=column.is_not_null().sum(),
        any_fraction=has_part.any(),
        dates=pl.any_horizontal(_is_date(number, *form) for form in _DATES).sum(),
        days=(is_part & number.is_between(*_SPREADSHEET)).sum(),
        example=column.drop_nulls().first().cast(pl.String),
        s=(number < limit).sum(),
        ms=number.is_between(limit, limit * 1e3, closed="left").sum(),
        us=number.is_between(limit * 1e3, limit * 1e6, closed="left").sum(),
        ns=(number >= limit * 1e6).sum(),
    )
    return facts.collect(engine="streaming").row(0, named=True)


def _is_date(number: pl.Expr, least: int, most: int, after_day: int) -> pl.Expr:
    day = number // after_day
    is_month = (day // 100 % 100).is_between(1, 12)
    return number.is_between(least, most) & is_month & (day % 100).is_between(1, 31)


def _unit(found: dict[str, Any], path: Path, field: str | None) -> str:
    """Unit of most numbers; SourceError where they may be something else than a count."""
    half = found["numbers"] / 2
    example = found["example"]
    if found["dates"] > half:
        reason = (
            f"{example} may be a date or seconds; write dates as 2024-05-31, or say "
            "how they are written with time_format: '%Y%m%d', or their time_unit (s, ms, us, ns)"
        )
        raise SourceError(reason, path, field=field)
    if found["days"] > half:
        reason = (
            f"{example} may be days of a spreadsheet; write dates as 2024-05-31, "
            "or say 'time_unit: s' if it is seconds"
        )
        raise SourceError(reason, path, field=field)
    for unit in TIME_UNITS:
        if found[unit] > half:
            return unit
    if not found["numbers"]:
        return "s"
    reason = "no unit fits most of the times; say their time_unit (s, ms, us, ns)"
    raise SourceError(reason, path, field=field)


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


def _by_format(text: pl.Expr, form: str) -> list[pl.Expr]:
    """Times written as a `strptime` text says; UTC without a zone."""
    zone = "UTC" if re.search("%[:#]*z", form) else None
    instant = text.str.to_datetime(form, time_unit="us", time_zone=zone, strict=False)
    return [
        instant.dt.epoch("s").alias("time"),
        instant.dt.nanosecond().cast(pl.Int32).alias(FRACTION),
    ]
