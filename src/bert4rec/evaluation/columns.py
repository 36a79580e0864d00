"""Columns of figures by name: taken from rows, joined over batches, changed one by one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from bert4rec.data.arrays import Floats

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")
Result = TypeVar("Result")


def column(rows: Iterable[Mapping[Key, Value]], key: Key) -> list[Value]:
    """Value of one key in every row."""
    return [row[key] for row in rows]


def map_values(
    function: Callable[[Value], Result], mapping: Mapping[Key, Value]
) -> dict[Key, Result]:
    """Function applied to every value."""
    return {key: function(value) for key, value in mapping.items()}


def merged(
    function: Callable[[list[Value]], Result], rows: Sequence[Mapping[Key, Value]]
) -> dict[Key, Result]:
    """Function applied to the values of each key in all rows; all rows have the same keys."""
    return {key: function(column(rows, key)) for key in rows[0]}


def joined(batches: Sequence[Mapping[Any, Floats]]) -> dict[Any, Floats]:
    """Columns of all batches, end to end."""
    return merged(np.concatenate, batches)
