"""Raw tables as lazy frames: text of any layout, and Parquet.

Files are scanned lazily, so a table need not fit in memory as text. Polars cannot scan other
encodings than UTF-8 or separators of several characters: such files are first converted, piece by
piece.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from bert4rec.errors import DataError, SourceError
from bert4rec.ingest.file_types import is_atomic, is_parquet, open_bytes
from bert4rec.ingest.quotes import with_sound_quotes
from bert4rec.ingest.schema import Format
from bert4rec.ingest.separators import single_character, with_single_character
from bert4rec.ingest.text_errors import unreadable
from bert4rec.ingest.typed_columns import ROW

PIECE = 2**22
"""Characters that are converted at once."""
_SHOWN_COLUMNS = 20


def scan_table(path: Path, layout: Format, scratch: Path) -> pl.LazyFrame:
    """Rows of a file with their number in `ROW`, from 0; Parquet keeps its types.

    A file that must be converted is kept in the folder `scratch`, which must outlive the frame.
    """
    if not path.is_file():
        raise SourceError("no such file", path)
    if not path.stat().st_size:
        raise SourceError("the file is empty", path)
    try:
        frame = _scan_parquet(path) if is_parquet(path) else _scan_text(path, layout, scratch)
        names = column_names(frame)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as problem:
        raise unreadable(path, problem, layout) from problem
    if not layout.header:
        typed = [name for name in names if ":" in name] if is_atomic(path) else []
        return frame.rename({name: name.partition(":")[0] for name in typed})
    if len(names) < len(layout.header):
        expected = f"{len(layout.header)} are expected ({', '.join(layout.header)})"
        raise SourceError(f"{len(names)} fields where {expected}", path, row=1)
    return frame.rename(dict(zip(names, layout.header, strict=False)))


def column_names(frame: pl.LazyFrame) -> list[str]:
    """Columns of the file, without the row number."""
    return [name for name in frame.collect_schema().names() if name != ROW]


def require_columns(frame: pl.LazyFrame, path: Path, wanted: Sequence[str]) -> None:
    """Raise SourceError for a column that the file does not have."""
    names = column_names(frame)
    for name in wanted:
        if name not in names:
            shown = [name if name.isprintable() else "?" for name in names[:_SHOWN_COLUMNS]]
            raise SourceError(f"no such column; the file has {', '.join(shown)}", path, field=name)


def _scan_parquet(path: Path) -> pl.LazyFrame:
    return pl.scan_parquet(path).with_row_index(ROW)


def _scan_text(path: Path, layout: Format, scratch: Path) -> pl.LazyFrame:
    separator = layout.separator_of(path)
    is_scannable = len(separator) == 1 and layout.is_utf8
    text = path if is_scannable else _converted(path, layout, scratch)
    if layout.quoted:
        text = with_sound_quotes(path, text, single_character(separator), scratch)
    return pl.scan_csv(
        text,
        separator=single_character(separator),
        has_header=not layout.header,
        quote_char='"' if layout.quoted else None,
        infer_schema=False,
        row_index_name=ROW,
    )


def _converted(path: Path, layout: Format, scratch: Path) -> Path:
    """Copy of the text in UTF-8 with a separator of one character."""
    separator = layout.separator_of(path)
    try:
        with (
            open_bytes(path) as file,
            io.TextIOWrapper(file, encoding=layout.encoding, newline="") as text,
            tempfile.NamedTemporaryFile("wb", dir=scratch, suffix=".csv", delete=False) as out,
        ):
            # A piece ends where a line does, so that no separator is cut in two.
            while piece := text.read(PIECE) + text.readline():
                out.write(with_single_character(piece, separator).encode())
    except OSError as problem:
        raise DataError(
            f"{path}: cannot be converted in {scratch} ({problem.strerror or problem})"
        ) from problem
    return Path(out.name)
