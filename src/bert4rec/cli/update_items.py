"""Changes titles and features of items that a trained model knows, without training.

The table is that of `add-items`. An empty cell, and a column that the table does not have, leave
the item's value as it is.
"""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.catalogue_table import add_table_flags, check_output, read_items, save_catalogue
from bert4rec.cli.model_flags import open_models
from bert4rec.cli.output import show_warnings


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `update-items`."""
    add_table_flags(parser)


def run(args: Namespace) -> None:
    """Write a model folder with the changed items, and print what changed."""
    from bert4rec.engine.updated_items import with_updates

    check_output(args.output)
    (model,) = open_models([args.model], args.data, args.data_dir)
    table = read_items(args.table, model.dataset, args.schema)
    updated, changes = with_updates(model, table.items)
    show_warnings(table.warnings)
    counts = ", ".join(f"{name} of {count:,}" for name, count in changes.items()) or "nothing"
    note = f"Metadata of its items were changed after training: {counts}."
    save_catalogue(args, updated, note)
    print(f"{len(table.items):,} items read, changed: {counts}: {args.output}")
