"""Columns of records and lists: a field of a record is named `column.field`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.typed_columns import as_text


class NamedColumn(NamedTuple):
    """Column of a file, or a field of it, under the name that the schema gives."""

    expression: pl.Expr
    kind: pl.DataType
    field: str = ""
    """Field of the records that a text column holds as text."""


def source_column(name: str, columns: Iterable[str]) -> str:
    """Column that a name means: itself, or the column before the dots of `column.field`."""
    known = set(columns)
    column = name
    while column not in known and "." in column:
        column = column.rpartition(".")[0]
    return column if column in known else name


def named_column(kinds: Mapping[str, pl.DataType], name: str, path: Path) -> NamedColumn:
    """Column or field of a name.

    Raises:
        SourceError: The column has no such field, or holds records or lists of lists.
    """
    source = source_column(name, kinds)
    found = NamedColumn(pl.col(source), kinds[source])
    fields = name.removeprefix(source).removeprefix(".")
    while fields and found.kind != pl.String:
        field, _, fields = fields.partition(".")
        found = _field_of(found, field, path, source)
    _refuse_nested(found.kind, path, name)
    return NamedColumn(found.expression.alias(name), found.kind, fields)


def cells(name: str, kind: pl.DataType) -> pl.Expr:
    """Column as text, or as lists of texts: the entries of lists are kept apart."""
    if isinstance(kind, pl.Array):
        return pl.col(name).arr.to_list().cast(pl.List(pl.String))
    if isinstance(kind, pl.List):
        return pl.col(name).cast(pl.List(pl.String))
    return as_text(name, kind)


def _field_of(column: NamedColumn, field: str, path: Path, source: str) -> NamedColumn:
    record = column.kind.inner if isinstance(column.kind, pl.List) else column.kind
    if not isinstance(record, pl.Struct):
        raise SourceError(f"holds no records, so it has no field {field!r}", path, field=source)
    kinds: dict[str, Any] = {entry.name: entry.dtype for entry in record.fields}
    if field not in kinds:
        known = ", ".join(kinds)
        raise SourceError(
            f"its records have no field {field!r}; they have {known}", path, None, source
        )
    if isinstance(column.kind, pl.List):
        inner = pl.element().struct.field(field)
        return NamedColumn(column.expression.list.eval(inner), pl.List(kinds[field]))
    return NamedColumn(column.expression.struct.field(field), kinds[field])


def _refuse_nested(kind: pl.DataType, path: Path, name: str) -> None:
    inner = kind.inner if isinstance(kind, pl.List | pl.Array) else kind
    if isinstance(inner, pl.Struct):
        names = [entry.name for entry in inner.fields]
        texts = [entry.name for entry in inner.fields if entry.dtype == pl.String]
        reason = (
            f"holds records with the fields {', '.join(names)}; "
            f"take one of them, as in 'column: {name}.{(texts or names)[0]}'"
        )
        raise SourceError(reason, path, field=name)
    if isinstance(inner, pl.List | pl.Array):
        raise SourceError("holds lists of lists, which no kind of feature reads", path, field=name)
