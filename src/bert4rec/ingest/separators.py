"""Field separators of several characters, which neither polars nor the csv module reads.

They are replaced by a single character that no text contains.
"""

from __future__ import annotations

UNIT_SEPARATOR = "\x1f"
"""ASCII's unit separator, which text does not contain."""


def single_character(separator: str) -> str:
    """Separator of one character: the given one, or the one that replaces it."""
    return separator if len(separator) == 1 else UNIT_SEPARATOR


def with_single_character(text: str, separator: str) -> str:
    """Text whose fields are separated by `single_character(separator)`."""
    return text if len(separator) == 1 else text.replace(separator, UNIT_SEPARATOR)
