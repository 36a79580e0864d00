"""`Histories`: past events of users at a request, from which all scoring starts.

Legend: B users, N events of all of them end to end, X some of the users or items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bert4rec.data.arrays import Ints, offsets, range_indices
from bert4rec.ids import NO_TIME


@dataclass(frozen=True)
class Histories:
    """Past events of B users, one user after another, oldest first.

    User b has the events `item_N[start_B1[b] : start_B1[b + 1]]`. A history may be empty.
    """

    user_B: Ints
    """User rows; UNKNOWN for cold-start users."""
    start_B1: Ints
    """Offsets into the events, `[B + 1]`."""
    item_N: Ints
    """Item rows, never PAD or MASK."""
    time_N: Ints
    """Seconds since 1970 (int64); NO_TIME where unknown."""
    rating_N: Ints
    """Rating rows; NO_RATING where unknown."""
    request_time_B: Ints
    """Request times in seconds; NO_TIME where unknown."""
    user_features: Mapping[str, Ints] = field(default_factory=dict)
    """Values `[B]` by feature name, as the network reads them; they replace those of `user_B`."""

    def __len__(self) -> int:
        return len(self.user_B)

    @property
    def length_B(self) -> Ints:
        """Events of each user."""
        return np.diff(self.start_B1)

    @property
    def row_N(self) -> Ints:
        """Index of each event's user, from 0 to B − 1."""
        return np.repeat(np.arange(len(self)), self.length_B)

    def take(self, row_X: Ints) -> Histories:
        """Histories of some users, in the given order; a user may be taken more than once."""
        length_X = self.length_B[row_X]
        event_N = range_indices(self.start_B1[:-1][row_X], length_X)
        return Histories(
            user_B=self.user_B[row_X],
            start_B1=offsets(length_X),
            item_N=self.item_N[event_N],
            time_N=self.time_N[event_N],
            rating_N=self.rating_N[event_N],
            request_time_B=self.request_time_B[row_X],
            user_features={name: value_B[row_X] for name, value_B in self.user_features.items()},
        )

    def without_items(self, item_X: Ints) -> Histories:
        """Histories without the events of these items."""
        kept_N = ~np.isin(self.item_N, item_X)
        length_B = np.bincount(self.row_N[kept_N], minlength=len(self))
        return replace(
            self,
            start_B1=offsets(length_B),
            item_N=self.item_N[kept_N],
            time_N=self.time_N[kept_N],
            rating_N=self.rating_N[kept_N],
        )

    def without_request_time(self) -> Histories:
        """Histories with an unknown request time."""
        return replace(self, request_time_B=np.full(len(self), NO_TIME, dtype=np.int64))
