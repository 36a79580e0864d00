"""Rating errors of trained models beside matrix factorisation (Surprise's SVD) and biases.

    python benchmarks/rating_peers.py --data prepared/ml-1m --model "small preset=runs/small"

All are fitted on the training events of the leave-one-out split, and predict the ratings of the
test events. Validation events train none of them. SVD is fitted with its defaults and with every
setting of a grid; the best setting on validation cases counts. The peers' environment
(`make peers`) fits SVD without the ratings of any case.

A difference that remains: at test time a network reads the validation event with its rating, since
it belongs to the history. SVD and the biases know a user by the training events only.

Legend: C cases (validation, then test), N rated training events, R rating levels, X settings.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.artefact import load
from bert4rec.cli.model_flags import data_of
from bert4rec.cli.output import console, show_table
from bert4rec.config import SplitConfig
from bert4rec.data.arrays import Floats
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, make_split
from bert4rec.evaluation.evaluate import evaluate_by_request_time, true_ratings
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.metrics import rating_metrics
from bert4rec.evaluation.rating_baselines import predicted_ratings, rated_training_events
from bert4rec.result_tables import Estimate, Table, to_plain
from peer_process import PEERS_PYTHON, run_peer
from records import add_output, head, make_parser, results_file, write

PEER = "surprise_svd.py"
METRICS = ("rating_rmse", "rating_mae")
Grid = dict[str, list[Any]]
PUBLISHED: Grid = {"n_epochs": [5, 10], "lr_all": [0.002, 0.005], "reg_all": [0.4, 0.6]}
"""Grid of Surprise's own example (examples/grid_search_usage.py)."""
AROUND_DEFAULTS: Grid = {
    "n_factors": [50, 100, 200],
    "n_epochs": [20, 40],
    "reg_all": [0.02, 0.05, 0.1],
}
"""Grid around the defaults 100, 20 and 0.02.

The published one has neither many epochs nor little shrinkage.
"""


def settings_of(grid: Grid) -> list[dict[str, Any]]:
    """Every combination of a grid's values."""
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


GRID = [*settings_of(PUBLISHED), *settings_of(AROUND_DEFAULTS)]


def main(words: Sequence[str] | None = None) -> None:
    """Fit, evaluate, print the table and write the record."""
    args = parse(words)
    dataset = PreparedDataset.open(args.data)
    split = make_split(dataset, SplitConfig("leave-one-out"))
    settings: list[dict[str, Any]] = [{}] if args.no_grid else [{}, *GRID]
    predicted_XC, description = fit_svd(dataset, split, settings, args.seed, args.peers_python)
    cases = len(split.validation)
    validation = [errors_of(row_C, dataset, split.validation) for row_C in predicted_XC[:, :cases]]
    test = [errors_of(row_C, dataset, split.test) for row_C in predicted_XC[:, cases:]]
    best = int(np.argmin([np.nanmean(errors["rating_rmse"]) for errors in validation]))
    baselines = predicted_ratings(dataset, split, split.test)
    rows = {name: errors_of(rating_C, dataset, split.test) for name, rating_C in baselines.items()}
    rows |= {"SVD, defaults": test[0], "SVD, best on validation": test[best]}
    for model in args.model:
        rows |= errors_of_model(model, dataset)
    seconds = description.pop("seconds")
    grid = []
    for chosen, spent, errors in zip(settings, seconds, validation, strict=True):
        grid.append({"settings": chosen, "seconds": spent, "validation": means(errors)})
    record = {
        **head("rating_peers"),
        "data": {"name": dataset.name, "checksum": dataset.checksum, "split": split.checksum},
        "cases": {"test": len(split.test), "validation": cases},
        "rows": {name: figures(errors) for name, errors in rows.items()},
        "minus_svd": {name: figures_minus(errors, test[best]) for name, errors in rows.items()},
        "svd": {**description, "chosen": settings[best], "grid": grid},
    }
    show(record)
    write(record, args.output or results_file(f"rating_peers_{dataset.name}"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags; exits where something is missing."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        help="NAME=FOLDER of a trained model; repeatable.",
    )
    parser.add_argument("--seed", type=int, default=42, help="Seed of SVD (default: %(default)s).")
    parser.add_argument("--no_grid", action="store_true", help="Fit SVD with its defaults only.")
    parser.add_argument(
        "--peers_python", type=Path, default=PEERS_PYTHON, help="The interpreter with Surprise."
    )
    add_output(parser)
    args = parser.parse_args(words)
    if not args.peers_python.is_file():
        parser.error(
            f"{args.peers_python} is missing: 'make peers' creates it, --peers_python names another"
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
    """Predictions of SVD with each setting, `[X, C]`, validation first, and its description."""
    with tempfile.TemporaryDirectory() as scratch:
        given, predicted = Path(scratch) / "given.npz", Path(scratch) / "predicted.npy"
        np.savez(given, allow_pickle=False, **svd_input(dataset, split))
        words = json.dumps(settings)
        description = run_peer(
            PEER, python, input=given, output=predicted, seed=seed, settings=words
        )
        return np.load(predicted, allow_pickle=False), description


def svd_input(dataset: PreparedDataset, split: Split) -> dict[str, np.ndarray]:
    """Rated training events, the scale, and users and items of the cases without ratings."""
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


def errors_of(rating_C: Floats, dataset: PreparedDataset, cases: Cases) -> dict[str, Floats]:
    """Squared and absolute error of each case; NaN without a rating."""
    return rating_metrics(rating_C - true_ratings(dataset, cases))


def errors_of_model(model: str, dataset: PreparedDataset) -> dict[str, dict[str, Floats]]:
    """Errors of a model's rating head, request time known and unknown."""
    name, _, folder = model.partition("=")
    trained = load(Path(folder), dataset)
    reports = evaluate_by_request_time(trained.scorer(), *data_of(trained), "test")
    rows = {}
    for row, report in reports.items():
        if report.squared_error_C is None:
            raise SystemExit(f"{folder}: was trained without a rating head")
        rows[f"{name}, {row.replace('_', ' ')}"] = rating_metrics(np.sqrt(report.squared_error_C))
    return rows


def means(errors: Mapping[str, Floats]) -> dict[str, float]:
    """RMSE and MAE."""
    return {name: found.value for name, found in mean_estimates(errors).items()}


def figures(errors: Mapping[str, Floats]) -> dict[str, Any]:
    """RMSE and MAE with their 95 % intervals over users."""
    return dict(to_plain(mean_estimates(errors)))


def figures_minus(errors: Mapping[str, Floats], other: Mapping[str, Floats]) -> dict[str, Any]:
    """Paired differences of RMSE and MAE, with their intervals."""
    return dict(to_plain(difference_estimates(errors, other)))


def show(record: Mapping[str, Any]) -> None:
    """Print the table, and the chosen setting of SVD."""
    rows = []
    for name, errors in record["rows"].items():
        cells = [f"{Estimate.from_dict(errors[metric]):.4f}" for metric in METRICS]
        gain = Estimate.from_dict(record["minus_svd"][name]["rating_rmse"])
        rows.append([name, *cells, f"{gain:+.4f}"])
    title = f"{record['data']['name']}, leave-one-out, test, {record['cases']['test']:,} users"
    show_table(Table(title, ["rating", *METRICS, "rmse minus SVD's"], rows))
    chosen = ", ".join(f"{name} {value}" for name, value in record["svd"]["chosen"].items())
    text = f"SVD was chosen on validation: {chosen or 'the defaults'}"
    console().print(text, style="dim")


if __name__ == "__main__":
    main()
