"""Time as the network sees it: calendar rows, logarithmic buckets, and their embedding.

Seconds stay int64 until a bucket or a calendar row is known. Legend: T tokens, D width.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from bert4rec.model.lookup import embed

HALF_OCTAVES = 64
"""Buckets of a duration: 0 unknown, then one for each factor of √2, from a second to over 60 years."""

_DAY, _HOUR = 86_400, 3_600
_FIRST_WEEKDAY = 3  # 1 January 1970 was a Thursday; Monday is 0


def half_octave(seconds: Tensor) -> Tensor:
    """The bucket 1 … HALF_OCTAVES − 1 of durations of 0 seconds or more (int64)."""
    return (1 + (2 * torch.log2(seconds.clamp(min=1).float())).long()).clamp(max=HALF_OCTAVES - 1)


class TemporalEmbedding(nn.Module):
    """Day of year, weekday, hour (UTC) and a gap, each with a vector, summed up. Row 0 of each is "unknown"."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.day_of_year = nn.Embedding(1 + 366, size)
        self.weekday = nn.Embedding(1 + 7, size)
        self.hour = nn.Embedding(1 + 24, size)
        self.gap = nn.Embedding(HALF_OCTAVES, size)
        years = (
            np.arange("1970", "3002", dtype="datetime64[Y]")
            .astype("datetime64[D]")
            .astype(np.int64)
        )
        self.register_buffer("year_start_Y", torch.from_numpy(years), persistent=False)

    def forward(self, time_T: Tensor, since_T: Tensor) -> Tensor:
        """The vectors of events at `time_T`, the moment before them being `since_T` (both seconds, below 0 unknown)."""
        known_T = time_T >= 0
        day_T = time_T.clamp(min=0) // _DAY
        gap_T = half_octave((time_T - since_T).clamp(min=0)) * (known_T & (since_T >= 0))
        calendar_TD = (
            embed(self.day_of_year.weight, (1 + self._day_of_year(day_T)) * known_T)
            + embed(self.weekday.weight, (1 + (day_T + _FIRST_WEEKDAY) % 7) * known_T)
            + embed(self.hour.weight, (1 + time_T.clamp(min=0) % _DAY // _HOUR) * known_T)
        )
        return calendar_TD + embed(self.gap.weight, gap_T)

    def _day_of_year(self, day_T: Tensor) -> Tensor:
        """0 for 1 January … 364, or 365 in leap years, by the true calendar; `day_T` counts from 1970."""
        starts = self.get_buffer("year_start_Y")
        year_T = torch.searchsorted(starts, day_T, right=True) - 1
        return (day_T - starts[year_T]).clamp(max=365)
