"""The table of `cold-items` over its folds: every cold item is ranked by the model of which it trained nothing.

    python benchmarks/cold_items.py --models runs/items-0 runs/items-1 … runs/items-4 --output reports/items

prints the table of all users, each one's cold target counted once and the warm one as its mean over the folds, and
writes it (`cold_items.json`, with the folds' own, and `cold_items.md`).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from bert4rec import artefact
from bert4rec.cli.evaluate import data_of
from bert4rec.data.prepared import PreparedDataset
from bert4rec.evaluation.cold import ColdItems, cold_items, pooled


def table_of(folder: Path, data: PreparedDataset | None) -> ColdItems:
    """The table of one fold."""
    model = artefact.load(folder, data)
    return cold_items(model.scorer(), *data_of(model))


def main() -> None:
    """Evaluates each model on its fold, and pools."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="A model folder for each fold.")
    parser.add_argument("--data", type=Path, help="The prepared folder, for models that were published without.")
    parser.add_argument("--output", type=Path, required=True, help="The folder for the table.")
    args = parser.parse_args()
    data = PreparedDataset.open(args.data) if args.data else None
    folds = [table_of(folder, data) for folder in args.models]
    together = pooled(folds)
    args.output.mkdir(parents=True, exist_ok=True)
    content = {**together.to_dict(), "folds": [fold.to_dict() for fold in folds]}
    (args.output / "cold_items.json").write_text(json.dumps(content, indent=1))
    (args.output / "cold_items.md").write_text(together.to_markdown() + "\n")
    print(together.to_markdown())


if __name__ == "__main__":
    main()
