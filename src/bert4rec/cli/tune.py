"""Searches hyper-parameters: each trial is a run of its own, compared on validation only.

Any setting is a flag.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_run_settings, at_least_one, run_config
from bert4rec.cli.output import notes, show_table
from bert4rec.errors import DataError, UsageError
from bert4rec.result_tables import Cell, Table

if TYPE_CHECKING:
    from bert4rec.tuning.search import TrialResult

FIGURES = ("ndcg@10", "hit@10", "epochs", "seconds")


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `tune`."""
    parser.add_argument("--data", type=Path, required=True, help="Prepared folder.")
    parser.add_argument(
        "--space",
        type=Path,
        required=True,
        help="Search space: a YAML file of settings with a list, or low and high, each.",
    )
    parser.add_argument("--trials", type=int, default=20, help="Total number of trials.")
    parser.add_argument("--output", type=Path, required=True, help="Folder of the search.")
    parser.add_argument(
        "--resume", action="store_true", help="Continue a search, and its unfinished trial."
    )
    add_run_settings(parser)


def run(args: Namespace) -> None:
    """Search."""
    trials, config = at_least_one(args, "trials"), run_config(args)
    if find_spec("optuna") is None:
        raise UsageError("tune needs Optuna installed: pip install 'bert4rec[tune]'")
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.tuning.search import BEST_FILE, folder_of, tune
    from bert4rec.tuning.space import read_space

    space = read_space(args.space)
    found = tune(
        PreparedDataset.open(args.data),
        config,
        space,
        args.output,
        trials,
        resume=args.resume,
        log=notes(),
    )
    _show(found, list(space))
    if found[0].state != "complete":
        raise DataError(
            f"{args.output}: no trial has completed; the first one says: {found[0].reason}"
        )
    notes()(
        f"\nbest: {args.output / folder_of(found[0].number)}, settings: {args.output / BEST_FILE}"
    )


def _show(results: Sequence[TrialResult], settings: Sequence[str]) -> None:
    """Print one line a trial, the best first, then the reasons of failures."""
    from bert4rec.tuning.space import written

    columns = [name.removeprefix("task_weights.") for name in settings]
    rows: list[list[Cell]] = []
    for result in results:
        parameters = result.parameters
        values = [written(parameters[n]) if n in parameters else None for n in settings]
        figures = [_figure(result, name) for name in FIGURES]
        rows.append([result.number, *values, *figures, result.state])
    print()
    show_table(Table("trials, on validation", ["trial", *columns, *FIGURES, "state"], rows))
    for result in results:
        if result.reason:
            notes()(f"trial {result.number} failed: {result.reason}")


def _figure(result: TrialResult, name: str) -> Cell:
    """Figure of a trial; whole epochs and seconds."""
    if name not in result.figures:
        return None
    return round(result.figures[name]) if name in ("epochs", "seconds") else result.figures[name]
