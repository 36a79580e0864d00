"""Two models, or two reports of 'bert4rec evaluate --output', on the same users: paired differences with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_data, add_json, add_switch
from bert4rec.cli.model_flags import open_models
from bert4rec.cli.output import console, show_json, show_table
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.evaluation.report import Comparison, Report

COLUMNS = ("metric", "difference", "95 % interval", "p")


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `compare`."""
    parser.add_argument("first", type=Path, help="A model folder or a report.")
    parser.add_argument("second", type=Path, help="A model folder or a report.")
    add_data(parser)
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
    if found.slices:
        print()
        show_table(
            "",
            ["part", "users", *found.difference],
            [_part_row(name, part, found.difference) for name, part in found.slices.items()],
        )
    console().print(protocol_line(found.protocol), style="dim")


def difference_rows(found: Comparison) -> list[list[object]]:
    """What stands in `COLUMNS`, a row for each metric."""
    return [
        [metric, difference, _interval(found.intervals[metric]), found.p_value[metric]]
        for metric, difference in found.difference.items()
    ]


def _part_row(name: str, part: Mapping[str, Any], metrics: Iterable[str]) -> list[object]:
    """A part of the users; a dash where it has no ratings to compare."""
    cells = [
        f"{part['difference'][metric]:+.4f} {_interval(part['intervals'][metric])}"
        if metric in part["difference"]
        else "–"
        for metric in metrics
    ]
    return [name, part["users"], *cells]


def _interval(edges: tuple[float, float]) -> str:
    return f"[{edges[0]:+.4f}, {edges[1]:+.4f}]"


def _report(path: Path, args: Namespace) -> Report:
    from bert4rec.artefact import is_model_folder
    from bert4rec.cli.evaluate import REPORT_FILE, data_of
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
