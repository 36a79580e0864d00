"""Where in a text file something is wrong: lines and fields, found by looking again once reading has failed."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from bert4rec.errors import SourceError
from bert4rec.ingest.schema import Format

_TAB_FILES = {".tsv", ".inter", ".item", ".user"}
_ABSENT_CHARACTER = "\x1f"
"""ASCII's unit separator: no text contains it, so it stands in for separators of several characters."""
LONGEST_FIELD = 2**31 - 1
"""Characters; the csv module's own limit of 131,072 is less than a field of text may have."""


def separator_of(path: Path, layout: Format) -> str:
    """What stands between the fields of a file."""
    return layout.separator or ("\t" if path.suffix in _TAB_FILES else ",")


def is_utf8(layout: Format) -> bool:
    """Whether the text needs no decoding."""
    return layout.encoding.lower() in ("utf-8", "utf8")


def one_character(text: str, separator: str) -> tuple[str, str]:
    """The text and its separator, which is one character afterwards."""
    return (
        (text.replace(separator, _ABSENT_CHARACTER), _ABSENT_CHARACTER)
        if len(separator) > 1
        else (text, separator)
    )


def records(path: Path, layout: Format) -> Iterator[tuple[int, list[str]]]:
    """The line (from 1) on which each record begins, and its fields; a header is a record too."""
    separator = separator_of(path, layout)
    encoding = "utf-8-sig" if is_utf8(layout) else layout.encoding
    csv.field_size_limit(LONGEST_FIELD)
    with path.open(encoding=encoding, errors="replace", newline="") as lines:
        plain = (one_character(line, separator)[0] for line in lines)
        reader = csv.reader(
            plain,
            delimiter=one_character("", separator)[1],
            quoting=csv.QUOTE_MINIMAL if layout.quoted else csv.QUOTE_NONE,
        )
        line = 1
        for fields in reader:
            yield line, fields
            line = reader.line_num + 1


def line_of(path: Path, layout: Format, row: int) -> tuple[int, str]:
    """The line of data row `row` (from 0) as an editor shows it, and a remark where it has too few fields."""
    if path.suffix == ".parquet":
        return row + 1, ""
    first = next(records(path, layout))[1]
    line, fields = next(
        islice(records(path, layout), row + (not layout.header), None), (row + 1, first)
    )
    expected = len(layout.header) or len(first)
    return line, f" (the row has {len(fields)} of {expected} fields)" if len(
        fields
    ) < expected else ""


def short_rows(path: Path, layout: Format, rows: int) -> list[int]:
    """The data rows (from 0) with too few fields. None where records span lines, and lines cannot be counted."""
    expected = len(layout.header) or len(next(records(path, layout))[1])
    lines = pl.scan_csv(
        path,
        has_header=False,
        separator=_ABSENT_CHARACTER,
        quote_char=None,
        infer_schema=False,
        encoding="utf8-lossy",
        row_index_name="line",
    )
    fields = pl.nth(1).str.count_matches(separator_of(path, layout), literal=True).fill_null(0) + 1
    found = lines.select("line", fields=fields).collect(engine="streaming").sort("line")
    count = found["fields"][0 if layout.header else 1 :]
    return (count < expected).arg_true().to_list() if len(count) == rows else []


def unreadable(path: Path, problem: Exception, layout: Format) -> SourceError:
    """What could not be read, as one line that says where."""
    text = " ".join(str(problem).split())
    if path.suffix == ".parquet":
        return SourceError("not a Parquet file, or truncated", path)
    if "utf" in text.lower() or isinstance(problem, UnicodeDecodeError):
        return SourceError(
            f"not {layout.encoding.upper()}; say its 'encoding' in the schema, or convert it",
            path,
            row=_undecodable(path, layout),
        )
    if "more fields" in text:
        all_records = records(path, layout)
        expected = len(layout.header) or len(next(all_records)[1])
        line = next((line for line, fields in all_records if len(fields) > expected), None)
        return SourceError(f"more than the {expected} fields of the header", path, row=line)
    if "malformed" in text or "properly escaped" in text:  # polars before 1.36 says the latter
        *_, (line, _) = records(path, layout)
        return SourceError(
            "a double quote is never closed; if quotes are text, say 'quoted: false'",
            path,
            row=line,
        )
    return SourceError(text, path)


def _undecodable(path: Path, layout: Format) -> int | None:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            try:
                line.decode(layout.encoding)
            except UnicodeDecodeError:
                return number
    return None
