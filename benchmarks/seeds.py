"""Mean and spread over the seeds of one configuration, and paired comparison with other models.

    python benchmarks/seeds.py --data prepared/ml-1m --name deep_ml-1m \\
        --runs runs/deep-1 runs/deep-2 \\
        --against "SASRec preset=runs/sasrec" "BERT4Rec preset=runs/bert4rec"

Each user's metric is averaged over the seeds first. Intervals are over users; the deviation over
seeds stands beside them. The runs may differ in their seed only. The table shows test users:
base no choice on it.

Legend: C evaluation cases, one a test user.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
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
from bert4rec.result_tables import ABSENT, Estimate, Table, to_plain
from bert4rec.training.run_directory import differing_settings
from records import add_output, head, make_parser, results_file, write

SHOWN = ("hit@10", "ndcg@10", "rating_rmse")
PAIRED = ("hit@10", "ndcg@10")
COST = ("best_epoch", "epochs", "seconds", "device")
ON, OFF = "request_time_on", "request_time_off"

Rows = Mapping[str, Sequence[Answers]]
"""Answers of the runs, by row."""


def main(words: Sequence[str] | None = None) -> None:
    """Evaluate, print both tables and write the record."""
    args = parse(words)
    try:
        record = measure(args)
    except Bert4RecError as problem:
        raise SystemExit(f"seeds: error: {problem}") from problem
    means = [_mean_row(row, found) for row, found in record["rows"].items()]
    columns = ["row", *(f"{metric} (deviation over seeds)" for metric in SHOWN)]
    show_table(Table(f"{args.name}, mean of {len(args.runs)} seeds, test", columns, means))
    pairs = [_pair_row(pair) for pair in record["against"]]
    show_table(Table("minus others", ["other", "row", *PAIRED], pairs))
    write(record, args.output or results_file(f"{args.name}_seeds"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags; `against` maps names to folders."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument("--name", required=True, help="The record's name.")
    parser.add_argument(
        "--runs", type=Path, nargs="+", required=True, help="Model folders of one configuration."
    )
    parser.add_argument(
        "--against", nargs="*", default=[], metavar="NAME=FOLDER", help="Other models to pair with."
    )
    add_output(parser)
    args = parser.parse_args(words)
    args.against = dict(pair.split("=", 1) for pair in args.against)
    return args


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Record of the runs, their mean, and the pairs."""
    dataset = PreparedDataset.open(args.data)
    settings = one_configuration(args.runs)
    split = make_split(dataset, settings.split)
    given = {folder: answers(folder, dataset, split) for folder in args.runs}
    rows = {}
    for row in given[args.runs[0]]:
        rows[row] = [given[folder][row] for folder in args.runs]
    against = []
    for name, folder in args.against.items():
        against += paired(name, rows, answers(Path(folder), dataset, split))
    return {
        **head("seeds"),
        "protocol": protocol_of(dataset, split, "test", ON in rows, 0),
        "settings": settings.to_dict(),
        "seeds": [seed_record(folder, given[folder]) for folder in args.runs],
        "rows": {row: averaged(found) for row, found in rows.items()},
        "against": against,
    }


def seed_record(folder: Path, rows: Mapping[str, Answers]) -> dict[str, Any]:
    """Seed, cost and figures of one run."""
    found = {row: figures(given) for row, given in rows.items()}
    return {"seed": seed_of(folder), **cost_of(folder), "rows": found}


def one_configuration(folders: Sequence[Path]) -> RunConfig:
    """Settings that all runs share. Raises SystemExit where they differ in more than the seed."""
    first = settings_of(folders[0])
    for folder in folders[1:]:
        for difference in differing_settings({**settings_of(folder), "seed": first["seed"]}, first):
            raise SystemExit(f"seeds: error: {folder} was trained with {difference}")
    return RunConfig.from_dict(first)


def settings_of(folder: Path) -> dict[str, Any]:
    """Stored settings of a run."""
    training_data_of(folder)  # refuses a folder that is no model, with the reason
    return dict(json.loads((folder / "config.json").read_text(encoding="utf-8"))["settings"])


def seed_of(folder: Path) -> int:
    """Seed of a run."""
    return int(settings_of(folder)["seed"])


def cost_of(folder: Path) -> dict[str, Any]:
    """Cost of a run, and its metrics on validation."""
    training = json.loads((folder / TRAINING_FILE).read_text(encoding="utf-8"))
    best = training["history"][training["best_epoch"] - 1]
    return {**{name: training[name] for name in COST}, "validation": best["validation"]}


def columns(given: Answers) -> dict[str, Floats]:
    """Metrics and squared rating error of each user."""
    return {**rank_metrics(given.rank_C), "rating_rmse": given.square_C}


def figures(given: Answers) -> dict[str, float]:
    """Mean metrics of one run."""
    return {name: found.value for name, found in mean_estimates(columns(given)).items()}


def over_seeds(found: Sequence[Answers]) -> dict[str, Floats]:
    """Metrics of each user, averaged over the seeds."""
    each = [columns(given) for given in found]
    return {name: np.mean([column[name] for column in each], axis=0) for name in each[0]}


def averaged(found: Sequence[Answers]) -> dict[str, Any]:
    """Mean over seeds, its interval over users, and the deviation over seeds."""
    means = mean_estimates(over_seeds(found))
    single = [figures(given) for given in found]
    return {
        "metrics": to_plain(means),
        "deviation": {name: deviation([one[name] for one in single]) for name in means},
    }


def deviation(values: Sequence[float]) -> float:
    """Sample standard deviation; 0 for a single value."""
    return stdev(values) if len(values) > 1 else 0.0


def paired(name: str, rows: Rows, other: Mapping[str, Answers]) -> list[dict[str, Any]]:
    """Each row minus another model; one that never reads the request time is paired with both."""
    pairs = []
    for row, found in rows.items():
        difference = _difference(over_seeds(found), columns(other.get(row, other[OFF])))
        pairs.append({"other": name, "row": row, **difference})
    return pairs


def _difference(one: Mapping[str, Floats], other: Mapping[str, Floats]) -> dict[str, Any]:
    mine = {metric: one[metric] for metric in PAIRED}
    its = {metric: other[metric] for metric in PAIRED}
    found = difference_estimates(mine, its)
    return {
        "difference": to_plain(found),
        "relative": {metric: float(found[metric].value / its[metric].mean()) for metric in PAIRED},
        "p_value": {metric: sign_flip_p_value(mine[metric] - its[metric]) for metric in PAIRED},
    }


def _mean_row(row: str, found: Mapping[str, Any]) -> list[str]:
    return [row, *(_cell(found, metric) for metric in SHOWN)]


def _cell(found: Mapping[str, Any], metric: str) -> str:
    if metric not in found["metrics"]:
        return ABSENT
    estimate = Estimate.from_dict(found["metrics"][metric])
    return f"{estimate:.4f} ({found['deviation'][metric]:.4f})"


def _pair_row(pair: Mapping[str, Any]) -> list[str]:
    return [pair["other"], pair["row"], *(_pair_cell(pair, metric) for metric in PAIRED)]


def _pair_cell(pair: Mapping[str, Any], metric: str) -> str:
    return f"{pair['relative'][metric]:+.1%} (p {pair['p_value'][metric]:.4f})"


if __name__ == "__main__":
    main()
