"""The table of `cold-items` over its folds: every cold item is ranked by the model of which it trained nothing.

    python benchmarks/cold_items.py --models runs/items-0 runs/items-1 … runs/items-4 --output reports/items

prints the table of all users, each one's cold target counted once and the warm one as its mean over the folds, and
writes it (`cold_items.json`, with the folds' own, and `cold_items.md`).
"""

from __future__ import annotations

import json

from bert4rec.cli.evaluate import data_of
from bert4rec.evaluation.cold import cold_items, pooled
from folds import models_of_folds


def main() -> None:
    """Evaluates each model on its fold, and pools."""
    models, output = models_of_folds(__doc__)
    folds = [cold_items(model.scorer(), *data_of(model)) for model in models]
    together = pooled(folds)
    content = {**together.to_dict(), "folds": [fold.to_dict() for fold in folds]}
    (output / "cold_items.json").write_text(json.dumps(content, indent=1))
    (output / "cold_items.md").write_text(together.to_markdown() + "\n")
    print(together.to_markdown())


if __name__ == "__main__":
    main()
