"""Adds cold-start items to a trained model by their metadata, without training.

The table has one item a row: its id, `title` where the data has titles, and the data's item
features. It is read as `prepare` reads item tables; `--schema` declares its columns.
"""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.catalogue_table import add_table_flags, check_output, read_items, save_catalogue
from bert4rec.cli.model_flags import open_models
from bert4rec.cli.output import notes, show_warnings


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `add-items`."""
    add_table_flags(parser)


def run(args: Namespace) -> None:
    """Write a model folder with the added items, and print how many there are."""
    from bert4rec.engine.added_items import with_items

    check_output(args.output)
    (model,) = open_models([args.model], args.data, args.data_dir)
    table = read_items(args.table, model.dataset, args.schema)
    grown = with_items(model, table.items)
    show_warnings(table.warnings)
    added = grown.dataset.num_items - model.dataset.num_items
    note = f"{added:,} of its items were added after training, by their metadata alone."
    save_catalogue(args, grown, note)
    notes()(f"{added:,} items added, {grown.dataset.num_items:,} in all: {args.output}")
