"""Compares two models, or two reports of 'bert4rec evaluate --output', user by user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.evaluation_output import REPORT_FILE
from bert4rec.cli.flags import add_data, add_json, add_switch
from bert4rec.cli.model_flags import open_models
from bert4rec.cli.output import show_json, show_note, show_table
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.evaluation.report import Report


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `compare`."""
    parser.add_argument("first", type=Path, help="A model folder or a report.")
    parser.add_argument("second", type=Path, help="A model folder or a report.")
    add_data(parser)
    add_switch(parser, "request_time", True, "Whether models know the time of the request.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Compare and print."""
    from bert4rec.evaluation.comparison import compare
    from bert4rec.evaluation.protocol import protocol_line

    comparison = compare(_report(args.first, args), _report(args.second, args))
    if args.json:
        show_json(comparison.to_dict())
        return
    show_table(comparison.table(), margins=False)
    if comparison.slices:
        print()
        show_table(comparison.slice_table(), margins=False)
    show_note(protocol_line(comparison.protocol))


def _report(path: Path, args: Namespace) -> Report:
    """Report of a file, or of a model that is evaluated now."""
    from bert4rec.artefact import is_model_folder
    from bert4rec.cli.model_flags import data_of
    from bert4rec.evaluation.evaluate import evaluate
    from bert4rec.evaluation.report import load_report

    if path.is_file():
        return load_report(path)
    if (path / REPORT_FILE).is_file() and not is_model_folder(path):
        names = ", ".join(sorted(report.name for report in path.glob("*.json")))
        raise UsageError(f"{path}: a folder of several reports; name one of them: {names}")
    (model,) = open_models([path], args.data, args.data_dir)
    dataset, split = data_of(model)
    return evaluate(model.scorer(), dataset, split, request_time=args.request_time)
