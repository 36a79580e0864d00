"""Whether a predicted distribution over rating levels can be taken at its word.

Of all predictions that a level has a chance of about 30 %, that level should come up 30 % of the time. Every pair of a
case and a level is such a prediction; they are sorted into bins by their probability, and kept as sums.

Legend: B cases of a piece, R rating levels, M bins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bert4rec.data.histories import Ints
from bert4rec.evaluation.metrics import Floats
from bert4rec.ids import NO_RATING

BINS = 15


@dataclass
class Calibration:
    """Predictions and what came, by level and bin of equal width."""

    levels: Floats
    """The rating scale `[R]`."""
    count_RM: Ints = field(init=False)
    predicted_RM: Floats = field(init=False)
    """Summed probabilities."""
    came_RM: Ints = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.levels), BINS)
        self.count_RM, self.came_RM = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
        self.predicted_RM = np.zeros(shape)

    def add(self, likely_BR: Floats, row_B: Ints) -> None:
        """Takes in predictions and the rating row that came; cases without a rating do not count."""
        likely_BR, row_B = likely_BR[row_B != NO_RATING], row_B[row_B != NO_RATING]
        level_BR = np.broadcast_to(np.arange(len(self.levels)), likely_BR.shape)
        bin_BR = np.minimum((likely_BR * BINS).astype(np.int64), BINS - 1)
        came_BR = row_B[:, None] - 1 == level_BR
        np.add.at(self.count_RM, (level_BR, bin_BR), 1)
        np.add.at(self.predicted_RM, (level_BR, bin_BR), likely_BR)
        np.add.at(self.came_RM, (level_BR, bin_BR), came_BR)

    def error(self) -> float | None:
        """The class-wise expected calibration error (Kull et al. 2019, section 2), None without cases.

        The gap between mean prediction and observed share, averaged over the predictions of a level and then over
        levels. Chance alone keeps it above 0, the more so the fewer the cases, so it is given no interval.
        """
        cases = self.count_RM[0].sum() if len(self.levels) else 0
        if not cases:
            return None
        return float(np.abs(self.predicted_RM - self.came_RM).sum() / cases / len(self.levels))

    def to_rows(self) -> list[dict[str, Any]]:
        """The bins that hold predictions: level, how many, their mean, and the share that came true."""
        return [
            {
                "level": float(self.levels[level]),
                "count": int(self.count_RM[level, place]),
                "predicted": float(self.predicted_RM[level, place] / self.count_RM[level, place]),
                "observed": float(self.came_RM[level, place] / self.count_RM[level, place]),
            }
            for level, place in np.argwhere(self.count_RM).tolist()
        ]
