"""Adds cold-start items to a trained model by their metadata, without training.

The table is a .csv, .tsv or .parquet file with one item a row: `item_id`, `title` where the data
has titles, and the data's item features. Several values of one feature are separated by `|`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data
from bert4rec.cli.model_flags import open_models
from bert4rec.errors import ArtefactError, DataError, UsageError
from bert4rec.ingest.file_types import default_separator, is_parquet, suffix_of

if TYPE_CHECKING:
    import polars as pl

    from bert4rec.data.dataset import PreparedDataset

FORMATS = (".csv", ".tsv", ".parquet")


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `add-items`."""
    parser.add_argument(
        "--model", type=Path, required=True, help="The model folder; it stays as it is."
    )
    parser.add_argument(
        "--table", type=Path, required=True, help="A .csv, .tsv or .parquet with an item a row."
    )
    parser.add_argument("--output", type=Path, required=True, help="The model folder to write.")
    add_data(parser)


def run(args: Namespace) -> None:
    """Write a model folder with the added items, and print how many there are."""
    from bert4rec.artefact import TRAINING_FILE, save
    from bert4rec.data.splits import make_split
    from bert4rec.engine.added_items import with_items
    from bert4rec.training.model_card import model_card

    if args.output.exists() and any(args.output.iterdir()):
        raise UsageError(f"{args.output}: is not empty; choose another --output")
    (model,) = open_models([args.model], args.data, args.data_dir)
    grown = with_items(model, read_items(args.table, model.dataset))
    dataset = grown.dataset
    added = dataset.num_items - model.dataset.num_items
    training = json.loads((args.model / TRAINING_FILE).read_text(encoding="utf-8"))
    note = f"{added:,} of its items were added after training, by their metadata alone."
    card = model_card(args.output.name, grown.config, dataset.manifest, {}, training, note=note)
    split = make_split(dataset, grown.config.split)
    save(args.output, grown.network, grown.config, dataset, split, training=training, card=card)
    print(f"{added:,} items added, {dataset.num_items:,} in all: {args.output}")


def read_items(path: Path, dataset: PreparedDataset) -> list[dict[str, Any]]:
    """Items of a file as the mappings that `with_items` takes; empty cells are left out."""
    return [_item(row, dataset) for row in _read_table(path).to_dicts()]


def _item(row: dict[str, Any], dataset: PreparedDataset) -> dict[str, Any]:
    """One row: its id as the data's ids are, values of multi-valued features as lists."""
    from bert4rec.data.features import Kind

    item = {name: value for name, value in row.items() if value not in (None, "")}
    for name, (feature, _) in dataset.item_features.items():
        if feature.kind is Kind.MULTI and isinstance(item.get(name), str):
            item[name] = item[name].split("|")
    if isinstance(item.get("item_id"), str):
        item["item_id"] = dataset.items.parse(item["item_id"])
    return item


def _read_table(path: Path) -> pl.DataFrame:
    """The file's rows; text columns of .csv and .tsv stay text."""
    import polars as pl

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if suffix_of(path) not in FORMATS:
            raise UsageError(f"{path}: is no .csv, .tsv or .parquet")
        if is_parquet(path):
            return pl.read_parquet(path)
        return pl.read_csv(path, separator=default_separator(path), infer_schema=False)
    except pl.exceptions.PolarsError as problem:
        cause = " ".join(str(problem).split())[:200]
        raise ArtefactError(f"{path}: cannot be read ({cause})") from problem
