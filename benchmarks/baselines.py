"""What counting reaches: the baselines of the package on a prepared folder, as a table and a JSON file.

    python benchmarks/baselines.py --data prepared/ml-1m

Nothing is trained and nothing chosen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bert4rec.cli.output import show_table
from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.baselines import fit_baselines
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.rating_baselines import rating_baselines
from bert4rec.evaluation.report import with_interval
from records import machine, results_file, write

SPLITS = ("leave-one-out", "global-time")


def main(words: Sequence[str] | None = None) -> None:
    """Evaluates, prints and writes."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    args = parser.parse_args(words)
    dataset = PreparedDataset.open(args.data)
    results = {}
    for name in SPLITS:
        split = make_split(dataset, SplitConfig(split=name))
        reports = [evaluate(scorer, dataset, split) for scorer in fit_baselines(dataset, split)]
        ratings = rating_baselines(dataset, split, split.test)
        results[name] = {"reports": [report.to_dict() for report in reports], "ratings": ratings}
        rows = [
            [report.name, *(with_interval(report, metric) for metric in ("hit@10", "ndcg@10"))]
            for report in reports
        ]
        show_table(
            f"{dataset.name}, {name}, test, {len(split.test):,} users",
            ["", "hit@10", "ndcg@10"],
            rows,
        )
        show_table(
            "",
            ["rating", "rmse", "mae"],
            [[name, *errors.values()] for name, errors in ratings.items()],
        )
    document = {
        "benchmark": "baselines",
        "date": date.today().isoformat(),
        "machine": machine(),
        "splits": results,
    }
    write(document, args.output or results_file(f"baselines_{dataset.name}"))


if __name__ == "__main__":
    main()
