"""Conditions on items, like `year >= 1990 and 'Comedy' in genres`.

Python's parser reads a condition; nothing of it is ever executed.

| form | items that meet it |
|---|---|
| `year >= 1990`, `1990 <= year < 2000`, `color == 'red'`, `year in (1994, 1995)` | by their value |
| `'Comedy' in genres` | by one of their values |
| `'Star' in title` | by a part of their title, in capitals or not |
| `a and b`, `a or b`, `not a`, brackets | as in Python |

Names are the item features, `item_id` and `title`. A comparison with an unknown value is false.

Legend: V item rows, M values of an item.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, UNKNOWN, RawId

Comparison = Callable[[Any, Any], Any]
Value = int | float | str

MOST_LISTED_VALUES = 30
"""Number of known values that an error lists."""
COMPARISONS: dict[type[ast.cmpop], Comparison] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
MIRRORED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.Gt,
    ast.LtE: ast.GtE,
    ast.Gt: ast.Lt,
    ast.GtE: ast.LtE,
}
"""Comparison after its sides are swapped, where it differs."""


def items_where(condition: str, dataset: PreparedDataset) -> Mask:
    """Mask `[V]` of the items that meet a condition.

    Raises UsageError that names the part that is not understood, and its column.

    >>> items_where("year >= 1990 and 'Star' in genres", dataset).shape == (dataset.item_rows,)
    True
    """
    text = condition.strip()
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as problem:
        reason = getattr(problem, "msg", problem)
        column = getattr(problem, "offset", None) or len(text) + 1
        raise UsageError(f"{condition!r} is no condition: {reason} at column {column}") from problem
    meets_V = _Evaluator(condition, dataset).evaluate(tree)
    meets_V[:FIRST_ITEM] = False
    return meets_V


@dataclass(frozen=True)
class _Evaluator:
    """Evaluation of one parsed condition on all items."""

    condition: str
    dataset: PreparedDataset

    def evaluate(self, node: ast.expr) -> Mask:
        """Items that meet a part of the condition."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return np.logical_and.reduce([self.evaluate(part) for part in parts])
            case ast.BoolOp(op=ast.Or(), values=parts):
                return np.logical_or.reduce([self.evaluate(part) for part in parts])
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self.evaluate(part)
            case ast.Compare():
                return self.chain(node)
        raise self.error(node, "compares nothing; write like year >= 1990 or 'Comedy' in genres")

    def chain(self, node: ast.Compare) -> Mask:
        """Items that meet every comparison of a chain, `1990 <= year < 2000`."""
        lefts = [node.left, *node.comparators[:-1]]
        links = zip(lefts, node.ops, node.comparators, strict=True)
        return np.logical_and.reduce([self.compare(*link) for link in links])

    def compare(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Mask:
        """Items that meet one comparison."""
        if isinstance(op, ast.In):
            return self.contains(left, right)
        if isinstance(op, ast.NotIn):
            return ~self.contains(left, right)
        kind = type(op)
        if kind not in COMPARISONS:
            known = "there are == != < <= > >= in and not in"
            raise self.error(left, f"is compared by a word that is not known; {known}")
        if isinstance(right, ast.Name) and not isinstance(left, ast.Name):
            left, right = right, left
            kind = MIRRORED.get(kind, kind)
        value_V = self.column(left)
        return self.compare_column(value_V, COMPARISONS[kind], right)

    def contains(self, left: ast.expr, right: ast.expr) -> Mask:
        """Items for which `left in right` holds."""
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            return self.is_one_of(left, right.elts)
        wanted = self.literal(left)
        name = self.name(right)
        if name == "title":
            return self.title_contains(str(wanted))
        return self.has_value(name, wanted, left, right)

    def is_one_of(self, column: ast.expr, choices: Sequence[ast.expr]) -> Mask:
        """Items whose value is among several, `year in (1994, 1995)`."""
        value_V = self.column(column)
        equal = [self.compare_column(value_V, operator.eq, choice) for choice in choices]
        nothing_V = np.zeros(self.dataset.item_rows, dtype=bool)
        return np.logical_or.reduce([nothing_V, *equal])

    def title_contains(self, text: str) -> Mask:
        """Items whose title contains a text, in capitals or not."""
        return np.array([text.lower() in title.lower() for title in self.titles()])

    def has_value(self, name: str, wanted: Value, left: ast.expr, right: ast.expr) -> Mask:
        """Items that have a value among several, `'Comedy' in genres`."""
        feature, table = self.dataset.item_features.get(name, (None, None))
        if feature is None or feature.kind is not Kind.MULTI:
            raise self.error(right, f"has one value; write {name} == {wanted!r}")
        if wanted not in feature.values:
            raise self.error(left, f"is no value of {name}; known are {_listed(feature.values)}")
        row_VM = np.asarray(table)
        return (row_VM == feature.values.index(wanted) + 1).any(1)

    def compare_column(self, value_V: NDArray[Any], comparison: Comparison, node: ast.expr) -> Mask:
        """Items whose value is known and compares so with a literal."""
        wanted = self.literal(node)
        has_numbers = value_V.dtype.kind == "f"
        if has_numbers != isinstance(wanted, int | float):
            raise self.error(node, f"is compared with {'numbers' if has_numbers else 'texts'}")
        is_known_V = ~np.isnan(value_V) if has_numbers else value_V != ""
        return is_known_V & comparison(value_V, wanted)

    def column(self, node: ast.expr) -> NDArray[Any]:
        """Value of each item: numbers, NaN if unknown, or texts, empty if unknown."""
        name = self.name(node)
        if name == "item_id":
            return _as_column([*[None] * FIRST_ITEM, *self.dataset.items.ids])
        if name == "title":
            return _as_column(self.titles())
        feature, table = self.dataset.item_features[name]
        if feature.kind is Kind.MULTI:
            raise self.error(node, f"has several values; write {feature.values[0]!r} in {name}")
        if feature.kind is Kind.NUMERIC:
            return np.asarray(table, dtype=float) * feature.scale + feature.mean
        return _as_column(_raw_values(feature, table))

    def titles(self) -> list[str]:
        """Title of each item row, empty if unknown."""
        titles = self.dataset.titles or [""] * self.dataset.num_items
        return [*[""] * FIRST_ITEM, *(title or "" for title in titles)]

    def name(self, node: ast.expr) -> str:
        """Name of an item feature, `item_id` or `title`."""
        title = ["title"] if self.dataset.titles else []
        known = ["item_id", *title, *self.dataset.item_features]
        if isinstance(node, ast.Name) and node.id in known:
            return node.id
        raise self.error(node, f"is not an item feature; there are {', '.join(known)}")

    def literal(self, node: ast.expr) -> Value:
        """Number or text, as written."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=part):
                value = self.literal(part)
                if isinstance(value, int | float):
                    return -value
            case ast.Constant(value=value) if type(value) in (int, float, str):
                return value
        raise self.error(node, "is no number and no text in quotes")

    def error(self, node: ast.expr, problem: str) -> UsageError:
        """Error that names the condition, the part and its column."""
        part = ast.get_source_segment(self.condition.strip(), node) or ast.unparse(node)
        return UsageError(f"{self.condition!r}: {part} at column {node.col_offset + 1} {problem}")


def _raw_values(feature: Feature, table: NDArray[Any]) -> list[RawId | None]:
    """Raw value of each row of a categorical table, None if unknown."""
    rows = np.asarray(table).tolist()
    return [None if row == UNKNOWN else feature.values[row - 1] for row in rows]


def _as_column(values: Sequence[RawId | None]) -> NDArray[Any]:
    """Numbers if all known values are numbers, else texts."""
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) for value in known):
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    return np.array(["" if value is None else str(value) for value in values], dtype=object)


def _listed(values: Sequence[object]) -> str:
    """Known values for an error, the first ones of many."""
    shown = ", ".join(map(str, values[:MOST_LISTED_VALUES]))
    return f"{shown}, …" if len(values) > MOST_LISTED_VALUES else shown
