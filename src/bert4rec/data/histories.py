"""`Histories`: what is known of B users when a list is asked for. Evaluation, engine and baselines all start here.

Legend: B users, N events of all of them together, X some of the users.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from bert4rec.data.arrays import Ints, offsets, stretches
from bert4rec.ids import NO_TIME


@dataclass(frozen=True)
class Histories:
    """B users' past events, one user after another, oldest first.

    User b's events are `item_N[start_B1[b] : start_B1[b + 1]]`. A history may be empty.
    """

    user_B: Ints
    """User rows; UNKNOWN for people the model never saw."""
    start_B1: Ints
    """B + 1 offsets into the events."""
    item_N: Ints
    """Item rows, never PAD or MASK."""
    time_N: Ints
    """Seconds since 1970 (int64), NO_TIME where unknown."""
    rating_N: Ints
    """Rating rows, NO_RATING where unknown."""
    request_time_B: Ints
    """When the list is asked for, NO_TIME where unknown."""
    user_features: Mapping[str, Ints] = field(default_factory=dict)
    """Value rows `[B]` by feature name, in place of the ones stored for `user_B`."""

    def __len__(self) -> int:
        return len(self.user_B)

    @property
    def length_B(self) -> Ints:
        """Events of each user."""
        return np.diff(self.start_B1)

    @property
    def row_N(self) -> Ints:
        """The place in the batch, 0 … B − 1, of each event's user."""
        return np.repeat(np.arange(len(self)), self.length_B)

    def take(self, row_X: Ints) -> Histories:
        """The histories of some users, in the order asked for; a user may be taken more than once."""
        length_X = self.length_B[row_X]
        event_N = stretches(self.start_B1[:-1][row_X], length_X)
        return Histories(
            user_B=self.user_B[row_X],
            start_B1=offsets(length_X),
            item_N=self.item_N[event_N],
            time_N=self.time_N[event_N],
            rating_N=self.rating_N[event_N],
            request_time_B=self.request_time_B[row_X],
            user_features={name: row_B[row_X] for name, row_B in self.user_features.items()},
        )

    def without_items(self, item_X: Ints) -> Histories:
        """The same people, as if events of these items had never been."""
        kept_N = ~np.isin(self.item_N, item_X)
        return replace(
            self,
            start_B1=offsets(np.bincount(self.row_N[kept_N], minlength=len(self))),
            item_N=self.item_N[kept_N],
            time_N=self.time_N[kept_N],
            rating_N=self.rating_N[kept_N],
        )

    def without_request_time(self) -> Histories:
        """The same, asked at an unknown time."""
        return replace(self, request_time_B=np.full(len(self), NO_TIME, dtype=np.int64))
