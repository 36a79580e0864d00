"""One configuration's runs of several seeds as one row, and beside other models on the same users.

    python benchmarks/seeds.py --data prepared/ml-1m --name deep_ml-1m --runs runs/deep-1 runs/deep-2 \\
        --against "SASRec preset=runs/sasrec" "BERT4Rec preset=runs/bert4rec"

Each user's metric is averaged over the seeds first; intervals are over users, and the spread over seeds stands beside
them. The runs must differ in their seed alone. The test is asked: nothing may be chosen by this table.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from statistics import stdev
from typing import Any

import numpy as np

from answers import Answers, answers
from bert4rec.artefact import TRAINING_FILE, training_data_of
from bert4rec.cli.output import show_table
from bert4rec.config import RunConfig
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import Bert4RecError
from bert4rec.evaluation.comparison import sign_flip_p_value
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.protocol import protocol_of
from bert4rec.tables import Estimate, Table, to_plain
from bert4rec.training.run_directory import differing_settings
from records import machine, results_file, write

SHOWN = ("hit@10", "ndcg@10", "rating_rmse")
PAIRED = ("hit@10", "ndcg@10")
COST = ("best_epoch", "epochs", "seconds", "device")
ON, OFF = "request_time_on", "request_time_off"

Rows = Mapping[str, Sequence[Answers]]
"""What the runs answer, by row."""


def main(words: Sequence[str] | None = None) -> None:
    """Asks, prints both tables and writes the JSON file."""
    args = parse(words)
    try:
        record = measure(args)
    except Bert4RecError as problem:
        raise SystemExit(f"seeds: error: {problem}") from problem
    show_table(
        Table(
            f"{args.name}, mean of {len(args.runs)} seeds, test",
            ["row", *(f"{metric} (spread over seeds)" for metric in SHOWN)],
            [
                [row, *(_cell(found, metric) for metric in SHOWN)]
                for row, found in record["rows"].items()
            ],
        )
    )
    show_table(
        Table(
            "minus others",
            ["other", "row", *PAIRED],
            [
                [
                    pair["other"],
                    pair["row"],
                    *(
                        f"{pair['relative'][metric]:+.1%} (p {pair['p_value'][metric]:.4f})"
                        for metric in PAIRED
                    ),
                ]
                for pair in record["against"]
            ],
        )
    )
    write(record, args.output or results_file(f"{args.name}_seeds"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument("--name", required=True, help="What the result is called.")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="Model folders of one configuration."
    )
    parser.add_argument(
        "--against", nargs="*", default=[], metavar="NAME=FOLDER", help="Other models to pair with."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    args = parser.parse_args(words)
    args.against = dict(pair.split("=", 1) for pair in args.against)
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """The record."""
    dataset = PreparedDataset.open(args.data)
    settings = one_configuration(args.runs)
    split = make_split(dataset, settings.split)
    given = {folder: answers(folder, dataset, split) for folder in args.runs}
    rows = {row: [given[folder][row] for folder in args.runs] for row in next(iter(given.values()))}
    others = {name: answers(Path(folder), dataset, split) for name, folder in args.against.items()}
    return {
        "benchmark": "seeds",
        "date": date.today().isoformat(),
        "machine": machine(),
        "protocol": protocol_of(dataset, split, "test", ON in rows, 0),
        "settings": settings.to_dict(),
        "seeds": [
            {
                "seed": seed_of(folder),
                **cost_of(folder),
                "rows": {row: figures(found) for row, found in given[folder].items()},
            }
            for folder in args.runs
        ],
        "rows": {row: averaged(found) for row, found in rows.items()},
        "against": [pair for name, other in others.items() for pair in paired(name, rows, other)],
    }


def one_configuration(folders: Sequence[Path]) -> RunConfig:
    """The settings that all runs share. Raises SystemExit where they differ in more than their seed."""
    first = settings_of(folders[0])
    for folder in folders[1:]:
        for difference in differing_settings({**settings_of(folder), "seed": first["seed"]}, first):
            raise SystemExit(f"seeds: error: {folder} was trained with {difference}")
    return RunConfig.from_dict(first)


def settings_of(folder: Path) -> dict[str, Any]:
    training_data_of(folder)  # says plainly what is wrong with a folder that is no model
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"])


def seed_of(folder: Path) -> int:
    return int(settings_of(folder)["seed"])


def cost_of(folder: Path) -> dict[str, Any]:
    """What the run took, and what it reached on validation."""
    training = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    best = training["history"][training["best_epoch"] - 1]
    return {**{name: training[name] for name in COST}, "validation": best["validation"]}


def columns(given: Answers) -> dict[str, Floats]:
    """Each user's metrics and squared rating error."""
    return {**rank_metrics(given.rank_C), "rating_rmse": given.square_C}


def figures(given: Answers) -> dict[str, float]:
    return {name: found.value for name, found in mean_estimates(columns(given)).items()}


def over_seeds(found: Sequence[Answers]) -> dict[str, Floats]:
    """Each user's metrics, averaged over the seeds."""
    each = [columns(given) for given in found]
    return {name: np.mean([column[name] for column in each], axis=0) for name in each[0]}


def averaged(found: Sequence[Answers]) -> dict[str, Any]:
    """The mean over seeds, its interval over users, and how far single seeds lie apart."""
    means = mean_estimates(over_seeds(found))
    single = [figures(given) for given in found]
    return {
        "metrics": to_plain(means),
        "deviation": {
            name: stdev(one[name] for one in single) if len(single) > 1 else 0.0 for name in means
        },
    }


def paired(name: str, rows: Rows, other: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """The rows minus another model; one that never reads the time is paired with both."""
    return [
        {
            "other": name,
            "row": row,
            **_difference(over_seeds(found), columns(other.get(row, other[OFF]))),
        }
        for row, found in rows.items()
    ]


def _difference(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> dict[str, Any]:
    mine, its = ({metric: column[metric] for metric in PAIRED} for column in (one, other))
    found = difference_estimates(mine, its)
    return {
        "difference": to_plain(found),
        "relative": {metric: float(found[metric].value / its[metric].mean()) for metric in PAIRED},
        "p_value": {metric: sign_flip_p_value(mine[metric] - its[metric]) for metric in PAIRED},
    }


def _cell(found: Mapping[str, Any], metric: str) -> str:
    if metric not in found["metrics"]:
        return "–"
    estimate = Estimate.from_dict(found["metrics"][metric])
    return f"{estimate:.4f} ({found['deviation'][metric]:.4f})"


if __name__ == "__main__":
    main()
