"""A copy of a model folder that holds nothing of the data: weights, settings and results, to pass on.

Histories, ids, titles and feature tables stay at home; whoever has the data names it when asking the model.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data
from bert4rec.cli.model_flags import open_models
from bert4rec.config import RunConfig
from bert4rec.errors import ArtefactError, UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Split, Subset


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `publish`."""
    parser.add_argument("--model", type=Path, required=True, help="The model folder.")
    parser.add_argument("--output", type=Path, required=True, help="The folder to make.")
    parser.add_argument("--name", help="What the card calls the model; default: the output's name.")
    parser.add_argument("--note", type=Path, help="A text file on the data, for the card.")
    parser.add_argument(
        "--half",
        action="store_true",
        help="Store weights in 16 bits, in half the space, and evaluate the model again.",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace what was published there."
    )
    add_data(parser)


def run(args: Namespace) -> None:
    """Publishes."""
    note = _text(args.note) if args.note else ""
    from bert4rec.artefact import TRAINING_FILE, is_published, round_to_half_precision, save
    from bert4rec.cli.evaluate import data_of
    from bert4rec.training.model_card import model_card

    if args.output.exists() and any(args.output.iterdir()):
        if not args.overwrite:
            raise UsageError(
                f"{args.output}: is not empty; --overwrite replaces what was published there"
            )
        if not is_published(args.output):
            raise UsageError(
                f"{args.output}: holds something that was not published; choose another --output"
            )
    (model,) = open_models([args.model], args.data, args.data_dir)
    dataset, split = data_of(model)
    figures = json.loads(_text(args.model / TRAINING_FILE))
    name, run = args.name or args.output.name, _without_paths(model.run)
    if args.half:
        round_to_half_precision(model.network)
        model = replace(model, metrics=_reached(model, dataset, split))
    card = model_card(
        name, run, dataset.manifest, model.metrics, figures, note=note, with_data=False
    )
    save(
        args.output,
        model.network,
        run,
        dataset,
        split,
        metrics=model.metrics,
        training=figures,
        card=card,
        with_data=False,
        half=args.half,
    )
    size = sum(path.stat().st_size for path in args.output.iterdir()) / 2**20
    print(
        f"published: {args.output}, {size:.1f} MiB, nothing of {dataset.name} in it but counts and fingerprints"
    )


def _reached(model: Artefact, dataset: PreparedDataset, split: Split) -> dict[str, Any]:
    """What the model was asked before, asked again."""
    from bert4rec.evaluation.evaluate import evaluate_rows

    scorer = model.scorer()
    both: tuple[Subset, ...] = ("validation", "test")
    return {
        f"{subset}_{row}": report.to_dict()
        for subset in both
        if any(name.startswith(subset) for name in model.metrics)
        for row, report in evaluate_rows(scorer, dataset, split, subset).items()
    }


def _without_paths(run: RunConfig) -> RunConfig:
    """The models that a run read by the names of their folders: where those lay is nobody else's business."""
    training = run.training
    teacher = tuple(Path(folder).resolve().name for folder in training.teacher)
    warm_start_from = (
        Path(training.warm_start_from).resolve().name if training.warm_start_from else ""
    )
    return replace(
        run, training=replace(training, teacher=teacher, warm_start_from=warm_start_from)
    )


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as problem:
        raise ArtefactError(f"{path}: cannot be read ({problem})") from problem
