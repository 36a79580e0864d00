"""Features and titles of the items or users that have events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.feature_tables import BuiltFeature, build_feature
from bert4rec.ingest.schema import SideTable
from bert4rec.ingest.side_table import SideRows, read_side_table


@dataclass(frozen=True)
class SideFeatures:
    """Features and titles by row number, and the coverage of the table."""

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
    folder: Path, table: SideTable | None, scratch: Path, ids: pl.Series, reserved: int, owner: str
) -> SideFeatures:
    """Features of a table for `ids`, which are in row order behind `reserved` rows.

    `owner` is 'items' or 'users', for error messages.

    Raises:
        SourceError: The table cannot be used, no id has a row, or a feature has no value at all.
    """
    if table is None:
        return SideFeatures()
    path = folder / table.file
    side = read_side_table(folder, table, scratch)
    keys = pl.DataFrame({table.key: ids.cast(pl.String)})
    rows = keys.join(side.frame, on=table.key, how="left", maintain_order="left")
    without_row = int(rows["row"].is_null().sum())
    if without_row == len(ids):
        raise _no_row_error(side, table, ids, owner, path)
    features = []
    for column in table.features:
        built = build_feature(column, rows, reserved, path)
        if not built.known:
            reason = (
                f"gives feature {column.name!r} no value at all; "
                "correct its declaration or leave it out"
            )
            raise SourceError(reason, path, field=column.columns[0])
        features.append(built)
    titles = rows[table.title].fill_null("").to_list() if table.title else None
    return SideFeatures(features, titles, len(ids), without_row, side.other_columns)


def _no_row_error(
    side: SideRows, table: SideTable, ids: pl.Series, owner: str, path: Path
) -> SourceError:
    first = side.frame[table.key][0] if len(side.frame) else ""
    example = f"{first!r} is not like {str(ids[0])!r}"
    return SourceError(
        f"none of the {owner} with events has a row ({example})", path, None, table.key
    )
