"""Item and user tables as columns of text or of lists, from which features are built."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.nested_columns import cells, named_column, source_column
from bert4rec.ingest.raw_tables import column_names, require_columns, scan_table
from bert4rec.ingest.schema import SideTable
from bert4rec.ingest.text_errors import line_of, unreadable
from bert4rec.ingest.typed_columns import ROW


@dataclass(frozen=True)
class SideRows:
    """Rows of an item or user table."""

    frame: pl.DataFrame
    """Column `row`, the ids and all declared columns, as text or as lists of texts."""
    other_columns: Sequence[str]
    """Columns of the file that the schema does not mention."""
    text_fields: Mapping[str, str] = field(default_factory=dict)
    """By column, the field to take of records that are written as text."""
    repeated: int = 0
    """Rows left out because their id came before or comes later."""


def read_side_table(path: Path, table: SideTable, scratch: Path) -> SideRows:
    """Rows of an item or user table.

    Raises:
        SourceError: A file or column that cannot be used, or an id that is missing or repeated.
    """
    frame = scan_table(path, table.format, scratch)
    used = table.used_columns
    names = column_names(frame)
    sources = [source_column(name, names) for name in used]
    require_columns(frame, path, [*sources, *table.unused])
    kinds = {name: kind for name, kind in frame.collect_schema().items() if name in names}
    columns = {name: named_column(kinds, name, path) for name in used}
    typed = frame.select(ROW, *(column.expression for column in columns.values()))
    texts = [cells(name, column.kind) for name, column in columns.items()]
    try:
        rows = typed.select(ROW, *texts).collect(engine="streaming").sort(ROW)
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, table.format) from problem
    rows = rows.filter(~pl.all_horizontal(pl.col(name).is_null() for name in used))
    rows = _without_missing(rows, table)
    _check_single(rows, path, table)
    kept = _one_row_per_id(rows, path, table)
    fields = {name: column.field for name, column in columns.items() if column.field}
    mentioned = {*used, *sources, *table.unused}
    others = [name for name in names if name not in mentioned]
    return SideRows(kept, others, fields, len(rows) - len(kept))


def _without_missing(rows: pl.DataFrame, table: SideTable) -> pl.DataFrame:
    """Rows whose id and title are null where they mean "unknown"; features follow later."""
    if not table.missing:
        return rows
    names = [name for name in (table.key, table.title) if name and rows[name].dtype == pl.String]
    return rows.with_columns(pl.col(names).replace(dict.fromkeys(table.missing)))


def _check_single(rows: pl.DataFrame, path: Path, table: SideTable) -> None:
    """Raise SourceError for ids or titles that are lists."""
    for name in (table.key, table.title):
        if name and rows[name].dtype != pl.String:
            raise SourceError("holds lists; ids and titles are single values", path, None, name)


def _one_row_per_id(rows: pl.DataFrame, path: Path, table: SideTable) -> pl.DataFrame:
    """Rows that count, by the setting `repeated`. Raises SourceError as `read_side_table` does."""
    key = pl.col(table.key)
    without_id = rows.filter(key.is_null())
    if len(without_id):
        line, remark = line_of(path, table.format, without_id[ROW][0])
        raise SourceError(f"missing{remark}; each row needs an id", path, line, table.key)
    if table.repeated == "collect":
        return rows
    if table.repeated != "error":
        is_kept = key.is_first_distinct() if table.repeated == "first" else key.is_last_distinct()
        return rows.filter(is_kept)
    repeated = rows.filter(~key.is_first_distinct())
    if len(repeated):
        line, _ = line_of(path, table.format, repeated[ROW][0])
        reason = (
            f"{repeated[table.key][0]!r} appears again; each id has one row. Say which counts with "
            "'repeated: first' or 'last', or join their lists with 'repeated: collect'"
        )
        raise SourceError(reason, path, line, table.key)
    return rows
