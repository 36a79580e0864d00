"""Raw files to typed tables: the only code that reads what others wrote. Text of any layout, and Parquet.

Files are scanned lazily and only the declared columns are kept, so a table need not fit in memory as text. What polars
cannot scan as it is, another encoding or a separator of several characters, is first converted, piece by piece.
What cannot be used is named with file, row and field; what becomes of the tables is left to `prepare`.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from bert4rec.errors import DataError, SourceError
from bert4rec.ids import YEAR_3000
from bert4rec.ingest.columns import NOT_A_TIME, ROW, as_text, ids, rating, seconds
from bert4rec.ingest.schema import EventTable, Format, SideTable
from bert4rec.ingest.text_lines import (
    is_utf8,
    line_of,
    one_character,
    separator_of,
    short_rows,
    unreadable,
)

MOST_LEVELS = 20
"""More distinct ratings than this are no scale of levels."""

PIECE = 2**22
"""Characters that are converted at once."""


@dataclass(frozen=True)
class Events:
    """The events in the file's order: `row`, `user`, `item`, `time` (seconds), `rating`, and what was left out."""

    frame: pl.DataFrame
    levels: Sequence[float]
    """The rating scale, ascending; empty without ratings."""
    has_times: bool
    columns: Mapping[str, str]
    """Where each column of the file went."""
    rows: int
    """Rows of the file, blank ones left out."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows left out, by reason."""


def scan(path: Path, layout: Format, scratch: Path) -> pl.LazyFrame:
    """A file's rows with their number in `row`, counted from 0; text stays text, Parquet keeps its types.

    What has to be converted first is kept in the folder `scratch`, which must outlive the frame.
    """
    if not path.is_file():
        raise SourceError("no such file", path)
    if not path.stat().st_size:
        raise SourceError("the file is empty", path)
    if path.suffix == ".parquet":
        frame = _guarded(path, layout, lambda: pl.scan_parquet(path).with_row_index(ROW))
    else:
        frame = _guarded(path, layout, lambda: _scan_text(path, layout, scratch))
    names = [name for name in frame.collect_schema().names() if name != ROW]
    if not layout.header:  # RecBole's headers say the type after the name
        return frame.rename({name: name.partition(":")[0] for name in names if ":" in name})
    if len(names) < len(layout.header):
        expected = f"{len(layout.header)} are expected ({', '.join(layout.header)})"
        raise SourceError(f"{len(names)} fields where {expected}", path, row=1)
    return frame.rename(dict(zip(names, layout.header, strict=False)))


def _scan_text(path: Path, layout: Format, scratch: Path) -> pl.LazyFrame:
    separator = separator_of(path, layout)
    as_it_is = len(separator) == 1 and is_utf8(layout)
    return pl.scan_csv(
        path if as_it_is else _converted(path, layout, scratch),
        separator=one_character("", separator)[1],
        has_header=not layout.header,
        quote_char='"' if layout.quoted else None,
        infer_schema=False,
        row_index_name=ROW,
    )


def _converted(path: Path, layout: Format, scratch: Path) -> Path:
    """The same text in UTF-8 with a separator of one character, as a file in `scratch`."""
    separator = separator_of(path, layout)
    try:
        with (
            path.open(encoding=layout.encoding, newline="") as text,
            tempfile.NamedTemporaryFile("wb", dir=scratch, suffix=".csv", delete=False) as out,
        ):
            # A piece ends where a line does, so that no separator is cut in two.
            while piece := text.read(PIECE) + text.readline():
                out.write(one_character(piece, separator)[0].encode())
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be converted in {scratch} ({problem.strerror or problem})"
        ) from problem
    return Path(out.name)


def _guarded(path: Path, layout: Format, scanned: Callable[[], pl.LazyFrame]) -> pl.LazyFrame:
    """The lazy frame, its schema read."""
    try:
        frame = scanned()
        frame.collect_schema()
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as problem:
        raise unreadable(path, problem, layout) from problem
    return frame


def _require_columns(frame: pl.LazyFrame, path: Path, wanted: Sequence[str]) -> list[str]:
    """The file's columns, once all that are wanted have been found among them."""
    names = [name for name in frame.collect_schema().names() if name != ROW]
    for name in wanted:
        if name not in names:
            shown = ", ".join(name if name.isprintable() else "?" for name in names[:20])
            raise SourceError(f"no such column; the file has {shown}", path, field=name)
    return names


def read_events(
    folder: Path, table: EventTable, scratch: Path, file_order: bool, drop: bool
) -> Events:
    """The events of a table. `drop` leaves out rows that cannot be used, else the first of them is an error."""
    path = folder / table.file
    frame = scan(path, table.format, scratch)
    columns = {"user": table.user, "item": table.item, "rating": table.rating, "time": table.time}
    given = {role: name for role, name in columns.items() if name}
    names = _require_columns(frame, path, [*given.values(), *table.unused])
    if not table.time and not file_order:
        raise SourceError(
            "no column of times is declared; --file_order takes the order of the rows instead", path
        )
    use = dict.fromkeys(names, "not used") | {name: _USES[role] for role, name in given.items()}
    if table.time and file_order:
        use[given.pop("time")] = "not used: file order is"
    raw = frame.select(ROW, **{role: pl.col(name) for role, name in given.items()})
    try:
        typed = _typed(raw, path, given).collect(engine="streaming").sort(ROW)
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, table.format) from problem
    kept, rows, dropped = _usable(typed, raw, path, table, given, drop)
    return Events(kept, _levels(kept, table, path), "time" in given, use, rows, dropped)


_USES = {"user": "user", "item": "item", "rating": "rating", "time": "event order and time"}


def _typed(raw: pl.LazyFrame, path: Path, given: Mapping[str, str]) -> pl.LazyFrame:
    kinds = raw.collect_schema()
    of_text = path.suffix != ".parquet"
    columns = [pl.col(ROW), *(ids(raw, role, kinds[role], of_text) for role in ("user", "item"))]
    if "time" in given:
        columns.append(seconds(raw, kinds["time"], path, given["time"]))
    if "rating" in given:
        columns += rating(kinds["rating"])
    blank = pl.all_horizontal(pl.col(role).is_null() for role in given)
    return raw.select(*columns, blank=blank)


def _usable(
    typed: pl.DataFrame,
    raw: pl.LazyFrame,
    path: Path,
    table: EventTable,
    given: Mapping[str, str],
    drop: bool,
) -> tuple[pl.DataFrame, int, dict[str, int]]:
    """The rows that can be used, how many there were, and how many are left out for which reason."""
    short = _short(typed, path, table.format)
    blank = int(typed["blank"].sum())
    typed = typed.filter(~pl.col("blank")).drop("blank")
    if not len(typed):
        raise SourceError("the table has no rows", path)
    problems = _problems(typed, table, short)
    counts = typed.select(
        **{str(number): rows.sum() for number, rows in enumerate(problems.values())}
    ).row(0)
    if any(counts) and not drop:
        raise _first_problem(typed, raw, problems, path, table.format, given)
    kept = typed.filter(~pl.any_horizontal(*problems.values())) if any(counts) else typed
    if not len(kept):
        raise SourceError("no row is left after the ones that cannot be used", path)
    dropped = {
        f"{given[role]}: {what}": count
        for (role, what), count in zip(problems, counts, strict=True)
        if count
    }
    return (
        kept.drop("rating_given", strict=False),
        len(typed),
        dropped | ({"blank": blank} if blank else {}),
    )


def _short(typed: pl.DataFrame, path: Path, layout: Format) -> list[int]:
    """Rows that end before their rating. (A missing time or id is noticed by itself.)"""
    if (
        "rating" not in typed.columns
        or path.suffix == ".parquet"
        or not typed["rating"].null_count()
    ):
        return []
    return short_rows(path, layout, len(typed))


def _problems(
    typed: pl.DataFrame, table: EventTable, short: Sequence[int]
) -> dict[tuple[str, str], pl.Expr]:
    """What makes a row unusable: (role, what is wrong) to the rows it is true of."""
    problems = {(role, "missing"): pl.col(role).is_null() for role in ("user", "item")}
    if "time" in typed.columns:
        problems["time", NOT_A_TIME] = pl.col("time").is_null()
        problems["time", "a time before 1970"] = pl.col("time") < 0
        late = "a time in or after the year 3000; times are seconds, milliseconds or dates"
        problems["time", late] = pl.col("time") >= YEAR_3000
    if "rating" in typed.columns:
        problems["rating", "not a number"] = pl.col("rating_given") & ~pl.col(
            "rating"
        ).is_finite().fill_null(False)
        if short:
            problems["rating", "missing"] = pl.col("rating").is_null() & pl.col(ROW).is_in(
                list(short)
            )
        if table.scale:
            scale = [float(level) for level in table.scale]
            problems["rating", f"not on the scale ({min(scale):g} to {max(scale):g})"] = ~pl.col(
                "rating"
            ).is_in(scale)
    return {what: rows.fill_null(False) for what, rows in problems.items()}


def _first_problem(
    typed: pl.DataFrame,
    raw: pl.LazyFrame,
    problems: Mapping[tuple[str, str], pl.Expr],
    path: Path,
    layout: Format,
    given: Mapping[str, str],
) -> SourceError:
    first = typed.select(
        **{
            str(number): pl.col(ROW).filter(rows).first()
            for number, rows in enumerate(problems.values())
        }
    ).row(0)
    row, (role, what) = min(
        (row, what) for row, what in zip(first, problems, strict=True) if row is not None
    )
    value = raw.filter(pl.col(ROW) == row).select(role).collect().item()
    line, remark = line_of(path, layout, row)
    shown = (
        f"missing{remark}"
        if value is None
        else f"{str(value)!r} is {what.removeprefix('missing or ')}"
    )
    return SourceError(
        f"{shown}; correct it, or leave such rows out with --on_bad_rows drop",
        path,
        line,
        given[role],
    )


def _levels(events: pl.DataFrame, table: EventTable, path: Path) -> list[float]:
    if table.scale:
        return sorted(float(level) for level in table.scale)
    if "rating" not in events.columns:
        return []
    levels = sorted(events["rating"].drop_nulls().unique().to_list())
    if len(levels) > MOST_LEVELS:
        raise SourceError(
            f"{len(levels)} distinct ratings are no scale; declare 'scale' in the schema or leave 'rating' out",
            path,
            field=table.rating,
        )
    return levels


@dataclass(frozen=True)
class Side:
    """An item or user table as text: `row`, the key and all declared columns; and what the file has besides."""

    frame: pl.DataFrame
    other_columns: Sequence[str]


def read_side(folder: Path, table: SideTable, scratch: Path) -> Side:
    """An item or user table; an id that is missing or comes twice is an error."""
    path = folder / table.file
    frame = scan(path, table.format, scratch)
    wanted = list(
        dict.fromkeys([table.key, *([table.title] if table.title else []), *table.feature_columns])
    )
    names = _require_columns(frame, path, [*wanted, *table.unused])
    kinds = frame.collect_schema()
    separators = {
        column: feature.separator for feature in table.features for column in feature.columns
    }
    text = [as_text(name, kinds[name], separators.get(name, "|")) for name in wanted]
    try:
        rows = frame.select(ROW, *text).collect(engine="streaming").sort(ROW)
    except pl.exceptions.PolarsError as problem:
        raise unreadable(path, problem, table.format) from problem
    rows = rows.filter(~pl.all_horizontal(pl.col(name).is_null() for name in wanted))
    key = pl.col(table.key)
    nameless, repeated = rows.filter(key.is_null()), rows.filter(~key.is_first_distinct())
    if len(nameless):
        line, remark = line_of(path, table.format, nameless[ROW][0])
        raise SourceError(f"missing{remark}; each row needs an id", path, line, table.key)
    if len(repeated):
        line, _ = line_of(path, table.format, repeated[ROW][0])
        raise SourceError(
            f"{repeated[table.key][0]!r} appears again; each id has one row", path, line, table.key
        )
    return Side(rows, [name for name in names if name not in wanted and name not in table.unused])
