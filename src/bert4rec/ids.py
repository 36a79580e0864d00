"""Raw ids and row numbers: the only module that turns one into the other.

Items: row 0 is PAD (no item), row 1 is MASK (an item to be predicted), and real items follow.
Users and feature values: row 0 is UNKNOWN, and real ones follow.
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
"""Unknown time of an event or request; real times are seconds and never negative."""
YEAR_3000 = 32_503_680_000
"""Seconds; a time from here on is a mistake, or in milliseconds."""

NO_RATING = 0
"""Rating row of an event without a rating; real levels are rows 1, 2, …"""


@dataclass(frozen=True)
class Vocabulary:
    """Raw ids in row order.

    Example:
        >>> items = Vocabulary(["a", "b"], first=FIRST_ITEM)
        >>> items.row("b"), items.raw(3), items.row("z")
        (3, 'b', None)
    """

    ids: Sequence[RawId]
    first: int
    """Row of the first id; the rows before it are reserved."""

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
        """Row number of a raw id; None if it is unknown."""
        return self._row_of.get(raw)

    def raw(self, row: int) -> RawId:
        """Raw id of a row number."""
        if row < self.first:
            raise IndexError(f"row {row} is reserved and has no raw id")
        return self.ids[row - self.first]

    def parse(self, text: str) -> RawId:
        """Raw id of a word on the command line: an integer if the ids are integers.

        `007` and `1_0` are written as no integer id is, and stay text.
        """
        if not self.has_integers:
            return text
        try:
            number = int(text)
        except ValueError:
            return text
        return number if str(number) == text else text

    @property
    def has_integers(self) -> bool:
        """True if the ids are integers."""
        return bool(self.ids) and isinstance(self.ids[0], int)
