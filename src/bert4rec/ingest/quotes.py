"""Double quotes in text files: one opens a field only at its start, as RFC 4180 has it.

Polars takes a quote anywhere for an opening one, and then loses rows. A file in which a quote
stands elsewhere is read by the csv module and copied with all such quotes doubled.
"""

from __future__ import annotations

import csv
import io
import re
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from bert4rec.errors import DataError, SourceError
from bert4rec.ingest.file_types import open_bytes

LONGEST_FIELD = 2**31 - 1
"""Characters; the csv module's own limit of 131,072 is less than a field of text may have."""
_PIECE = 2**22
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def with_sound_quotes(path: Path, text: Path, separator: str, scratch: Path) -> Path:
    """File that polars reads right: `text` (UTF-8), or a copy of it in `scratch`.

    Args:
        path: File of the user, for errors.
        text: The same, or its conversion.
        separator: Field separator of `text`, one character.
        scratch: Folder of copies.

    Raises:
        SourceError: A quote is never closed, or text follows a closing one.
    """
    try:
        if not _has_stray_quote(text, separator):
            return text
        return _copy(path, text, separator, scratch)
    except (EOFError, zlib.error) as problem:
        raise SourceError(f"truncated or damaged ({problem})", path) from problem
    except OSError as problem:
        reason = problem.strerror or problem
        raise DataError(f"{path}: cannot be copied into {scratch} ({reason})") from problem


def _has_stray_quote(text: Path, separator: str) -> bool:
    """True if a quote stands outside complete quoted fields, or a piece cuts such a field."""
    mark = re.escape(separator.encode())
    field = rb'(?:^|%b)"[^"]*+(?:""[^"]*+)*+"(?=%b|\r?\n|\Z)' % (mark, mark)
    quoted_field = re.compile(field, re.MULTILINE)
    with open_bytes(text) as file:
        return any(
            b'"' in piece and b'"' in quoted_field.sub(b"", piece) for piece in _pieces(file)
        )


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    """Pieces that end where a line does, without the byte order mark."""
    piece = (file.read(_PIECE) + file.readline()).removeprefix(_BYTE_ORDER_MARK)
    while piece:
        yield piece
        piece = file.read(_PIECE) + file.readline()


def _copy(path: Path, text: Path, separator: str, scratch: Path) -> Path:
    """Copy of the records, each field with a quote enclosed in quotes."""
    with (
        open_bytes(text) as file,
        io.TextIOWrapper(file, encoding="utf-8-sig", newline="") as lines,
        tempfile.NamedTemporaryFile(
            "w", dir=scratch, suffix=".csv", delete=False, encoding="utf-8", newline=""
        ) as out,
    ):
        writer = csv.writer(out, delimiter=separator, lineterminator="\n")
        writer.writerows(_records(path, lines, separator))
    return Path(out.name)


def _records(path: Path, lines: IO[str], separator: str) -> Iterator[list[str]]:
    csv.field_size_limit(LONGEST_FIELD)
    reader = csv.reader(lines, delimiter=separator, strict=True)
    line = 1
    try:
        for fields in reader:
            yield fields
            line = reader.line_num + 1
    except csv.Error as problem:
        is_open = "unexpected end" in str(problem)
        what = "a double quote is never closed" if is_open else "text follows a closing quote"
        raise SourceError(f"{what}; if quotes are text, say 'quoted: false'", path, line) from None
