"""Copies a model folder without its data: weights, settings and results, to pass on.

Histories, ids, titles and feature tables stay behind. To use a published model, name the data it
was trained on with `--data` or `--data_dir`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data
from bert4rec.cli.model_flags import data_of, open_models
from bert4rec.cli.output import notes
from bert4rec.config import RunConfig
from bert4rec.errors import ArtefactError, UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Split, Subset


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `publish`."""
    parser.add_argument("--model", type=Path, required=True, help="The model folder.")
    parser.add_argument("--output", type=Path, required=True, help="The folder to write.")
    parser.add_argument("--name", help="The model's name on its card; default: the output's name.")
    parser.add_argument("--note", type=Path, help="A text file on the data, for the card.")
    parser.add_argument(
        "--half",
        action="store_true",
        help="Store weights in 16 bits, in half the space, and evaluate the model again.",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace a published model at --output."
    )
    add_data(parser)


def run(args: Namespace) -> None:
    """Write the published folder and print its size."""
    note = _text(args.note) if args.note else ""
    from bert4rec.artefact import TRAINING_FILE, round_to_half_precision, save
    from bert4rec.training.model_card import model_card

    _check_output(args.output, args.overwrite)
    (model,) = open_models([args.model], args.data, args.data_dir)
    dataset, split = data_of(model)
    training = json.loads(_text(args.model / TRAINING_FILE))
    run_config = _without_paths(model.config)
    metrics = model.metrics
    if args.half:
        round_to_half_precision(model.network)
        metrics = _evaluated_again(model, dataset, split)
    name = args.name or args.output.name
    manifest = dataset.manifest
    card = model_card(name, run_config, manifest, metrics, training, note=note, with_data=False)
    save(
        args.output,
        model.network,
        run_config,
        dataset,
        split,
        metrics=metrics,
        training=training,
        card=card,
        with_data=False,
        half=args.half,
    )
    size = sum(path.stat().st_size for path in args.output.iterdir()) / 2**20
    notes()(
        f"published: {args.output}, {size:.1f} MiB; "
        f"of {dataset.name} it holds counts and checksums alone"
    )


def _check_output(output: Path, overwrite: bool) -> None:
    """Raises UsageError where the output would replace something that was not published."""
    from bert4rec.artefact import is_published

    if not output.exists() or not any(output.iterdir()):
        return
    if not overwrite:
        raise UsageError(f"{output}: is not empty; --overwrite replaces what was published there")
    if not is_published(output):
        raise UsageError(
            f"{output}: holds something that was not published; choose another --output"
        )


def _evaluated_again(model: Artefact, dataset: PreparedDataset, split: Split) -> dict[str, Any]:
    """Metrics of the rounded weights, on the subsets that the model's metrics hold."""
    from bert4rec.evaluation.evaluate import evaluate_by_request_time
    from bert4rec.evaluation.report import stored_metrics

    subsets: tuple[Subset, ...] = ("validation", "test")
    scorer = model.scorer()
    reports = {
        subset: evaluate_by_request_time(scorer, dataset, split, subset)
        for subset in subsets
        if f"{subset}_request_time_off" in model.metrics
    }
    return stored_metrics(reports)


def _without_paths(config: RunConfig) -> RunConfig:
    """Settings with folder names in place of paths, which may tell of people and machines."""
    training = config.training
    teacher = tuple(_folder_name(folder) for folder in training.teacher)
    warm_start_from = training.warm_start_from and _folder_name(training.warm_start_from)
    training = replace(training, teacher=teacher, warm_start_from=warm_start_from)
    return replace(config, training=training)


def _folder_name(folder: str) -> str:
    return Path(folder).resolve().name


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise ArtefactError(f"{path}: cannot be read ({problem})") from problem
