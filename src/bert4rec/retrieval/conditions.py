"""Conditions on items, like `year >= 1990 and 'Comedy' in genres`: read by Python's parser, and never run.

| form | is true of items |
|---|---|
| `year >= 1990`, `1990 <= year < 2000`, `color == 'red'`, `year in (1994, 1995)` | whose one value compares so |
| `'Comedy' in genres` | that have the value among several |
| `'Star' in title` | whose title holds the text |
| `a and b`, `a or b`, `not a`, brackets | as in Python |

Names are the item features, `item_id` and `title`. What is unknown of an item compares as false.

Legend: V item rows.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, UNKNOWN

SHOWN_VALUES = 30
"""How many known values an error lists."""
COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
TURNED = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}


def items_where(text: str, dataset: PreparedDataset) -> Mask:
    """Which item rows meet the condition, `[V]`. Raises UsageError that says what is not understood, and where."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError) as problem:
        column = getattr(problem, "offset", None) or len(text.strip()) + 1
        raise UsageError(
            f"{text!r} is no condition: {getattr(problem, 'msg', problem)} at column {column}"
        ) from problem
    found_V = _Reader(text, dataset).mask(tree)
    found_V[:FIRST_ITEM] = False
    return found_V


@dataclass(frozen=True)
class _Reader:
    """Walks a parsed condition."""

    text: str
    dataset: PreparedDataset

    def mask(self, node: ast.expr) -> Mask:
        if isinstance(node, ast.BoolOp):
            join = np.logical_and if isinstance(node.op, ast.And) else np.logical_or
            return join.reduce([self.mask(part) for part in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.mask(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return np.logical_and.reduce(
                [self.compared(left, op, right) for left, op, right in pairs]
            )
        raise self.trouble(node, "compares nothing; write like year >= 1990 or 'Comedy' in genres")

    def compared(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> Mask:
        if isinstance(op, ast.In | ast.NotIn):
            found_V = self.contained(left, right)
            return found_V if isinstance(op, ast.In) else ~found_V
        if type(op) not in COMPARE:
            raise self.trouble(
                left,
                "is compared by a word that is not known; there are == != < <= > >= in and not in",
            )
        if isinstance(right, ast.Name) and not isinstance(left, ast.Name):
            left, right, op = right, left, TURNED.get(type(op), type(op))()
        value_V = self.column(left)
        return self.one_value(value_V, COMPARE[type(op)], self.literal(right), right)

    def contained(self, left: ast.expr, right: ast.expr) -> Mask:
        """A value among several, a text in a title, or a feature's value among those of a tuple."""
        if isinstance(right, ast.Tuple | ast.List | ast.Set):
            value_V = self.column(left)
            found = [
                self.one_value(value_V, operator.eq, self.literal(part), part)
                for part in right.elts
            ]
            return (
                np.logical_or.reduce(found, axis=0)
                if found
                else np.zeros(self.dataset.item_rows, dtype=bool)
            )
        wanted, name = self.literal(left), self.name(right)
        if name == "title":
            return np.array(
                [str(wanted).lower() in str(title).lower() for title in self.column(right)]
            )
        feature, table = self.dataset.item_features.get(name, (None, None))
        if feature is None or feature.kind is not Kind.MULTI:
            raise self.trouble(right, f"has one value; write {name} == {wanted!r}")
        if wanted not in feature.values:
            shown = ", ".join(map(str, feature.values[:SHOWN_VALUES])) + ", …" * (
                len(feature.values) > SHOWN_VALUES
            )
            raise self.trouble(left, f"is no value of {name}; known are {shown}")
        return (np.asarray(table) == feature.values.index(wanted) + 1).any(1)

    def one_value(
        self, value_V: NDArray[Any], compare: Callable[[Any, Any], Any], wanted: Any, node: ast.expr
    ) -> Mask:
        are_numbers = value_V.dtype.kind == "f"
        if are_numbers != isinstance(wanted, int | float):
            kind = "numbers" if are_numbers else "texts"
            raise self.trouble(node, f"is compared with {kind}")
        known_V = ~np.isnan(value_V) if are_numbers else value_V != ""
        return known_V & compare(value_V, wanted)

    def column(self, node: ast.expr) -> NDArray[Any]:
        """The one value of each item row: numbers, NaN where unknown, or texts, empty where unknown."""
        name, reserved = self.name(node), [None] * FIRST_ITEM
        if name == "item_id":
            return _column([*reserved, *self.dataset.items.ids])
        if name == "title":
            return _column([*reserved, *(self.dataset.titles or [""] * self.dataset.num_items)])
        feature, table = self.dataset.item_features[name]
        if feature.kind is Kind.MULTI:
            raise self.trouble(node, f"has several values; write {feature.values[0]!r} in {name}")
        if feature.kind is Kind.NUMERIC:
            return np.asarray(table, dtype=float) * feature.scale + feature.mean
        return _column(
            [
                None if row == UNKNOWN else feature.values[row - 1]
                for row in np.asarray(table).tolist()
            ]
        )

    def name(self, node: ast.expr) -> str:
        known = [
            "item_id",
            *(["title"] if self.dataset.titles else []),
            *self.dataset.item_features,
        ]
        if not isinstance(node, ast.Name) or node.id not in known:
            raise self.trouble(node, f"is no name of what is known of items: {', '.join(known)}")
        return node.id

    def literal(self, node: ast.expr) -> Any:
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self.literal(node.operand)
            if isinstance(value, int | float):
                return -value
        if isinstance(node, ast.Constant) and type(node.value) in (int, float, str):
            return node.value
        raise self.trouble(node, "is no number and no text in quotes")

    def trouble(self, node: ast.expr, what: str) -> UsageError:
        said = ast.get_source_segment(self.text.strip(), node) or ast.unparse(node)
        return UsageError(f"{self.text!r}: {said} at column {node.col_offset + 1} {what}")


def _column(values: list[Any]) -> NDArray[Any]:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, int | float) for value in known):
        return np.array([np.nan if value is None else value for value in values], dtype=float)
    return np.array(["" if value is None else str(value) for value in values])
