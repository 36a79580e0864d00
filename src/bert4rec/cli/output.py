"""Output of the commands: tables on a terminal, JSON for machines, progress bars and remarks."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import rich.table
from rich.console import Console

from bert4rec.log import Log
from bert4rec.result_tables import Estimate, Table
from bert4rec.shown_text import shown, shown_lines

LOG_WIDTH = 120
MOST_ESTIMATES = 4
"""Estimates with four digits that fit into a line of a log; more of them have three."""

Step = TypeVar("Step")


def console() -> Console:
    """Console on stdout, as wide as the terminal or a log; brackets and colons are plain text."""
    width = None if sys.stdout.isatty() else LOG_WIDTH
    return Console(width=width, highlight=False, markup=False, emoji=False)


def show_tables(tables: Iterable[Table], margins: bool = True) -> None:
    """Print tables with an empty line before each but the first."""
    for number, table in enumerate(tables):
        if number:
            print()
        show_table(table, margins)


def show_table(table: Table, margins: bool = True) -> None:
    """Print a table; columns of numbers are aligned to the right.

    Estimates show their margin, or with `margins=False` their whole interval.
    """
    grid = rich.table.Table(
        header_style="bold", box=None, pad_edge=False, show_header=any(table.columns)
    )
    for position, column in enumerate(table.columns):
        justify = "right" if _is_numeric(table, position) else "left"
        grid.add_column(shown(column), justify=justify, overflow="fold")  # type: ignore[arg-type]
    digits = 4 if _most_estimates(table) <= MOST_ESTIMATES else 3
    for row in table.texts(digits, margins):
        grid.add_row(*row)
    screen = console()
    if table.title:
        screen.print(shown_lines(table.title), style="italic")
    screen.print(grid)
    if table.note:
        show_note(table.note)


def _is_numeric(table: Table, position: int) -> bool:
    cells = [row[position] for row in table.rows if row[position] is not None]
    return bool(cells) and all(isinstance(cell, int | float | Estimate) for cell in cells)


def _most_estimates(table: Table) -> int:
    """Largest number of estimates in a row."""
    return max(map(_estimates, table.rows), default=0)


def _estimates(row: Sequence[object]) -> int:
    return sum(isinstance(cell, Estimate) for cell in row)


def show_note(text: str) -> None:
    """Print a dim paragraph below a table."""
    console().print(f"\n{shown_lines(text)}", style="dim")


def show_json(document: Any) -> None:
    """Print one JSON document on stdout, escaping letters that stdout cannot encode."""
    takes_all = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(json.dumps(document, ensure_ascii=not takes_all, indent=1))


def bar(
    steps: Iterator[Step], label: str, total: int, size: Callable[[Step], int] = lambda _: 1
) -> Iterator[Step]:
    """Steps as they come, with a progress bar on a terminal; each is `size` of the total."""
    from rich.progress import Progress

    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(shown(label), total=total)
        for step in steps:
            yield step
            progress.advance(task, size(step))


def show_warnings(warnings: Iterable[str]) -> None:
    """Print remarks on what was left out, on stderr."""
    say = notes(to_stderr=True)
    for warning in warnings:
        say(f"bert4rec: warning: {warning}")


def notes(to_stderr: bool = False) -> Log:
    """Function that prints a command's remarks: to stdout, or away from a JSON document.

    The command goes on where nobody reads the remarks any more.
    """

    def say(line: str) -> None:
        stream = sys.stderr if to_stderr else sys.stdout
        try:
            print(shown_lines(line), file=stream, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return say
