"""Item and user tables as text columns, one row per id, from which features are built."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.raw_tables import column_names, require_columns, scan_table
from bert4rec.ingest.schema import SideTable
from bert4rec.ingest.text_errors import line_of, unreadable
from bert4rec.ingest.typed_columns import ROW, as_text


@dataclass(frozen=True)
class SideRows:
    """Rows of an item or user table as text."""

    frame: pl.DataFrame
    """Column `row`, the ids and all declared columns."""
    other_columns: Sequence[str]
    """Columns of the file that the schema does not mention."""


def read_side_table(path: Path, table: SideTable, scratch: Path) -> SideRows:
    """Rows of an item or user table.

    Raises:
        SourceError: A file or column that cannot be used, or an id that is missing or repeated.
    """
    frame = scan_table(path, table.format, scratch)
    used = table.used_columns
    require_columns(frame, path, [*used, *table.unused])
    kinds = frame.collect_schema()
    separators = _separators(table)
    text = [as_text(name, kinds[name], separators.get(name, "|")) for name in used]
    try:
        rows = frame.select(ROW, *text).collect(engine="streaming").sort(ROW)
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, table.format) from problem
    rows = rows.filter(~pl.all_horizontal(pl.col(name).is_null() for name in used))
    _check_ids(rows, path, table)
    mentioned = {*used, *table.unused}
    return SideRows(rows, [name for name in column_names(frame) if name not in mentioned])


def _separators(table: SideTable) -> dict[str, str]:
    """Separator of the values by column, with which lists are joined."""
    separators: dict[str, str] = {}
    for feature in table.features:
        separators |= dict.fromkeys(feature.columns, feature.separator)
    return separators


def _check_ids(rows: pl.DataFrame, path: Path, table: SideTable) -> None:
    """Raise SourceError for a missing or repeated id."""
    key = pl.col(table.key)
    without_id = rows.filter(key.is_null())
    if len(without_id):
        line, remark = line_of(path, table.format, without_id[ROW][0])
        raise SourceError(f"missing{remark}; each row needs an id", path, line, table.key)
    repeated = rows.filter(~key.is_first_distinct())
    if len(repeated):
        line, _ = line_of(path, table.format, repeated[ROW][0])
        reason = f"{repeated[table.key][0]!r} appears again; each id has one row"
        raise SourceError(reason, path, line, table.key)
