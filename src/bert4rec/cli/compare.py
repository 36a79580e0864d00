"""Two models, or two reports of 'bert4rec evaluate --output', on the same users: paired differences with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_switch
from bert4rec.cli.output import console, show_json, show_table
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.evaluation.report import Comparison, Report

COLUMNS = ("metric", "difference", "95 % interval", "p")


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `compare`."""
    parser.add_argument("first", type=Path, help="A model folder or a report.")
    parser.add_argument("second", type=Path, help="A model folder or a report.")
    parser.add_argument("--data", type=Path, help="The prepared folder; default: the data stored with the models.")
    add_switch(parser, "request_time", True, "Whether models know when they are asked.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Compares."""
    from bert4rec.evaluation.report import compare, protocol_line

    found = compare(_report(args.first, args), _report(args.second, args))
    if args.json:
        show_json(found.to_dict())
        return
    show_table(f"{found.first} minus {found.second}", COLUMNS, difference_rows(found))
    console().print(protocol_line(found.protocol), style="dim")


def difference_rows(found: Comparison) -> list[list[object]]:
    """What stands in `COLUMNS`, a row for each metric."""
    return [
        [
            metric,
            difference,
            f"[{found.intervals[metric][0]:+.4f}, {found.intervals[metric][1]:+.4f}]",
            found.p_value[metric],
        ]
        for metric, difference in found.difference.items()
    ]


def _report(path: Path, args: Namespace) -> Report:
    from bert4rec.artefact import is_model_folder, load
    from bert4rec.cli.evaluate import REPORT_FILE, data_of
    from bert4rec.evaluation.evaluate import evaluate
    from bert4rec.evaluation.report import load_report

    if path.is_file():
        return load_report(path)
    if (path / REPORT_FILE).is_file() and not is_model_folder(path):
        names = ", ".join(sorted(report.name for report in path.glob("*.json")))
        raise UsageError(f"{path}: a folder of several reports; name one of them: {names}")
    model = load(path)
    dataset, split = data_of(model, args.data)
    return evaluate(model.scorer(), dataset, split, request_time=args.request_time)
