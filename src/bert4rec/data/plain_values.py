"""Arguments of any library as plain Python values: numbers, ids and lists. Needs numpy alone.

NumPy's scalars and arrays, the columns of pandas and polars, generators and numbers written as text
are taken where their meaning is clear. What a number or an id stands for is left to the caller.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from bert4rec.errors import UsageError

_NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*", re.ASCII)
MOST_SHOWN = 80
"""Characters of a value that an error shows."""


def plain(value: Any) -> Any:
    """Value without the type of NumPy; None for NaN and for the missing values of pandas.

    >>> plain(np.int64(7)), plain(np.str_("a")), plain(float("nan")), plain([7])
    (7, 'a', None, [7])
    """
    if isinstance(value, np.ndarray) and value.ndim == 0:
        value = value[()]
    if isinstance(value, np.generic) and not isinstance(value, np.datetime64 | np.timedelta64):
        value = value.item()
    return None if _is_missing(value) else value


def _is_missing(value: Any) -> bool:
    # The missing values of pandas are told by name: it is no dependency.
    if type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, np.datetime64):
        return bool(np.isnat(value))
    return isinstance(value, Real | Decimal) and bool(value != value)


def plain_number(value: Any) -> int | float | None:
    """Number of a value, also of a text like '0.3'; None if it is missing.

    Raises ValueError for anything else, `True` and infinity included.

    >>> plain_number("0.3"), plain_number(np.float32(2)), plain_number(None)
    (0.3, 2.0, None)
    """
    value = plain(value)
    if value is None:
        return None
    is_number = isinstance(value, Real | Decimal) and not isinstance(value, bool)
    if not is_number and not (isinstance(value, str) and _NUMBER.fullmatch(value)):
        raise ValueError("no number")
    try:
        number = float(value)
    except OverflowError as problem:
        raise ValueError("beyond float64") from problem
    if not np.isfinite(number):
        raise ValueError("not finite")
    return value if isinstance(value, int) else number


def plain_count(value: Any) -> int:
    """Whole number from 1 on, also of a text like '10'. Raises ValueError for anything else."""
    number = plain_number(value)
    if number is None or number != int(number) or number < 1:
        raise ValueError("no count")
    return int(number)


def plain_list(name: str, values: Any, what: str) -> list[Any]:
    """Values of a list, an array, a column or a generator, in their order.

    Raises UsageError, which names the argument and `what` it should hold, for a text and for what
    has no order.
    """
    is_text = isinstance(values, str | bytes)
    if is_text:
        raise UsageError(f"{name} is the text {shown(values)}; give a list of {what}")
    if not isinstance(values, Iterable) or isinstance(values, Mapping | Set):
        raise UsageError(f"{name} is {shown(values)}; give a list of {what}")
    try:
        return [plain(value) for value in values]
    except TypeError as problem:  # an array of no dimension
        raise UsageError(f"{name} is {shown(values)}; give a list of {what}") from problem


def plain_ids(name: str, values: Any, what: str) -> tuple[Any, ...]:
    """Raw ids of a list; a missing one is None. Raises UsageError as `plain_list` does."""
    ids = plain_list(name, values, what)
    for raw in ids:
        check_id(name, raw)
    return tuple(ids)


def check_id(name: str, raw: Any) -> None:
    """Raise UsageError for a plain value that can be no id of any data."""
    if not isinstance(raw, int | float | str | None) or isinstance(raw, bool):
        raise UsageError(f"{name}: {shown(raw)} is no id; an id is a whole number or a text")


def plain_switch(name: str, value: Any) -> bool:
    """True or false. Raises UsageError for anything else: 'no' would count as true."""
    value = plain(value)
    if not isinstance(value, bool):
        raise UsageError(f"{name} is {shown(value)}: it must be True or False")
    return value


def shown(value: Any) -> str:
    """Value as an error shows it, on one line and not at length."""
    text = " ".join(repr(value).split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"
