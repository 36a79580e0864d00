"""Array types, and index arithmetic for ranges that lie end to end. Needs numpy alone.

Legend: X ranges, or ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.ids import RawId

Ints = NDArray[np.integer]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def offsets(length_X: Ints) -> Ints:
    """Start of each of X consecutive ranges, and the end of the last one: `[X + 1]`."""
    return np.concatenate([[0], np.cumsum(length_X)])


def range_indices(start_X: Ints, length_X: Ints) -> Ints:
    """Indices start … start + length − 1 of each range, one range after another."""
    offset_X1 = offsets(length_X)
    return np.repeat(start_X - offset_X1[:-1], length_X) + np.arange(offset_X1[-1])


def id_array(ids: Sequence[RawId]) -> NDArray[Any]:
    """Raw ids `[X]`: int64 where all are such integers, else the Python values themselves.

    NumPy's own text arrays give every id the room of the longest one.
    """
    if all(isinstance(raw, int) and -(2**63) <= raw < 2**63 for raw in ids):
        return np.array(ids, dtype=np.int64)
    values = np.empty(len(ids), dtype=object)
    values[:] = ids
    return values
