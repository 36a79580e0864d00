"""Rating errors of trained models beside matrix factorisation (Surprise's SVD), biases and the mean, on the same cases.

    python benchmarks/rating_peers.py --data prepared/ml-1m --model "small preset=runs/small"

All are fitted on the training events of the leave-one-out split and asked for the test events' ratings; validation
events train nobody. SVD is fitted with its defaults and with every setting of a grid, the best of which on validation
cases is the one that counts. The peers' environment (`make peers`) fits it, without the ratings of any case.

What is not the same: at test time a network reads the validation event with its rating, for it is part of the history;
SVD and the biases know a user by what trained.

Legend: N rated training events, C cases (validation, then test), R rating levels, S settings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from datetime import date
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.artefact import load
from bert4rec.cli.evaluate import data_of
from bert4rec.cli.output import console, show_table
from bert4rec.config import SplitConfig
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, make_split
from bert4rec.evaluation.evaluate import evaluate_rows, true_ratings
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.metrics import rating_metrics
from bert4rec.evaluation.rating_baselines import predicted_ratings, rated_training_events
from bert4rec.tables import Estimate, Table, to_plain
from peer_process import PEERS_PYTHON
from records import ROOT, machine, results_file, write

PEER = ROOT / "benchmarks" / "peers" / "surprise_svd.py"
METRICS = ("rating_rmse", "rating_mae")
PUBLISHED = {"n_epochs": [5, 10], "lr_all": [0.002, 0.005], "reg_all": [0.4, 0.6]}
"""The grid of Surprise's own example (examples/grid_search_usage.py)."""
AROUND_DEFAULTS = {"n_factors": [50, 100, 200], "n_epochs": [20, 40], "reg_all": [0.02, 0.05, 0.1]}
"""Ours, for the published one has neither many epochs nor little shrinkage; the defaults are 100, 20 and 0.02."""
GRID = [
    dict(zip(grid, values, strict=True))
    for grid in (PUBLISHED, AROUND_DEFAULTS)
    for values in product(*grid.values())
]


def main(words: Sequence[str] | None = None) -> None:
    """Fits, evaluates, prints a table and writes the JSON file."""
    args = parse(words)
    dataset = PreparedDataset.open(args.data)
    split = make_split(dataset, SplitConfig("leave-one-out"))
    settings: list[dict[str, Any]] = [{}] if args.no_grid else [{}, *GRID]
    predicted_SC, told = fit_svd(dataset, split, settings, args.seed, args.peers_python)
    asked = len(split.validation)
    validation = [
        errors_of(guess_C, dataset, split.validation) for guess_C in predicted_SC[:, :asked]
    ]
    test = [errors_of(guess_C, dataset, split.test) for guess_C in predicted_SC[:, asked:]]
    best = int(np.argmin([np.nanmean(of["rating_rmse"]) for of in validation]))
    guesses = predicted_ratings(dataset, split, split.test)
    rows = {name: errors_of(guess_C, dataset, split.test) for name, guess_C in guesses.items()}
    rows |= {"SVD, defaults": test[0], "SVD, best on validation": test[best]}
    for model in args.model:
        rows |= errors_of_model(model, dataset)
    seconds = told.pop("seconds")
    document = {
        "benchmark": "rating_peers",
        "date": date.today().isoformat(),
        "machine": machine(),
        "data": {"name": dataset.name, "checksum": dataset.checksum, "split": split.checksum},
        "cases": {"test": len(split.test), "validation": asked},
        "rows": {name: figures(of) for name, of in rows.items()},
        "minus_svd": {name: figures_minus(of, test[best]) for name, of in rows.items()},
        "svd": {
            **told,
            "chosen": settings[best],
            "grid": [
                {"settings": chosen, "seconds": spent, "validation": means(of)}
                for chosen, spent, of in zip(settings, seconds, validation, strict=True)
            ],
        },
    }
    show(document)
    write(document, args.output or results_file(f"rating_peers_{dataset.name}"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="NAME=FOLDER of a trained model; may come again.",
    )
    parser.add_argument("--seed", type=int, default=42, help="SVD's (default: %(default)s).")
    parser.add_argument("--no_grid", action="store_true", help="SVD with its defaults alone.")
    parser.add_argument(
        "--peers_python", type=Path, default=PEERS_PYTHON, help="The interpreter that has Surprise."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    args = parser.parse_args(words)
    if not args.peers_python.is_file():
        parser.error(
            f"{args.peers_python} is missing: 'make peers' makes it, --peers_python names another"
        )
    if wrong := [model for model in args.model if not all(model.partition("="))]:
        parser.error(f"--model {wrong[0]}: must be NAME=FOLDER")
    return args


def fit_svd(
    dataset: PreparedDataset,
    split: Split,
    settings: Sequence[Mapping[str, Any]],
    seed: int,
    python: Path,
) -> tuple[Floats, dict[str, Any]]:
    """What SVD with each of the settings predicts `[S, C]`, validation cases first, and what it says of its fits."""
    with tempfile.TemporaryDirectory() as scratch:
        given, predicted = Path(scratch) / "given.npz", Path(scratch) / "predicted.npy"
        np.savez(given, **what_svd_knows(dataset, split))
        command = [
            str(python),
            str(PEER),
            f"--input={given}",
            f"--output={predicted}",
            f"--seed={seed}",
        ]
        command.append(f"--settings={json.dumps(settings)}")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{PEER.name} failed:\n{done.stderr}")
        return np.load(predicted, allow_pickle=False), json.loads(done.stdout.splitlines()[-1])


def what_svd_knows(dataset: PreparedDataset, split: Split) -> dict[str, np.ndarray]:
    """The rated training events and the scale; of the cases users and items, and no rating."""
    user_N, item_N, rating_N = rated_training_events(dataset, split)
    target_C = np.concatenate([split.validation.target_C, split.test.target_C])
    return {
        "user_N": user_N,
        "item_N": item_N,
        "rating_N": rating_N,
        "level_R": dataset.rating_levels,
        "user_C": np.concatenate([split.validation.user_C, split.test.user_C]),
        "item_C": np.asarray(dataset.item_N[target_C]),
    }


def errors_of(guess_C: Floats, dataset: PreparedDataset, asked: Cases) -> dict[str, Floats]:
    """Each case's squared and absolute error, NaN where it has no rating."""
    return rating_metrics(guess_C - true_ratings(dataset, asked))


def errors_of_model(model: str, dataset: PreparedDataset) -> dict[str, dict[str, Floats]]:
    """The errors of a model's rating head, the request time known and unknown."""
    name, _, folder = model.partition("=")
    trained = load(Path(folder), dataset)
    reports = evaluate_rows(trained.scorer(), *data_of(trained), "test")
    rated = {row: report for row, report in reports.items() if report.squared_error_C is not None}
    if not rated:
        raise SystemExit(f"{folder}: was trained without a rating head")
    return {
        f"{name}, {row.replace('_', ' ')}": rating_metrics(np.sqrt(report.squared_error_C))
        for row, report in rated.items()
    }


def means(of: Mapping[str, Floats]) -> dict[str, float]:
    """RMSE and MAE."""
    return {name: estimate.value for name, estimate in mean_estimates(of).items()}


def figures(of: Mapping[str, Floats]) -> dict[str, dict[str, Any]]:
    """RMSE and MAE with their 95 % intervals over users."""
    return dict(to_plain(mean_estimates(of)))


def figures_minus(
    of: Mapping[str, Floats], other: Mapping[str, Floats]
) -> dict[str, dict[str, Any]]:
    """The paired differences, likewise."""
    return dict(to_plain(difference_estimates(of, other)))


def show(document: Mapping[str, Any]) -> None:
    """The table, and what was chosen."""
    show_table(
        Table(
            f"{document['data']['name']}, leave-one-out, test, {document['cases']['test']:,} users",
            ["rating", *METRICS, "rmse minus SVD's"],
            [
                [
                    name,
                    *(in_words(of[metric]) for metric in METRICS),
                    in_words(document["minus_svd"][name]["rating_rmse"], "+"),
                ]
                for name, of in document["rows"].items()
            ],
        )
    )
    chosen = (
        ", ".join(f"{name} {value}" for name, value in document["svd"]["chosen"].items())
        or "the defaults"
    )
    console().print(f"SVD was chosen on validation: {chosen}", style="dim")


def in_words(figure: Mapping[str, Any], sign: str = "") -> str:
    """`0.9343 [0.9180, 0.9510]`."""
    return format(Estimate.from_dict(figure), f"{sign}.4f")


if __name__ == "__main__":
    main()
