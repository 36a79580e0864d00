"""Item tables for a trained model, read as preparation reads them: `add-items` and `update-items`.

Values that the model does not know are taken as unknown and counted.

Legend: O rows of the table.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser

from bert4rec.cli.flags import add_data
from bert4rec.errors import DataError, UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.ingest.schema import SideTable

MOST_SHOWN = 5
"""Number of unknown values that a warning names."""


@dataclass(frozen=True)
class CatalogueTable:
    """Items of a table, as mappings that `with_items` and `with_updates` take."""

    items: Sequence[dict[str, Any]]
    """Each item's id and its known values; empty cells are left out."""
    warnings: Sequence[str]
    """Remarks on columns and values that were left out."""


def add_table_flags(parser: ArgumentParser) -> None:
    """Add the flags of a command that reads an item table and writes a model folder."""
    parser.add_argument(
        "--model", type=Path, required=True, help="The model folder; it stays as it is."
    )
    parser.add_argument(
        "--table", type=Path, required=True, help="A .csv, .tsv or .parquet with an item a row."
    )
    parser.add_argument(
        "--schema",
        type=Path,
        help="The schema of the data, whose items table declares the columns (map, extract, bins, "
        "missing); default: columns item_id, title and the features' names.",
    )
    parser.add_argument("--output", type=Path, required=True, help="The model folder to write.")
    add_data(parser)


def check_output(folder: Path) -> None:
    """Raise UsageError for a folder that holds something."""
    if folder.exists() and any(folder.iterdir()):
        raise UsageError(f"{folder}: is not empty; choose another --output")


def read_items(path: Path, dataset: PreparedDataset, schema: Path | None = None) -> CatalogueTable:
    """Items of a file. Raises DataError for one that cannot be used, with its row and field."""
    from bert4rec.cli.id_lists import parse_id
    from bert4rec.data.features import Kind
    from bert4rec.ingest.feature_values import build_feature
    from bert4rec.ingest.side_table import read_side_table

    with tempfile.TemporaryDirectory(prefix="bert4rec-") as scratch:
        table = _declared_table(path, dataset, schema, Path(scratch))
        side = read_side_table(path, table, Path(scratch))
        rows = _rows_of_ids(path, table, side)
        built = [build_feature(column, rows, 0) for column in table.features]
    keys = side.frame[table.key].unique(maintain_order=True).to_list()
    items: list[dict[str, Any]] = [{"item_id": parse_id(key, dataset.items)} for key in keys]
    unknown: Counter[tuple[str, str]] = Counter()
    for feature, table_O in ((each.feature, each.table_O) for each in built):
        known = {str(value) for value in dataset.item_features[feature.name][0].values}
        for item, stored in zip(items, table_O, strict=True):
            values = _raw_values(feature, stored)
            if feature.kind is not Kind.NUMERIC:
                unknown.update((feature.name, str(v)) for v in values if str(v) not in known)
                values = [value for value in values if str(value) in known]
            if values:
                item[feature.name] = values if feature.kind is Kind.MULTI else values[0]
    if table.title and dataset.titles is not None:
        titles = rows.single(rows.frame[table.title], table.title)
        for item, title in zip(items, titles.to_list(), strict=True):
            if title:
                item["title"] = title
    return CatalogueTable(items, [*_column_remarks(path, side.other_columns), *_remarks(unknown)])


def _declared_table(
    path: Path, dataset: PreparedDataset, schema: Path | None, scratch: Path
) -> SideTable:
    """Declaration of the table: that of the schema, or columns with the names of the data."""
    from bert4rec.ingest.raw_tables import column_names, scan_table
    from bert4rec.ingest.schema import FeatureColumn, Format, SideTable
    from bert4rec.ingest.schema_file import read_schema

    if schema is not None:
        declared = read_schema(schema).items
        if declared is None:
            raise UsageError(f"{schema}: declares no items table")
        features = [each for each in declared.features if each.name in dataset.item_features]
        return replace(declared, features=features)
    there = column_names(scan_table(path, Format(), scratch))
    if "item_id" not in there:
        shown = ", ".join(there[:20])
        raise DataError(
            f"{path}: no column item_id; the file has {shown}; name it so, or give --schema"
        )
    own = [(name, kind.kind) for name, (kind, _) in dataset.item_features.items() if name in there]
    features = [FeatureColumn(name, kind, column=name) for name, kind in own]
    return SideTable(path.name, "item_id", "title" if "title" in there else None, features)


def _rows_of_ids(path: Path, table: SideTable, side: Any) -> Any:
    """Rows of the table beside its own ids."""
    import polars as pl

    from bert4rec.ingest.feature_values import POSITION, RowsOfIds

    keys = side.frame[table.key].unique(maintain_order=True)
    if not len(keys):
        raise DataError(f"{path}: the table has no rows")
    numbered = pl.DataFrame({table.key: keys}).with_row_index(POSITION)
    frame = numbered.join(side.frame, on=table.key, how="left", maintain_order="left")
    return RowsOfIds(frame, len(keys), path, table, side.text_fields)


def _raw_values(feature: Any, stored: Any) -> list[Any]:
    """Known raw values of a stored one."""
    from bert4rec.engine.raw_values import raw_value

    value = raw_value(feature, stored)
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _column_remarks(path: Path, columns: Sequence[str]) -> list[str]:
    return [f"{path}: columns not used: {', '.join(columns)}"] if columns else []


def _remarks(unknown: Counter[tuple[str, str]]) -> list[str]:
    """Counts of the values that the model does not know, by feature."""
    remarks = []
    for name in dict.fromkeys(name for name, _ in unknown):
        counts = {value: count for (owner, value), count in unknown.items() if owner == name}
        shown = ", ".join(map(repr, list(counts)[:MOST_SHOWN]))
        more = ", …" if len(counts) > MOST_SHOWN else ""
        remarks.append(
            f"{name}: {sum(counts.values()):,} values that the model does not know are taken as "
            f"unknown: {shown}{more}"
        )
    return remarks


def save_catalogue(args: Any, model: Artefact, note: str) -> None:
    """Write the model folder of a changed catalogue; the note stands in its model card."""
    import json

    from bert4rec.artefact import TRAINING_FILE, save
    from bert4rec.data.splits import make_split
    from bert4rec.training.model_card import model_card

    training = json.loads((args.model / TRAINING_FILE).read_text(encoding="utf-8"))
    dataset = model.dataset
    card = model_card(args.output.name, model.config, dataset.manifest, {}, training, note=note)
    split = make_split(dataset, model.config.split)
    save(args.output, model.network, model.config, dataset, split, training=training, card=card)
