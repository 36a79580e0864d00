"""New items for a trained model, placed by their metadata; nothing is trained. Writes a new model folder.

The file is a CSV, TSV or Parquet of item_id, title where there are titles, and the data's item features; several values
of one feature are separated by |.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data
from bert4rec.cli.model_flags import open_models
from bert4rec.errors import ArtefactError, DataError, UsageError

SEPARATORS = {".csv": ",", ".tsv": "\t"}


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `add-items`."""
    parser.add_argument(
        "--model", type=Path, required=True, help="The model folder; it stays as it is."
    )
    parser.add_argument(
        "--table", type=Path, required=True, help="A .csv, .tsv or .parquet with an item a row."
    )
    parser.add_argument("--output", type=Path, required=True, help="The model folder to make.")
    add_data(parser)


def run(args: Namespace) -> None:
    """Adds the items."""
    from bert4rec.artefact import TRAINING_FILE, save
    from bert4rec.data.splits import make_split
    from bert4rec.engine.added_items import with_items
    from bert4rec.training.model_card import model_card

    if args.output.exists() and any(args.output.iterdir()):
        raise UsageError(f"{args.output}: is not empty; choose another --output")
    (model,) = open_models([args.model], args.data, args.data_dir)
    grown = with_items(model, read_items(args.table, model.dataset))
    number = grown.dataset.num_items - model.dataset.num_items
    figures = json.loads((args.model / TRAINING_FILE).read_text(encoding="utf-8"))
    note = f"{number:,} of its items were added after training, by their metadata alone."
    card = model_card(args.output.name, grown.run, grown.dataset.manifest, {}, figures, note=note)
    split = make_split(grown.dataset, grown.run.split)
    save(args.output, grown.network, grown.run, grown.dataset, split, training=figures, card=card)
    print(f"{number:,} items added, {grown.dataset.num_items:,} in all: {args.output}")


def read_items(path: Path, dataset: Any) -> list[dict[str, Any]]:
    """The rows of a file as the mappings that `with_items` takes; empty cells are left out."""
    from bert4rec.data.features import Kind

    several = {
        name for name, (feature, _) in dataset.item_features.items() if feature.kind is Kind.MULTI
    }
    items = []
    for row in _rows(path):
        item = {name: value for name, value in row.items() if value not in (None, "")}
        item |= {
            name: value.split("|")
            for name, value in item.items()
            if name in several and isinstance(value, str)
        }
        if isinstance(item.get("item_id"), str):
            item["item_id"] = dataset.items.parse(item["item_id"])
        items.append(item)
    return items


def _rows(path: Path) -> list[dict[str, Any]]:
    import polars as pl

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        if path.suffix == ".parquet":
            return pl.read_parquet(path).to_dicts()
        if path.suffix not in SEPARATORS:
            raise UsageError(f"{path}: is no .csv, .tsv or .parquet")
        return pl.read_csv(path, separator=SEPARATORS[path.suffix], infer_schema=False).to_dicts()
    except pl.exceptions.PolarsError as problem:
        raise ArtefactError(
            f"{path}: cannot be read ({' '.join(str(problem).split())[:200]})"
        ) from problem
