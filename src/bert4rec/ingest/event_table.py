"""Event tables to typed events, and the rows that cannot be used.

An unusable row is an error that names file, row and field, or is dropped and counted. Cleaning is
left to `cleaning`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ids import YEAR_3000
from bert4rec.ingest.event_times import FRACTION, OTHER_UNIT, times
from bert4rec.ingest.file_types import is_parquet
from bert4rec.ingest.raw_tables import column_names, require_columns, scan_table
from bert4rec.ingest.schema import EventTable
from bert4rec.ingest.source import Source
from bert4rec.ingest.text_errors import line_of, short_rows, unreadable
from bert4rec.ingest.typed_columns import NOT_A_TIME, ROW, ids, ratings

MOST_LEVELS = 20
"""Most distinct ratings that count as a rating scale."""

_USES = {"user": "user", "item": "item", "rating": "rating", "time": "event order and time"}


@dataclass(frozen=True)
class Events:
    """Events in the file's order."""

    frame: pl.DataFrame
    """Columns `ROW`, `user` and `item`, and if declared `time` (seconds) and `rating`.

    `fraction` (nanoseconds) is there if a time is not a whole second.
    """
    levels: Sequence[float]
    """Rating scale in ascending order; empty without ratings."""
    has_times: bool
    uses: Mapping[str, str]
    """Use of each column of the file."""
    rows: int
    """Rows of the file, without blank ones."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Dropped rows by reason."""


class Problem(NamedTuple):
    """A way in which a row can be unusable."""

    role: str
    what: str
    rows: pl.Expr
    """True for the affected rows."""


def read_events(source: Source, file_order: bool, drop: bool) -> Events:
    """Events of a source.

    Args:
        source: Files and schema.
        file_order: Take the order of the rows, and no times.
        drop: Drop unusable rows; otherwise the first one is an error.

    Raises:
        SourceError: A file, column or row that cannot be used.
    """
    table = source.schema.events
    path = source.path_of(table)
    frame = scan_table(path, table.format, source.scratch)
    columns = table.roles
    require_columns(frame, path, [*columns.values(), *table.unused])
    if not table.time and not file_order:
        raise SourceError(
            "no column of times is declared; --file_order takes the order of the rows instead", path
        )
    uses = dict.fromkeys(column_names(frame), "not used")
    uses |= {column: _USES[role] for role, column in columns.items()}
    if table.time and file_order:
        uses[columns.pop("time")] = "not used: file order is"
    raw = frame.select(ROW, **{role: pl.col(column) for role, column in columns.items()})
    try:
        typed = _typed(raw, path, columns, table).collect(engine="streaming").sort(ROW)
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, table.format) from problem
    kept, rows, dropped = _usable(typed, raw, path, table, drop)
    return Events(kept, _levels(kept, table, path), "time" in columns, uses, rows, dropped)


def _usable(
    typed: pl.DataFrame, raw: pl.LazyFrame, path: Path, table: EventTable, drop: bool
) -> tuple[pl.DataFrame, int, dict[str, int]]:
    """Usable rows, the number of all rows that are not blank, and the dropped ones by reason."""
    problems = _problems(typed, table, path)
    blank = int(typed["blank"].sum())
    typed = typed.filter(~pl.col("blank")).drop("blank")
    if not len(typed):
        raise SourceError("the table has no rows", path)
    counts = _counts(typed, problems)
    if any(counts) and not drop:
        raise _first_problem(typed, raw, problems, path, table)
    kept = typed
    if any(counts):
        kept = typed.filter(~pl.any_horizontal(problem.rows for problem in problems))
    if not len(kept):
        raise SourceError("no row is left after the ones that cannot be used", path)
    dropped = {
        f"{table.roles[problem.role]}: {problem.what}": count
        for problem, count in zip(problems, counts, strict=True)
        if count
    }
    if blank:
        dropped["blank"] = blank
    return _tidy(kept), len(typed), dropped


def _tidy(kept: pl.DataFrame) -> pl.DataFrame:
    """Events without the columns that were only there to find unusable rows."""
    has_fraction = FRACTION in kept.columns and bool((kept[FRACTION] != 0).any())
    unneeded = ["rating_given", OTHER_UNIT]
    return kept.drop(unneeded if has_fraction else [*unneeded, FRACTION], strict=False)


def _typed(
    raw: pl.LazyFrame, path: Path, columns: Mapping[str, str], table: EventTable
) -> pl.LazyFrame:
    """Typed columns by role, and `blank`: true for rows without any value."""
    kinds = raw.collect_schema()
    is_text_file = not is_parquet(path)
    typed = [pl.col(ROW)]
    typed += [ids(raw, role, kinds[role], is_text_file) for role in ("user", "item")]
    if "time" in columns:
        typed += times(raw, kinds["time"], table, path)
    if "rating" in columns:
        typed += ratings(kinds["rating"], table.format)
    blank = pl.all_horizontal(pl.col(role).is_null() for role in columns)
    return raw.select(*typed, blank=blank)


def _problems(typed: pl.DataFrame, table: EventTable, path: Path) -> list[Problem]:
    """All ways in which a row of the table can be unusable."""
    problems = [Problem(role, "missing", pl.col(role).is_null()) for role in ("user", "item")]
    if "time" in typed.columns:
        time = pl.col("time")
        if OTHER_UNIT in typed.columns:
            other = "too small for the unit of most times (say time_unit if it is not)"
            problems.append(Problem("time", other, pl.col(OTHER_UNIT)))
        late = "a time in or after the year 3000; times are seconds, milliseconds or dates"
        problems.append(Problem("time", NOT_A_TIME, time.is_null()))
        problems.append(Problem("time", "a time before 1970", time < 0))
        problems.append(Problem("time", late, time >= YEAR_3000))
    if "rating" in typed.columns:
        problems += _rating_problems(typed, table, path)
    return [problem._replace(rows=problem.rows.fill_null(False)) for problem in problems]


def _rating_problems(typed: pl.DataFrame, table: EventTable, path: Path) -> list[Problem]:
    rating = pl.col("rating")
    is_number = rating.is_finite().fill_null(False)
    problems = [Problem("rating", "not a number", pl.col("rating_given") & ~is_number)]
    # A missing time or id is noticed by itself; a row that ends before its rating is not.
    if not is_parquet(path) and typed["rating"].null_count():
        short = short_rows(path, table.format, len(typed))
        if short:
            is_cut_off = rating.is_null() & pl.col(ROW).is_in(short)
            problems.append(Problem("rating", "missing", is_cut_off))
    if table.scale:
        scale = [float(level) for level in table.scale]
        what = f"not on the scale ({min(scale):g} to {max(scale):g})"
        problems.append(Problem("rating", what, ~rating.is_in(scale)))
    return problems


def _counts(typed: pl.DataFrame, problems: Sequence[Problem]) -> list[int]:
    """Affected rows of each problem."""
    sums = [problem.rows.sum().alias(str(number)) for number, problem in enumerate(problems)]
    return list(typed.select(sums).row(0))


def _first_problem(
    typed: pl.DataFrame,
    raw: pl.LazyFrame,
    problems: Sequence[Problem],
    path: Path,
    table: EventTable,
) -> SourceError:
    """Error about the first unusable row of the file."""
    firsts = [
        pl.col(ROW).filter(problem.rows).first().alias(str(number))
        for number, problem in enumerate(problems)
    ]
    first_rows = typed.select(firsts).row(0)
    row, role, what = min(
        (row, problem.role, problem.what)
        for row, problem in zip(first_rows, problems, strict=True)
        if row is not None
    )
    value = raw.filter(pl.col(ROW) == row).select(role).collect().item()
    line, remark = line_of(path, table.format, row)
    if value is None:
        shown = f"missing{remark}"
    else:
        # NOT_A_TIME covers both cases; of a value that is there only the second is said.
        shown = f"{str(value)!r} is {what.removeprefix('missing or ')}"
    advice = "correct it, or leave such rows out with --on_bad_rows drop"
    return SourceError(f"{shown}; {advice}", path, line, table.roles[role])


def _levels(events: pl.DataFrame, table: EventTable, path: Path) -> list[float]:
    """Rating scale: the declared one, else the distinct ratings."""
    if table.scale:
        return sorted(float(level) for level in table.scale)
    if "rating" not in events.columns:
        return []
    levels = sorted(events["rating"].drop_nulls().unique().to_list())
    if len(levels) > MOST_LEVELS:
        raise SourceError(
            f"{len(levels)} distinct ratings are no scale; "
            "declare 'scale' in the schema or leave 'rating' out",
            path,
            field=table.rating,
        )
    return levels
