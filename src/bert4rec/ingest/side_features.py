"""Features and titles of items or users: those with events, and on request the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import FIRST_ITEM, FIRST_USER
from bert4rec.ingest.cleaning import Counts
from bert4rec.ingest.feature_values import POSITION, BuiltFeature, RowsOfIds, build_feature
from bert4rec.ingest.schema import FeatureColumn, SideTable
from bert4rec.ingest.side_table import SideRows, read_side_table
from bert4rec.ingest.source import Source
from bert4rec.ingest.text_errors import line_of
from bert4rec.ingest.typed_columns import ROW


class Owner(NamedTuple):
    """Owner of a side table."""

    name: str
    reserved: int
    """Rows before the first real one."""


ITEMS = Owner("items", FIRST_ITEM)
USERS = Owner("users", FIRST_USER)


@dataclass(frozen=True)
class SideFeatures:
    """Features and titles of items or users by row number, and the coverage of their table."""

    owner: Owner
    table: SideTable | None
    """Declaration of the table; None if the schema has none, and then the rest is empty."""
    features: Sequence[BuiltFeature] = ()
    titles: Sequence[str] | None = None
    """Titles in row order, empty where unknown; None if the table declares none."""
    ids: int = 0
    """Number of ids."""
    ids_without_row: int = 0
    """Number of ids with events but without a row in the table."""
    without_events: int = 0
    """Number of the table's rows without events."""
    repeated: int = 0
    """Number of rows left out because their id came before or comes later."""
    alike: Counts = field(default_factory=dict)
    """Number of ids that table and events write differently."""
    keeps_without_events: bool = False
    """True if those rows are among the ids."""
    other_columns: Sequence[str] = ()
    """Columns of the file that the schema does not mention."""


@dataclass(frozen=True)
class SideSource:
    """An item or user table that is read, and which of its ids have events."""

    owner: Owner
    table: SideTable
    path: Path
    rows: SideRows
    without_events: pl.Series
    """Ids of the table without events, of the type of the events' ids, or text where they are kept
    out."""
    is_kept: bool
    """True if ids without events stay."""
    alike: Counts
    """Number of ids that table and events write differently."""


def read_side_source(
    source: Source, table: SideTable | None, event_ids: pl.Series, owner: Owner, keep: bool
) -> SideSource | None:
    """Item or user table, compared with the ids of the events; None if the schema has none.

    Raises:
        SourceError: The table cannot be used, or no id of the events has a row.
    """
    if table is None:
        return None
    path = source.path_of(table)
    side = read_side_table(path, table, source.scratch)
    known = event_ids.unique().cast(pl.String)
    has_events = side.frame[table.key].is_in(known.implode())
    if not has_events.any():
        raise _no_row_error(side, table, event_ids, owner, path)
    without = side.frame.filter(~has_events).unique(table.key, maintain_order=True)
    ids = _typed_ids(without, event_ids.dtype, table, path) if keep else without[table.key]
    unmatched = known.filter(~known.is_in(side.frame[table.key].implode()))
    alike = _alike(unmatched, without[table.key], table.file)
    return SideSource(owner, table, path, side, ids, keep, alike)


def _alike(event_ids: pl.Series, table_ids: pl.Series, file: str) -> Counts:
    """Number of ids that table and events write differently, as '007' and '7'; they are two ids."""
    numbers = event_ids.cast(pl.Float64, strict=False)
    pairs = pl.DataFrame({"number": numbers, "event": event_ids}).drop_nulls()
    others = table_ids.cast(pl.Float64, strict=False)
    found = pairs.join(pl.DataFrame({"number": others, "table": table_ids}), on="number")
    if not len(found):
        return {}
    example = f"{found['table'][0]!r} is not {found['event'][0]!r}"
    return {f"ids of {file} that only write an id of the events otherwise ({example})": len(found)}


def kept_ids(side: SideSource | None) -> pl.Series | None:
    """Ids without events that stay; None if there are none."""
    return side.without_events if side is not None and side.is_kept else None


def _typed_ids(rows: pl.DataFrame, kind: pl.DataType, table: SideTable, path: Path) -> pl.Series:
    """Ids as the events write them. Raises SourceError for one that would change their type."""
    text = rows[table.key]
    ids = text.cast(kind, strict=False)
    wrong = (ids.cast(pl.String) != text).fill_null(True).arg_true()
    if len(wrong):
        first = int(wrong[0])
        line, _ = line_of(path, table.format, rows[ROW][first])
        reason = (
            f"{text[first]!r} is no whole number as the ids of the events are, and would make all "
            "ids text; correct it, or leave out --keep_without_events"
        )
        raise SourceError(reason, path, line, table.key)
    return ids


def build_side_features(side: SideSource | None, ids: pl.Series, owner: Owner) -> SideFeatures:
    """Features of a table for the ids of the data, which are in row order.

    Raises:
        SourceError: A feature has no value at all, or one that cannot be used.
    """
    if side is None:
        return SideFeatures(owner, None)
    table = side.table
    keys = pl.DataFrame({table.key: ids.cast(pl.String)}).with_row_index(POSITION)
    frame = keys.join(side.rows.frame, on=table.key, how="left", maintain_order="left")
    rows = RowsOfIds(frame, len(ids), side.path, table, side.rows.text_fields)
    return SideFeatures(
        owner,
        table,
        features=[_built(column, rows, owner) for column in table.features],
        titles=rows.single(frame[table.title], table.title).fill_null("").to_list()
        if table.title
        else None,
        ids=len(ids),
        ids_without_row=int(frame[ROW].is_null().sum()),
        repeated=side.rows.repeated,
        alike=side.alike,
        without_events=len(side.without_events),
        keeps_without_events=side.is_kept,
        other_columns=side.rows.other_columns,
    )


def _built(column: FeatureColumn, rows: RowsOfIds, owner: Owner) -> BuiltFeature:
    built = build_feature(column, rows, owner.reserved)
    if not built.known:
        reason = (
            f"gives feature {column.name!r} no value at all; "
            "correct its declaration or leave it out"
        )
        raise SourceError(reason, rows.path, field=column.columns[0])
    return built


def _no_row_error(
    side: SideRows, table: SideTable, ids: pl.Series, owner: Owner, path: Path
) -> SourceError:
    first = side.frame[table.key][0] if len(side.frame) else ""
    example = f"{first!r} is not like {str(ids[0])!r}"
    return SourceError(
        f"none of the {owner.name} with events has a row ({example})", path, None, table.key
    )
