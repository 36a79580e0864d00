"""Text to numbers, by the decimal and thousands separators of a file."""

from __future__ import annotations

import re

import polars as pl

from bert4rec.ingest.schema import Format

_GROUPED = re.compile(r"[+-]?\d{1,3}([.,'  ]\d{3})*([.,]\d+)?")
_CURRENCY = re.compile(r"[$€£¥₽₹]|\b[A-Z]{3}\b")


def numbers_of(text: pl.Series, layout: Format) -> pl.Series:
    """Numbers of a series, as `number_of` reads them."""
    return pl.select(number_of(pl.lit(text), layout)).to_series()


def number_of(text: pl.Expr, layout: Format) -> pl.Expr:
    """Number of each text as float64; null for a text that is no number, `inf` and `nan` included.

    The thousands separator must stand between groups of three digits.
    """
    decimal, thousands = re.escape(layout.decimal), re.escape(layout.thousands)
    whole = rf"(\d+|\d{{1,3}}({thousands}\d{{3}})+)" if thousands else r"\d+"
    pattern = rf"^[+-]?({whole}({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?$"
    plain = text.str.replace_all(layout.thousands, "", literal=True) if thousands else text
    plain = plain.str.replace(layout.decimal, ".", literal=True)
    return pl.when(text.str.contains(pattern)).then(plain.cast(pl.Float64, strict=False))


def advice_on(text: str) -> str:
    """Setting of the schema that would read a text that is no number."""
    if text.lower() in ("true", "false"):
        return "replace it with map: {'true': 1, 'false': 0}"
    if _CURRENCY.search(text):
        return r"take the number out with extract: '(\d+\.?\d*)'"
    if _GROUPED.fullmatch(text):
        return "say what its marks are with decimal: ',' or thousands: ','"
    return f"correct it, or say that it means unknown with missing: [{text!r}]"
