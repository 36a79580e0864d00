"""Baselines of the package on a prepared folder, under two splits.

    python benchmarks/baselines.py --data prepared/ml-1m

Nothing is trained by gradient, and nothing is chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from bert4rec.cli.output import show_table
from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.baselines import fit_baselines
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.rating_baselines import rating_baselines
from bert4rec.evaluation.report import metrics_table
from bert4rec.result_tables import Cell, Table
from records import add_output, head, make_parser, results_file, write

SPLITS: tuple[Literal["leave-one-out", "global-temporal"], ...] = (
    "leave-one-out",
    "global-temporal",
)
METRICS = ("hit@10", "ndcg@10")


def main(words: Sequence[str] | None = None) -> None:
    """Evaluate the baselines under each split, print the tables and write the record."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    add_output(parser)
    args = parser.parse_args(words)
    dataset = PreparedDataset.open(args.data)
    results = {name: evaluate_split(dataset, name) for name in SPLITS}
    record = {**head("baselines"), "splits": results}
    write(record, args.output or results_file(f"baselines_{dataset.name}"))


def evaluate_split(
    dataset: PreparedDataset, name: Literal["leave-one-out", "global-temporal"]
) -> dict[str, Any]:
    """Reports and rating errors of the baselines under one split; prints them."""
    split = make_split(dataset, SplitConfig(split=name))
    reports = [evaluate(scorer, dataset, split) for scorer in fit_baselines(dataset, split)]
    ratings = rating_baselines(dataset, split, split.test)
    title = f"{dataset.name}, {name}, test, {len(split.test):,} users"
    table = metrics_table(reports, METRICS)
    show_table(replace(table, title=title, note=""), margins=False)
    errors: list[list[Cell]] = [
        [baseline, *values.values()] for baseline, values in ratings.items()
    ]
    show_table(Table("", ["rating", "rmse", "mae"], errors))
    return {"reports": [report.to_dict() for report in reports], "ratings": ratings}


if __name__ == "__main__":
    main()
