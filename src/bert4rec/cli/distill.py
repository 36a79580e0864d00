"""Trains a student on the scores of teachers (knowledge distillation), and compares them.

Any setting is a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.evaluation_output import ranking_table, show_protocol
from bert4rec.cli.flags import add_folders, run_config
from bert4rec.cli.output import notes, show_table
from bert4rec.cli.train import add_run_flags
from bert4rec.result_tables import Table

if TYPE_CHECKING:
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Split, Subset
    from bert4rec.evaluation.report import Report
    from bert4rec.retrieval.scorers import Scorer


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `distill`."""
    add_folders(
        parser,
        "teachers",
        "Model folders of the teachers; several teach the mean of their scores.",
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="Prepared folder, that of the teachers."
    )
    parser.add_argument("--output", type=Path, required=True, help="Model folder to write.")
    add_run_flags(parser, skip=["teacher"])


def run(args: Namespace) -> None:
    """Train the student and compare it with its teachers."""
    args.teacher = [str(folder) for folder in args.teachers]
    config = run_config(args)
    from bert4rec.artefact import load, load_for_dataset, scorer_of
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import make_split
    from bert4rec.training.train import is_first_process, train

    dataset = PreparedDataset.open(args.data)
    teachers = [load_for_dataset(folder, dataset) for folder in args.teachers]
    ensemble = scorer_of(teachers)  # those that cannot be compared with are refused before training
    train(dataset, config, args.output, resume=args.resume, overwrite=args.overwrite, log=notes())
    if not is_first_process():
        return
    scorers: list[Scorer] = [
        load(args.output).scorer(),
        *(teacher.scorer() for teacher in teachers),
    ]
    if len(teachers) > 1:
        ensemble.name = f"ensemble of {len(teachers)} teachers"
        scorers.append(ensemble)
    split = make_split(dataset, config.split)
    _show(
        _reports(scorers, dataset, split, "validation"), _reports(scorers, dataset, split, "test")
    )


def _reports(
    scorers: Sequence[Scorer],
    dataset: PreparedDataset,
    split: Split,
    subset: Subset,
) -> list[Report]:
    from bert4rec.evaluation.evaluate import evaluate

    return [evaluate(scorer, dataset, split, subset=subset) for scorer in scorers]


def _show(validation: Sequence[Report], test: Sequence[Report]) -> None:
    """Print validation metrics of all models, and the student's differences on test."""
    from bert4rec.evaluation.comparison import compare

    student, *others = test
    rows = []
    for report in others:
        comparison = compare(student, report)
        rows += [[report.name, *row] for row in comparison.table().rows]
    columns = [f"test, {student.name} minus", "metric", "difference", "p"]
    print()
    show_table(ranking_table("validation", validation))
    print()
    show_table(Table("", columns, rows, signed=True), margins=False)
    show_protocol(student.protocol)
