"""Lists of ids in files: one a line, or a column of a CSV, TSV or Parquet table."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import lzma
import re
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert4rec.errors import DataError

if TYPE_CHECKING:
    from bert4rec.ids import RawId, Vocabulary

LARGEST = 2**30
"""Bytes of a list, also after unpacking."""
_SEPARATORS = {".csv": ",", ".tsv": "\t"}
_OPENERS: dict[bytes, Any] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
"""Readers of compressed files by the first bytes of the file."""
_WHOLE_FLOAT = re.compile(r"(-?\d+)\.0+", re.ASCII)
_MOST_COLUMNS = 20


def read_ids(path: Path, vocabulary: Vocabulary, names: Sequence[str]) -> list[RawId]:
    """Ids of a file in their order, in the type of the data.

    Lines hold an id each. A .csv or .tsv may have more columns: one of `names` holds the ids.
    Raises DataError for a file that holds no such list.
    """
    if _first_bytes(path).startswith(b"PAR1"):
        words = _parquet_column(path, names)
    else:
        words = _text_column(path, _text(path), vocabulary, names)
    ids = [parse_id(word, vocabulary) for word in words if word.strip()]
    if not ids:
        raise DataError(f"{path}: holds no {names[0].replace('_', ' ')}s; write one a line")
    return ids


def parse_id(word: str, vocabulary: Vocabulary) -> RawId:
    """Raw id of a word: as it is written, without blanks around it, or 7.0 for the integer 7."""
    if word in vocabulary:
        return word
    raw = vocabulary.parse(word.strip())
    whole = _WHOLE_FLOAT.fullmatch(word.strip())
    if raw in vocabulary or not whole:
        return raw
    return vocabulary.parse(whole[1]) if vocabulary.has_integers else raw


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as content:
        return content.read(8)


def _text(path: Path) -> str:
    """Text of a file, unpacked if it is compressed."""
    first = _first_bytes(path)
    opener = next((found for magic, found in _OPENERS.items() if first.startswith(magic)), None)
    try:
        with opener(path) if opener else path.open("rb") as content:
            data = content.read(LARGEST + 1)
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as problem:
        raise DataError(f"{path}: truncated or damaged ({problem})") from problem
    if len(data) > LARGEST:
        raise DataError(f"{path}: more than {LARGEST:,} bytes are no list of ids")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        row = data[: problem.start].count(b"\n") + 1
        raise DataError(f"{path}, row {row}: no text in UTF-8; write one id a line") from problem
    if "\0" in text:
        raise DataError(f"{path}: is no text; write one id a line")
    return text


def _text_column(path: Path, text: str, vocabulary: Vocabulary, names: Sequence[str]) -> list[str]:
    """Words of the column that holds the ids, without the heading."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    # A separator that no line holds leaves commas in the ids.
    separator = next((_SEPARATORS[end] for end in suffixes if end in _SEPARATORS), "\x1f")
    csv.field_size_limit(LARGEST)
    try:
        reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator)
        rows = [row for row in reader if any(row)]
    except csv.Error as problem:
        raise DataError(f"{path}: cannot be read ({problem})") from problem
    if not rows:
        return []
    heading = [word.strip() for word in rows[0]]
    named = [name for name in names if name in heading]
    if named:
        return _column(path, rows[1:], heading.index(named[0]))
    if len(heading) > 1:
        shown = ", ".join(heading[:_MOST_COLUMNS])
        raise DataError(f"{path}: no column {names[0]}; the file has {shown}")
    words = [row[0] for row in rows]
    is_heading = vocabulary.has_integers and not isinstance(parse_id(words[0], vocabulary), int)
    others = [parse_id(word, vocabulary) for word in words[1:2]]
    if is_heading and others and isinstance(others[0], int):
        return words[1:]
    return words


def _column(path: Path, rows: Sequence[Sequence[str]], number: int) -> list[str]:
    for row in rows:
        if len(row) <= number:
            raise DataError(f"{path}: the row {','.join(row)[:80]!r} has too few fields")
    return [row[number] for row in rows]


def _parquet_column(path: Path, names: Sequence[str]) -> list[str]:
    """Words of the column of a Parquet file that holds the ids, or of its only one."""
    import polars as pl

    from bert4rec.ingest.typed_columns import as_text

    try:
        frame = pl.scan_parquet(path)
        schema = frame.collect_schema()
        columns = [name for name in names if name in schema] or list(schema)
        if len(columns) > 1 and columns[0] not in names:
            shown = ", ".join(columns[:_MOST_COLUMNS])
            raise DataError(f"{path}: no column {names[0]}; the file has {shown}")
        text = frame.select(as_text(columns[0], schema[columns[0]])).collect().to_series()
    except pl.exceptions.PolarsError as problem:
        cause = " ".join(str(problem).split())[:200]
        raise DataError(f"{path}: cannot be read ({cause})") from problem
    return text.drop_nulls().to_list()
