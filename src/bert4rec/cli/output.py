"""What people see: tables in the terminal; and JSON for machines."""

from __future__ import annotations

import codecs
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rich.console import Console
from rich.table import Table

LOG_WIDTH = 120

Step = TypeVar("Step")


def console() -> Console:
    """stdout, as wide as the terminal, or as a log; brackets and colons in titles are text."""
    return Console(
        width=None if sys.stdout.isatty() else LOG_WIDTH, highlight=False, markup=False, emoji=False
    )


def show_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """A table; columns of numbers stand to the right."""
    table = Table(header_style="bold", box=None, pad_edge=False, show_header=any(columns))
    for place, column in enumerate(columns):
        numbers = all(isinstance(row[place], (int, float)) for row in rows) and bool(rows)
        table.add_column(column, justify="right" if numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*(_cell(value) for value in row))
    if title:
        console().print(title, style="italic")
    console().print(table)


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4f}" if isinstance(value, float) else str(value)


def show_json(document: Any) -> None:
    """One document on stdout, in letters that it can take."""
    takes_all = codecs.lookup(sys.stdout.encoding or "utf-8").name == "utf-8"
    print(json.dumps(document, ensure_ascii=not takes_all, indent=1))


def bar(
    steps: Iterator[Step], what: str, total: int, size: Callable[[Step], int] = lambda _: 1
) -> Iterator[Step]:
    """The steps as they come, with a bar on a terminal; each is `size` of the total."""
    from rich.progress import Progress

    screen = Console(stderr=True)
    with Progress(console=screen, transient=True, disable=not screen.is_terminal) as progress:
        task = progress.add_task(what, total=total)
        for step in steps:
            yield step
            progress.advance(task, size(step))


def notes(to_stderr: bool = False) -> Callable[[str], None]:
    """Where a command's running remarks go: to stdout, or out of the way of a JSON document.

    The work goes on where nobody reads them any more.
    """

    def say(line: str) -> None:
        stream = sys.stderr if to_stderr else sys.stdout
        try:
            print(line, file=stream, flush=True)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

    return say
