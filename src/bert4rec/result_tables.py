"""`Estimate` and `Table`: numbers with intervals, written as text, JSON and Markdown.

Where the numbers come from is left to `evaluation`, printing on a terminal to `cli.output`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Any, TypeAlias

from bert4rec.shown_text import shown, shown_lines

ABSENT = "–"
"""Text of a cell without a value."""


@dataclass(frozen=True)
class Estimate:
    """Value of a metric and the edges of its 95 % interval.

    >>> estimate = Estimate(0.325, 0.3132, 0.3368)
    >>> f"{estimate:.4f}"
    '0.3250 [0.3132, 0.3368]'
    >>> estimate.with_margin(".4f")
    '0.3250 ±0.0118'
    """

    value: float
    low: float = math.nan
    """Lower edge; NaN for a value without an interval."""
    high: float = math.nan
    """Upper edge; NaN for a value without an interval."""

    @property
    def has_interval(self) -> bool:
        """True where both edges are known."""
        return not (math.isnan(self.low) or math.isnan(self.high))

    @property
    def margin(self) -> float:
        """Half of the interval's width; NaN without an interval."""
        return (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """True where the whole interval lies on one side of zero."""
        return self.low > 0 or self.high < 0

    def scaled(self, factor: float) -> Estimate:
        """Value and edges times a positive factor, such as 100 for percent."""
        return Estimate(factor * self.value, factor * self.low, factor * self.high)

    def __format__(self, spec: str) -> str:
        """Value and interval, each number by `spec`: `0.3250 [0.3132, 0.3368]`."""
        spec = spec or ".4f"
        if not self.has_interval:
            return f"{self.value:{spec}}"
        return f"{self.value:{spec}} [{self.low:{spec}}, {self.high:{spec}}]"

    def with_margin(self, spec: str = ".4f") -> str:
        """Value and margin, half as long as the interval: `0.3250 ±0.0118`."""
        if not self.has_interval:
            return f"{self.value:{spec}}"
        return f"{self.value:{spec}} ±{self.margin:{spec.lstrip('+')}}"

    def to_dict(self) -> dict[str, float]:
        """`value`, `low` and `high` for JSON; `value` alone without an interval."""
        if not self.has_interval:
            return {"value": self.value}
        return {"value": self.value, "low": self.low, "high": self.high}

    @classmethod
    def from_dict(cls, content: Mapping[str, float]) -> Estimate:
        """Estimate that `to_dict` wrote; other keys, such as `p_value`, are ignored.

        Raises KeyError without a `value`, ValueError where an edge is missing.
        """
        edges = [content[edge] for edge in ("low", "high") if edge in content]
        if len(edges) == 1:
            raise ValueError(f"an estimate with one edge: {dict(content)}")
        return cls(content["value"], *edges)


Cell: TypeAlias = str | int | float | Estimate | None
"""Value of one cell; None where there is none."""


@dataclass(frozen=True)
class Table:
    """Rows of plain values and estimates under named columns."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str = ""
    """Text below the table, such as the protocol of its figures."""
    signed: bool = False
    """True for differences: estimates show their sign."""

    def without_empty_columns(self) -> Table:
        """Table without the columns that have no value in any row."""
        kept = [self._has_value(position) for position in range(len(self.columns))]
        rows = [list(compress(row, kept)) for row in self.rows]
        return replace(self, columns=list(compress(self.columns, kept)), rows=rows)

    def _has_value(self, position: int) -> bool:
        return not self.rows or any(row[position] is not None for row in self.rows)

    def to_markdown(self) -> str:
        """Title in bold, the table with whole intervals, and the note as a paragraph."""
        title = [f"**{shown(self.title)}**", ""] if self.title else []
        head = [_markdown_row(self.columns), "|---" * len(self.columns) + "|"]
        body = [_markdown_row(row) for row in self.texts()]
        note = ["", shown_lines(self.note)] if self.note else []
        return "\n".join([*title, *head, *body, *note])

    def texts(self, digits: int = 4, margins: bool = False) -> list[list[str]]:
        """Text of every cell; with `margins` an estimate shows `±` in place of its interval."""
        return [self._row_texts(row, f".{digits}f", margins) for row in self.rows]

    def _row_texts(self, row: Sequence[Cell], spec: str, margins: bool) -> list[str]:
        return [self._text(cell, spec, margins) for cell in row]

    def _text(self, cell: Cell, spec: str, margins: bool) -> str:
        if cell is None:
            return ABSENT
        if isinstance(cell, float):
            return f"{cell:{spec}}"
        if not isinstance(cell, Estimate):
            return shown(str(cell))
        signed_spec = f"+{spec}" if self.signed else spec
        return cell.with_margin(signed_spec) if margins else f"{cell:{signed_spec}}"


def _markdown_row(cells: Iterable[str]) -> str:
    """Cells of one row; a bar inside a cell would end it."""
    return f"| {' | '.join(map(_markdown_cell, cells))} |"


def _markdown_cell(cell: str) -> str:
    return shown(cell).replace("|", "/").replace("<", "&lt;")


def to_markdown(tables: Iterable[Table]) -> str:
    """Tables one below the other."""
    return "\n\n".join(table.to_markdown() for table in tables)


def to_plain(value: object) -> Any:
    """Nested mappings and sequences for JSON, every estimate as its dictionary."""
    if isinstance(value, Estimate):
        return value.to_dict()
    if isinstance(value, Mapping):
        return {key: to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value
