"""Lines and fields of errors in text files, found by reading a file again after a failure."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.file_types import is_parquet, open_bytes
from bert4rec.ingest.quotes import LONGEST_FIELD
from bert4rec.ingest.schema import Format
from bert4rec.ingest.separators import UNIT_SEPARATOR, single_character, with_single_character


def unreadable(path: Path, problem: Exception, layout: Format) -> SourceError:
    """Error for a file that could not be read, as one line with its line and the remedy."""
    text = " ".join(str(problem).split())
    if is_parquet(path):
        return SourceError("not a Parquet file, or truncated", path)
    if "utf" in text.lower() or isinstance(problem, UnicodeDecodeError):
        reason = f"not {layout.encoding.upper()}; say its 'encoding' in the schema, or convert it"
        return SourceError(reason, path, row=_first_undecodable_line(path, layout))
    if "more fields" in text:
        reason = f"more than the {_field_count(path, layout)} fields of the header"
        return SourceError(reason, path, row=_first_long_line(path, layout))
    if "malformed" in text or "properly escaped" in text:  # polars before 1.36 says the latter
        *_, (line, _) = _records(path, layout)
        reason = "a double quote is never closed; if quotes are text, say 'quoted: false'"
        return SourceError(reason, path, row=line)
    return SourceError(text, path)


def line_of(path: Path, layout: Format, row: int) -> tuple[int, str]:
    """Line of a data row (from 0) in an editor, and a remark if the row has too few fields."""
    if is_parquet(path):
        return row + 1, ""
    number = row if layout.header else row + 1
    expected = _field_count(path, layout)
    record = next(islice(_records(path, layout), number, None), None)
    if record is None:
        return row + 1, ""
    line, fields = record
    is_short = len(fields) < expected
    return line, f" (the row has {len(fields)} of {expected} fields)" if is_short else ""


def short_rows(path: Path, layout: Format, rows: int) -> list[int]:
    """Data rows (from 0) with too few fields; empty if records span lines."""
    lines = pl.scan_csv(
        path,
        has_header=False,
        separator=UNIT_SEPARATOR,
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        row_index_name="line",
    )
    separators = pl.nth(1).str.count_matches(layout.separator_of(path), literal=True)
    counts = lines.select("line", fields=separators.fill_null(0) + 1)
    fields = counts.collect(engine="streaming").sort("line")["fields"]
    fields = fields[0 if layout.header else 1 :]
    if len(fields) != rows:
        return []
    return (fields < _field_count(path, layout)).arg_true().to_list()


def _records(path: Path, layout: Format) -> Iterator[tuple[int, list[str]]]:
    """First line (from 1) and fields of each record, the header included."""
    separator = layout.separator_of(path)
    encoding = "utf-8-sig" if layout.is_utf8 else layout.encoding
    csv.field_size_limit(LONGEST_FIELD)
    with (
        open_bytes(path) as file,
        io.TextIOWrapper(file, encoding=encoding, errors="replace", newline="") as lines,
    ):
        reader = csv.reader(
            (with_single_character(line, separator) for line in lines),
            delimiter=single_character(separator),
            quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
        )
        line = 1
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1


def _field_count(path: Path, layout: Format) -> int:
    """Number of fields of a complete record."""
    if layout.header:
        return len(layout.header)
    _, fields = next(_records(path, layout))
    return len(fields)


def _first_long_line(path: Path, layout: Format) -> int | None:
    expected = _field_count(path, layout)
    long = (line for line, fields in _records(path, layout) if len(fields) > expected)
    return next(long, None)


def _first_undecodable_line(path: Path, layout: Format) -> int | None:
    with open_bytes(path) as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode(layout.encoding)
            except UnicodeDecodeError:
                return number
    return None
