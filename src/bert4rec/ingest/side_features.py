"""Features and titles of the items or users that have events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import FIRST_ITEM, FIRST_USER
from bert4rec.ingest.feature_values import BuiltFeature, build_feature
from bert4rec.ingest.schema import FeatureColumn, SideTable
from bert4rec.ingest.side_table import SideRows, read_side_table
from bert4rec.ingest.source import Source


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
    """Number of ids with events."""
    ids_without_row: int = 0
    """Number of ids with events but without a row in the table."""
    other_columns: Sequence[str] = ()
    """Columns of the file that the schema does not mention."""


def build_side_features(
    source: Source, table: SideTable | None, ids: pl.Series, owner: Owner
) -> SideFeatures:
    """Features of a table for the ids with events, which are in row order.

    Raises:
        SourceError: The table cannot be used, no id has a row, or a feature has no value at all.
    """
    if table is None:
        return SideFeatures(owner, table)
    path = source.path_of(table)
    side = read_side_table(path, table, source.scratch)
    keys = pl.DataFrame({table.key: ids.cast(pl.String)})
    rows = keys.join(side.frame, on=table.key, how="left", maintain_order="left")
    without_row = int(rows["row"].is_null().sum())
    if without_row == len(ids):
        raise _no_row_error(side, table, ids, owner, path)
    features = [_built(column, rows, owner, path) for column in table.features]
    titles = rows[table.title].fill_null("").to_list() if table.title else None
    return SideFeatures(owner, table, features, titles, len(ids), without_row, side.other_columns)


def _built(column: FeatureColumn, rows: pl.DataFrame, owner: Owner, path: Path) -> BuiltFeature:
    built = build_feature(column, rows, owner.reserved, path)
    if not built.known:
        reason = (
            f"gives feature {column.name!r} no value at all; "
            "correct its declaration or leave it out"
        )
        raise SourceError(reason, path, field=column.columns[0])
    return built


def _no_row_error(
    side: SideRows, table: SideTable, ids: pl.Series, owner: Owner, path: Path
) -> SourceError:
    first = side.frame[table.key][0] if len(side.frame) else ""
    example = f"{first!r} is not like {str(ids[0])!r}"
    return SourceError(
        f"none of the {owner.name} with events has a row ({example})", path, None, table.key
    )
