"""Raw files to typed tables: the only code that reads what others wrote. Text of any layout, and Parquet.

Files are scanned lazily and only the declared columns are kept, so a table need not fit in memory as text.
What cannot be used is named with file, row and field; what becomes of the tables is left to `prepare`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import polars as pl

from bert4rec.data.schema import EventTable, Format, SideTable
from bert4rec.errors import SourceError

ROW = "row"
YEAR_3000 = 32_503_680_000
"""Seconds; a time from here on is a mistake, or milliseconds."""
MOST_LEVELS = 20
"""More distinct ratings than this are no scale of levels."""

_TAB_FILES = {".tsv", ".inter", ".item", ".user"}


@dataclass(frozen=True)
class Events:
    """The events in the file's order: `user`, `item`, `time` (seconds) and `rating`, and what was left out."""

    frame: pl.DataFrame
    levels: Sequence[float]
    """The rating scale, ascending; empty without ratings."""
    has_times: bool
    columns: Mapping[str, str]
    """Where each column of the file went."""
    dropped: Mapping[str, int] = field(default_factory=dict)
    """Rows left out, by reason."""
    empty_ratings: int = 0


def scan(path: Path, layout: Format) -> pl.LazyFrame:
    """A file's rows with their number in `row`, counted from 0; text stays text, Parquet keeps its types."""
    if not path.is_file():
        raise SourceError("no such file", path)
    if path.suffix == ".parquet":
        return _guarded(path, lambda: pl.scan_parquet(path).with_row_index(ROW))
    text: Path | bytes = path
    separator = layout.separator or ("\t" if path.suffix in _TAB_FILES else ",")
    if len(separator) > 1 or layout.encoding.lower() not in ("utf-8", "utf8"):
        content = path.read_bytes().decode(layout.encoding)
        if len(separator) > 1:  # the unit separator of ASCII: no text contains it
            content, separator = content.replace(separator, "\x1f"), "\x1f"
        text = content.encode()
    if not (path.stat().st_size and text):
        raise SourceError("the file is empty", path)
    return _guarded(
        path,
        lambda: pl.scan_csv(
            text,
            separator=separator,
            has_header=not layout.header,
            quote_char='"' if layout.quoted else None,
            infer_schema=False,
            row_index_name=ROW,
        ),
        layout,
    )


def _guarded(path: Path, scanned: object, layout: Format | None = None) -> pl.LazyFrame:
    """The lazy frame, columns renamed to the declared header."""
    try:
        frame: pl.LazyFrame = scanned()  # type: ignore[operator]
        names = frame.collect_schema().names()[1:]
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as problem:
        raise _unreadable(path, problem, layout or Format()) from problem
    header = list(layout.header) if layout and layout.header else []
    if not header:  # RecBole's headers say the type after the name
        return frame.rename({name: name.partition(":")[0] for name in names if ":" in name})
    if len(names) < len(header):
        raise SourceError(f"{len(names)} fields where {len(header)} are expected ({', '.join(header)})", path, row=1)
    return frame.rename(dict(zip(names, header, strict=False)))


def _unreadable(path: Path, problem: Exception, layout: Format) -> SourceError:
    """What polars could not read, with the line found by looking."""
    if path.suffix == ".parquet":
        return SourceError("not a Parquet file, or truncated", path)
    if "utf" in str(problem).lower():
        with path.open("rb") as raw_lines:
            for number, raw_line in enumerate(raw_lines, 1):
                try:
                    raw_line.decode("utf-8")
                except UnicodeDecodeError:
                    return SourceError("not UTF-8; say its 'encoding' in the schema, or convert it", path, row=number)
    if "more fields" in str(problem):
        separator = layout.separator or ("\t" if path.suffix in _TAB_FILES else ",")
        with path.open(encoding=layout.encoding, errors="replace") as lines:
            expected = len(layout.header) or lines.readline().count(separator) + 1
            for number, line in enumerate(lines, 1 if layout.header else 2):
                if line.count(separator) + 1 > expected:
                    return SourceError(f"more than the {expected} fields of the header", path, row=number)
    return SourceError(" ".join(str(problem).split()), path)


def collect(frame: pl.LazyFrame, path: Path, layout: Format) -> pl.DataFrame:
    """The rows, read in pieces where the plan allows it."""
    try:
        return frame.collect(engine="streaming")
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as problem:
        raise _unreadable(path, problem, layout) from problem


def require_columns(frame: pl.LazyFrame, path: Path, wanted: Sequence[str]) -> list[str]:
    """The file's columns, once all that are wanted have been found among them."""
    names = [name for name in frame.collect_schema().names() if name != ROW]
    for name in wanted:
        if name not in names:
            raise SourceError(f"no such column; the file has {', '.join(names)}", path, field=name)
    return names


def read_events(folder: Path, table: EventTable, file_order: bool, drop: bool) -> Events:
    """The events of a table. `drop` leaves out rows that cannot be used, else the first of them is an error."""
    path = folder / table.file
    frame = scan(path, table.format)
    roles = {table.user: "user", table.item: "item"}
    if table.rating:
        roles[table.rating] = "rating"
    if table.time and not file_order:
        roles[table.time] = "time"
    names = require_columns(frame, path, [*roles, *([table.time] if table.time else [])])
    if not table.time and not file_order:
        raise SourceError("no column of times is declared; --file_order takes the order of the rows instead", path)
    raw = frame.select(ROW, **{role: pl.col(name) for name, role in roles.items()})
    typed = collect(_typed(raw, path, table.format), path, table.format)
    if not len(typed):
        raise SourceError("the table has no rows", path)
    problems = _problems(typed, table)
    dropped = _leave_out(typed, raw, problems, path, table, {role: name for name, role in roles.items()}, drop)
    bad = pl.any_horizontal(*problems.values())
    kept = typed.filter(~bad) if dropped else typed
    if not len(kept):
        raise SourceError("no row is left after the ones that cannot be used", path)
    used = {name: {"time": "event order and time"}.get(role, role) for name, role in roles.items()}
    return Events(
        kept,
        _levels(kept, table, path),
        "time" in typed.columns,
        {name: used.get(name, "not used: file order is" if name == table.time else "not used") for name in names},
        dropped,
        int(kept["rating"].is_null().sum()) if "rating" in kept.columns else 0,
    )


def _typed(raw: pl.LazyFrame, path: Path, layout: Format) -> pl.LazyFrame:
    """Ids as they are, whole numbers as integers; seconds as int64; ratings as floats. Null where that fails."""
    kinds = raw.collect_schema()
    columns = [pl.col(ROW), *(_id_column(raw, role, kinds[role], path, layout) for role in ("user", "item"))]
    if "time" in kinds:
        columns.append(_seconds(raw, kinds["time"], path, layout))
    if "rating" in kinds:
        columns.append(_stripped("rating", kinds["rating"]).cast(pl.Float64, strict=False))
        columns.append((_stripped("rating", kinds["rating"]).is_not_null()).alias("rating_given"))
    return raw.select(columns)


def _stripped(name: str, kind: pl.DataType) -> pl.Expr:
    """The column, with blank text as null."""
    if kind != pl.String:
        return pl.col(name)
    text = pl.col(name).str.strip_chars()
    return pl.when(text != "").then(text)


def _id_column(raw: pl.LazyFrame, role: str, kind: pl.DataType, path: Path, layout: Format) -> pl.Expr:
    if kind.is_integer():
        return pl.col(role).cast(pl.Int64)
    column = _stripped(role, pl.String()) if kind == pl.String else pl.col(role).cast(pl.String)
    number = column.cast(pl.Int64, strict=False)
    # Text ids that are whole numbers in their plain form are integers; '007' is text, and makes all of them text.
    plain = collect(raw.select((number.cast(pl.String) == column).fill_null(column.is_null()).all()), path, layout)
    return (number if plain.item() else column).alias(role)


def _seconds(raw: pl.LazyFrame, kind: pl.DataType, path: Path, layout: Format) -> pl.Expr:
    """Whole seconds since 1970, from seconds, milliseconds (told by their size) or dates."""
    column = _stripped("time", kind)
    if kind.is_temporal():
        return pl.col("time").cast(pl.Datetime("us")).dt.epoch("s").alias("time")
    number = column.cast(pl.Float64, strict=False)
    facts = collect(
        raw.select(
            smallest=number.filter(number >= 0).min(),
            numbers=number.is_not_null().sum(),
            given=column.is_not_null().sum(),
        ),
        path,
        layout,
    ).row(0, named=True)
    if facts["given"] and not facts["numbers"]:
        dates = column.str.to_datetime(strict=False, time_unit="us", ambiguous="null")
        return dates.dt.replace_time_zone(None).dt.epoch("s").alias("time")
    exact = pl.coalesce(column.cast(pl.Int64, strict=False), number.cast(pl.Int64, strict=False))
    milliseconds = facts["smallest"] is not None and facts["smallest"] >= 3 * YEAR_3000
    return (exact // 1000 if milliseconds else exact).alias("time")


def _problems(typed: pl.DataFrame, table: EventTable) -> dict[tuple[str, str], pl.Expr]:
    """What makes a row unusable: (role, what is wrong) to the rows it is true of."""
    problems = {(role, "missing"): pl.col(role).is_null() for role in ("user", "item")}
    if "time" in typed.columns:
        problems["time", "missing or not a time"] = pl.col("time").is_null()
        problems["time", "a time before 1970"] = pl.col("time") < 0
        problems["time", "a time in or after the year 3000; times are seconds, milliseconds or dates"] = (
            pl.col("time") >= YEAR_3000
        )
    if "rating" in typed.columns:
        problems["rating", "not a number"] = pl.col("rating_given") & ~pl.col("rating").is_finite().fill_null(False)
        if table.scale:
            scale = f"{min(table.scale):g} to {max(table.scale):g}"
            problems["rating", f"not on the scale ({scale})"] = ~pl.col("rating").is_in(list(table.scale))
    return {what: rows.fill_null(False) for what, rows in problems.items()}


def _leave_out(
    typed: pl.DataFrame,
    raw: pl.LazyFrame,
    problems: Mapping[tuple[str, str], pl.Expr],
    path: Path,
    table: EventTable,
    names: Mapping[str, str],
    drop: bool,
) -> dict[str, int]:
    """How many rows have each problem; without `drop` the first such row is an error."""
    first = typed.select(
        **{str(number): pl.col(ROW).filter(rows).first() for number, rows in enumerate(problems.values())}
    ).row(0)
    found = [(row, what) for row, what in zip(first, problems, strict=True) if row is not None]
    if found and not drop:
        row, (role, what) = min(found)
        raise _bad_row(raw, path, table.format, row, role, names[role], what)
    counts = typed.select(**{str(number): rows.sum() for number, rows in enumerate(problems.values())}).row(0)
    return {f"{names[role]}: {what}": count for (role, what), count in zip(problems, counts, strict=True) if count}


def _bad_row(raw: pl.LazyFrame, path: Path, layout: Format, row: int, role: str, name: str, what: str) -> SourceError:
    value = raw.filter(pl.col(ROW) == row).select(role).collect().item()
    line = row + 1 + (0 if layout.header or path.suffix == ".parquet" else 1)
    shown = "" if value is None else f"{str(value)!r} is "
    if value is None and path.suffix != ".parquet":
        what += _field_count(path, layout, line)
    return SourceError(f"{shown}{what}; correct it, or leave such rows out with --on_bad_rows drop", path, line, name)


def _field_count(path: Path, layout: Format, line: int) -> str:
    """How many fields a line has, where they are too few."""
    separator = layout.separator or ("\t" if path.suffix in _TAB_FILES else ",")
    with path.open(encoding=layout.encoding, errors="replace") as lines:
        text = list(islice(lines, line))
    expected = len(layout.header) or text[0].count(separator) + 1
    fields = text[-1].count(separator) + 1
    return f" (the row has {fields} of {expected} fields)" if fields < expected else ""


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


def read_side(folder: Path, table: SideTable) -> pl.DataFrame:
    """An item or user table as text, `row` first, `key` with its ids; an id that comes twice is an error."""
    path = folder / table.file
    frame = scan(path, table.format)
    wanted = [table.key, *([table.title] if table.title else []), *table.unused]
    wanted += [column for feature in table.features for column in feature.columns]
    require_columns(frame, path, wanted)
    kinds = frame.collect_schema()
    text = [_stripped(name, kinds[name]).cast(pl.String).alias(name) for name in dict.fromkeys(wanted)]
    rows = collect(frame.select(ROW, *text), path, table.format)
    line = 1 if table.format.header or path.suffix == ".parquet" else 2
    key = pl.col(table.key)
    for problem, what in ((key.is_null(), "missing"), (key.is_duplicated(), "appears twice")):
        bad = rows.filter(problem)
        if len(bad):
            which = f"{bad[table.key][0]!r} " if what == "appears twice" else ""
            raise SourceError(f"{which}{what}; each id has one row", path, int(bad[ROW][-1]) + line, table.key)
    return rows
