"""Layout of a text file, from its first lines: separator, encoding, quotes, names of columns."""

from __future__ import annotations

import codecs
import gzip
import re
from pathlib import Path

from bert4rec.ingest.file_types import default_separator, suffix_of
from bert4rec.ingest.schema import Format

_PIECE = 2**20
_LINES = 200
_TYPED = (".parquet", ".jsonl", ".ndjson", ".json", ".feather", ".arrow", ".ipc")
_VALUE = re.compile(r"-?\d+(\.\d+)?|\d{4}-\d\d-\d\d.*", re.ASCII)


def sniffed_layout(path: Path) -> tuple[Format, list[str]]:
    """Layout of a file, and what remains to be asked; a typed file declares its own."""
    if suffix_of(path) in _TYPED or not path.is_file():
        return Format(), []
    raw = _first_bytes(path)
    encoding, remarks = _encoding(raw)
    lines = raw.decode(encoding, errors="replace").splitlines()[:_LINES]
    lines = [line.removeprefix("\ufeff") for line in lines if line][
        : -1 if len(lines) > 1 else None
    ]
    separator = _separator(lines, default_separator(path))
    first = [name.strip('"') for name in lines[0].split(separator)] if lines else []
    is_named = not any(_VALUE.fullmatch(name) for name in first)
    header = [] if is_named else [f"column_{number}" for number in range(1, len(first) + 1)]
    is_default = separator == default_separator(path)
    quoted = not _quotes_are_text(raw.decode(encoding, errors="replace"), separator)
    return Format("" if is_default else separator, header, encoding, quoted), remarks


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            file.seek(0)
            return file.read(_PIECE)
    try:
        with gzip.open(path) as packed:
            return packed.read(_PIECE)
    except (OSError, EOFError):
        return b""


def _encoding(raw: bytes) -> tuple[str, list[str]]:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return "iso-8859-1", ["not UTF-8; is it iso-8859-1, windows-1252 or another encoding?"]
    return "utf-8", []


def _separator(lines: list[str], usual: str) -> str:
    """Separator that the first line and most others hold equally often; else the usual one."""
    best, most = usual, 0
    for separator in (usual, "::", "\t", ";", ",", "|"):
        counts = [line.count(separator) for line in lines]
        equal = sum(count == counts[0] for count in counts) if counts else 0
        if counts and counts[0] > most and equal > 0.8 * len(counts):
            best, most = separator, counts[0]
    return best


def _quotes_are_text(text: str, separator: str) -> bool:
    """True if there are double quotes, and none opens a field."""
    opens = re.search(rf'(^|{re.escape(separator)})"', text, re.MULTILINE)
    return '"' in text and not opens
