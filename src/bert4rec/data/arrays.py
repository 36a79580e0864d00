"""Array types, and index arithmetic for ranges that lie one after another. Needs numpy alone.

Legend: A ranges.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.integer]
Floats = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def offsets(length_A: Ints) -> Ints:
    """Start of each of A consecutive ranges, and the end of the last one."""
    return np.concatenate([[0], np.cumsum(length_A)])


def stretches(start_A: Ints, length_A: Ints) -> Ints:
    """Indices start … start + length − 1 of every range, one range after another."""
    offset_A1 = offsets(length_A)
    return np.repeat(start_A - offset_A1[:-1], length_A) + np.arange(offset_A1[-1])
