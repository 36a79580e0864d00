"""File types by the ending of a name, in capitals or not."""

from __future__ import annotations

from pathlib import Path

_TAB_SUFFIXES = (".tsv", ".inter", ".item", ".user")


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
    """Field separator of a text file: a tab in `.tsv` and RecBole files, else a comma."""
    return "\t" if suffix_of(path) in _TAB_SUFFIXES else ","
