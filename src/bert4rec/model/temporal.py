"""Embedding of time: calendar fields and logarithmic buckets of durations.

Seconds stay int64 until a bucket or a calendar field is known.

Legend: T tokens, D width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bert4rec.model.lookup import embed

HALF_OCTAVES = 64
"""Buckets of a duration: 0 unknown, then one per factor of √2, from a second to over 60 years."""

_DAY, _HOUR = 86_400, 3_600
_FIRST_WEEKDAY = 3  # 1 January 1970 was a Thursday; Monday is 0


def half_octave(seconds: Tensor) -> Tensor:
    """Bucket 1 … HALF_OCTAVES − 1 of durations of 0 seconds or more (int64)."""
    half_octaves = (2 * torch.log2(seconds.clamp(min=1).float())).long()
    return (1 + half_octaves).clamp(max=HALF_OCTAVES - 1)


class TemporalEmbedding(nn.Module):
    """Sum of the vectors of day of year, weekday, hour (UTC) and gap; row 0 is "unknown"."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.day_of_year = nn.Embedding(1 + 366, size)
        self.weekday = nn.Embedding(1 + 7, size)
        self.hour = nn.Embedding(1 + 24, size)
        self.gap = nn.Embedding(HALF_OCTAVES, size)
        years = np.arange("1970", "3002", dtype="datetime64[Y]")
        first_days = years.astype("datetime64[D]").astype(np.int64)
        self.register_buffer("year_start", torch.from_numpy(first_days), persistent=False)

    def forward(self, time_T: Tensor, since_T: Tensor) -> Tensor:
        """Vectors `[T, D]` of the times `time_T`; the gap is counted from `since_T`.

        Both are in seconds since 1970, below 0 where unknown.
        """
        known_T = time_T >= 0
        second_T = time_T.clamp(min=0)
        day_T = second_T // _DAY
        weekday_T = (day_T + _FIRST_WEEKDAY) % 7
        hour_T = second_T % _DAY // _HOUR
        gap_T = half_octave((time_T - since_T).clamp(min=0)) * (known_T & (since_T >= 0))
        calendar_TD = (
            embed(self.day_of_year.weight, (1 + self._day_of_year(day_T)) * known_T)
            + embed(self.weekday.weight, (1 + weekday_T) * known_T)
            + embed(self.hour.weight, (1 + hour_T) * known_T)
        )
        return calendar_TD + embed(self.gap.weight, gap_T)

    def _day_of_year(self, day_T: Tensor) -> Tensor:
        """Day 0 … 364, or 365 in leap years; `day_T` counts from 1 January 1970."""
        year_start = self.get_buffer("year_start")
        year_T = torch.searchsorted(year_start, day_T, right=True) - 1
        return (day_T - year_start[year_T]).clamp(max=365)
