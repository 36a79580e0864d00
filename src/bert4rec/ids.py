"""Raw ids and row numbers: the only place where one becomes the other.

Items: row 0 is PAD (no item), row 1 is MASK (an item to be guessed), real items follow.
Users and feature values: row 0 is UNKNOWN, real ones follow.
Raw ids are all integers or all strings, and come back as they were given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

RawId = int | str

PAD = 0
MASK = 1
FIRST_ITEM = 2

UNKNOWN = 0
FIRST_USER = 1

NO_TIME = -1
"""The time of an event or request that is not known; real times are seconds, never negative."""
YEAR_3000 = 32_503_680_000
"""Seconds; a time from here on is a mistake, or milliseconds."""

NO_RATING = 0
"""The rating row of an event without a rating; real levels are rows 1, 2, …"""


@dataclass(frozen=True)
class Vocabulary:
    """Raw ids in row order; the first has row `first`."""

    ids: Sequence[RawId]
    first: int

    @cached_property
    def _row_of(self) -> dict[RawId, int]:
        return {raw: row for row, raw in enumerate(self.ids, self.first)}

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, raw: object) -> bool:
        return raw in self._row_of

    @property
    def rows(self) -> int:
        """Rows of a table indexed by this vocabulary, the reserved ones included."""
        return self.first + len(self.ids)

    def row(self, raw: RawId) -> int | None:
        """The row number of a raw id, None where it is unknown."""
        return self._row_of.get(raw)

    def raw(self, row: int) -> RawId:
        """The raw id of a row number."""
        if row < self.first:
            raise IndexError(f"row {row} is reserved and has no raw id")
        return self.ids[row - self.first]

    def parse(self, text: str) -> RawId:
        """The raw id that a word on a command line means: an integer where the ids are integers."""
        if self.ids and isinstance(self.ids[0], int):
            try:
                return int(text)
            except ValueError:
                return text
        return text
