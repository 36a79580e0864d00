"""Lists written as text: JSON (`["a", "b"]`) or Python (`['a', 'b']`), of values or of records."""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Sequence
from typing import Any

import polars as pl

_LIST = r"(?s)^\s*\[.*\]\s*$"
_RECORD = r"(?s)^\s*[\[{].*[\]}]\s*$"
_ADJACENT = re.compile(r"""['"]\s*['"]""")


def hold_lists(text: pl.Series, field: str = "") -> bool:
    """True if at least half of the known texts are lists, or records where a field is taken."""
    known = text.drop_nulls()
    alike = known.filter(known.str.contains(_RECORD if field else _LIST))
    if not len(known) or len(alike) * 2 < len(known):
        return False
    return sum(parsed_list(entry) is not None for entry in alike) * 2 >= len(known)


def parsed_list(text: str) -> Sequence[Any] | None:
    """Values of a list, or one record as a list of it; None for any other text."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        value = _python_literal(text)
    if isinstance(value, dict):
        return [value]
    return value if isinstance(value, list) else None


def _python_literal(text: str) -> Any:
    try:
        value = ast.literal_eval(text.strip())
        # Python joins texts without a comma between them: NumPy's ['a' 'b'] would be one value.
        is_joined = _ADJACENT.search(text) is not None and _texts_in(text) != _texts_of(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError):
        return None
    return None if is_joined else value


def _texts_in(text: str) -> int:
    tokens = tokenize.generate_tokens(io.StringIO(text.strip()).readline)
    return sum(token.type == tokenize.STRING for token in tokens)


def _texts_of(value: Any) -> int:
    if isinstance(value, dict):
        return _texts_of([*value.keys(), *value.values()])
    if isinstance(value, list | tuple):
        return sum(map(_texts_of, value))
    return int(isinstance(value, str))


def entry_texts(values: Sequence[Any], field: str = "") -> list[str]:
    """Texts of a list's values, or of a field of its records; unknown ones are left out.

    Raises ValueError, with what to write, for records without a field and for lists of lists.
    """
    texts = [_entry_text(value, field) for value in values]
    return [text for text in texts if text is not None]


def _entry_text(value: Any, field: str) -> str | None:
    for name in filter(None, field.split(".")):
        if not isinstance(value, dict) or name not in value:
            raise ValueError(f"has no field {name!r}")
        value = value[name]
    if isinstance(value, dict):
        texts = [name for name, part in value.items() if isinstance(part, str)]
        raise ValueError(
            f"holds records with the fields {', '.join(map(str, value))}; take one of them, as in "
            f"'column: COLUMN.{next(iter([*texts, *value]), 'name')}'"
        )
    if isinstance(value, list | tuple):
        raise ValueError("holds lists of lists, which no kind of feature reads")
    return None if value is None else str(value).strip()
