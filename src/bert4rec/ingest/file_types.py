"""File types by the ending of a name, in capitals or not, and compressed files."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import BinaryIO, cast

GZIP = b"\x1f\x8b"
"""First bytes of a gzip file."""
_COMPRESSED = (".gz", ".zst", ".zz")
_ATOMIC = (".inter", ".item", ".user")
_TAB_SUFFIXES = (".tsv", *_ATOMIC)


def suffix_of(path: Path) -> str:
    """Ending of a file name in small letters.

    >>> suffix_of(Path("EVENTS.PARQUET"))
    '.parquet'
    """
    return path.suffix.lower()


def is_parquet(path: Path) -> bool:
    """True for a Parquet file, which has typed columns; any other table is text."""
    return suffix_of(path) == ".parquet"


def default_separator(path: Path) -> str:
    """Field separator of a text file: a tab in `.tsv` and RecBole files, else a comma.

    >>> default_separator(Path("events.TSV.gz"))
    '\\t'
    """
    return "\t" if _inner_suffix(path) in _TAB_SUFFIXES else ","


def is_atomic(path: Path) -> bool:
    """True for RecBole's atomic files, whose headers hold the type after the name."""
    return _inner_suffix(path) in _ATOMIC


def _inner_suffix(path: Path) -> str:
    """Ending of a name without that of its compression."""
    return suffix_of(path.with_suffix("") if suffix_of(path) in _COMPRESSED else path)


def open_bytes(path: Path) -> BinaryIO:
    """Content of a file, decompressed if it is a gzip file whatever its name."""
    with path.open("rb") as file:
        is_packed = file.read(len(GZIP)) == GZIP
    return cast(BinaryIO, gzip.open(path)) if is_packed else path.open("rb")
