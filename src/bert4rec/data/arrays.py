"""Array types, and index arithmetic for ranges that lie end to end. Needs numpy alone.

Legend: X ranges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
