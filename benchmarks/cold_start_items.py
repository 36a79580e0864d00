"""Table of `cold-start-items` over its folds: each cold-start item by the model that held it out.

    python benchmarks/cold_start_items.py --models runs/items-0 runs/items-1 … runs/items-4 \\
        --output reports/items

A user's cold-start target counts once, the warm one as its mean over the folds. A second table
varies `cold_item_cost`: gain of cold-start items and loss of the others with a smaller penalty.
Prints both tables, and writes `cold_start_items.json` (with each fold) and `cold_start_items.md`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from typing import Any

from bert4rec.artefact import Artefact
from bert4rec.cli.model_flags import data_of
from bert4rec.evaluation.comparison import COMPARED
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY
from bert4rec.result_tables import Table, to_markdown
from bert4rec.studies.cold_start_items import (
    COLD_AMONG_ALL,
    COST,
    MODEL,
    WARM_AMONG_ALL,
    cold_start_items,
    pooled,
)
from bert4rec.training.cold_item_penalty import cold_item_penalty
from folds import models_of_folds

COSTS = (0.01, 0.02, 0.05, 1.0)


def main() -> None:
    """Evaluate each model on its fold, with its own penalty and with others, and pool."""
    models, output = models_of_folds(__doc__)
    folds = [cold_start_items(model.scorer(), *data_of(model)) for model in models]
    together = pooled(folds)
    curve = [at_cost(models, cost) for cost in COSTS]
    content = {
        **together.to_dict(),
        "cold_item_cost": curve,
        "folds": [fold.to_dict() for fold in folds],
    }
    (output / "cold_start_items.json").write_text(json.dumps(content, indent=1))
    text = "\n".join([to_markdown(together.tables()), "", _table(curve).to_markdown()])
    (output / "cold_start_items.md").write_text(text + "\n")
    print(text)


def at_cost(models: Sequence[Artefact], cost: float) -> dict[str, Any]:
    """Pooled table where warm items may lose a share `cost` of Hit@10 and NDCG@10."""
    penalties, tables = [], []
    for model in models:
        dataset, split = data_of(model)
        penalties.append(cold_item_penalty(model.scorer(), dataset, split, cost))
        model.network.get_buffer(COLD_ITEM_PENALTY).fill_(penalties[-1])
        tables.append(cold_start_items(model.scorer(), dataset, split))
    return {"cost": cost, "penalties": penalties, **pooled(tables).to_dict()["rows"][MODEL]}


def _table(curve: Sequence[dict[str, Any]]) -> Table:
    """Metrics of cold-start and warm items, a row for each cost."""
    shown = list(product(COMPARED, (COLD_AMONG_ALL, WARM_AMONG_ALL, COST)))
    columns = ["cold_item_cost", *(f"{metric}, {column}" for metric, column in shown)]
    rows = []
    for row in curve:
        values = [row[column][metric]["value"] for metric, column in shown]
        rows.append([f"{row['cost']:g}", *values])
    return Table("", columns, rows)


if __name__ == "__main__":
    main()
