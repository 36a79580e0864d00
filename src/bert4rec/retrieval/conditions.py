"""Conditions on items, like `year >= 1990 and 'Comedy' in genres`.

Python's parser reads a condition; nothing of it is ever executed.

| form | items that meet it |
|---|---|
| `year >= 1990`, `1990 <= year < 2000`, `color == 'red'`, `year in (1994, 1995)` | by their value |
| `'Comedy' in genres` | by one of their values |
| `'Star' in title` | by a part of their title, in capitals or not |
| `a and b`, `a or b`, `not a`, brackets | as in Python |

Names are the item features, `item_id` and `title`. A name that Python would not read as one stands
in backticks: `` `product-type` == 'shoe' ``. A comparison with an unknown value is false.

Legend: V item rows, M values of an item, O values of a column.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Floats, Ints, Mask, id_array
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, RawId

Comparison = Callable[[Any, Any], Any]
Value = int | float | str

MOST_LISTED_VALUES = 30
"""Number of known values that an error lists."""
MOST_SHOWN = 200
"""Characters of a condition, or of a part of one, that an error shows."""
MOST_CHARACTERS = 100_000
MOST_COMPARISONS = 1_000
"""Each comparison looks at the whole catalogue."""
MOST_LEVELS = 100
"""Depth of brackets, `not` and `-`; Python's own stack ends not far above it."""
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
    if not isinstance(condition, str):
        raise UsageError(f"{condition!r} is no condition: write a text like 'year >= 1990'")
    text, names = _with_plain_names(condition.strip())
    evaluator = _Evaluator(condition, dataset, text, names)
    meets_V = evaluator.evaluate(_parse(condition, text, dataset))
    meets_V[:FIRST_ITEM] = False
    return meets_V


def written_name(name: str) -> str:
    """Name of a feature as a condition has to write it.

    >>> written_name("year"), written_name("product-type"), written_name("class")
    ('year', '`product-type`', '`class`')
    """
    # Python reads some letters as others: ﬁ as fi.
    is_plain = name.isidentifier() and name.isascii() and not keyword.iskeyword(name)
    return name if is_plain else "`" + name.replace("`", "``") + "`"


def outside_texts(condition: str, separator: str) -> list[str]:
    """Parts of a condition between separators that are in no text and no name in backticks.

    >>> outside_texts("'a;b' in tags = 1; year > 3 = 2", ";")
    ["'a;b' in tags = 1", ' year > 3 = 2']
    """
    parts, start = [], 0
    for token in re.finditer(rf"{_QUOTED.pattern}|{re.escape(separator)}", condition):
        if token[0] == separator:
            parts.append(condition[start : token.start()])
            start = token.end()
    return [*parts, condition[start:]]


_TEXT = r"""'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*\""""
_NAME = "`(?:[^`]|``)+`"
_QUOTED = re.compile(f"{_TEXT}|{_NAME}")


def _with_plain_names(text: str) -> tuple[str, dict[int, str]]:
    """Condition with a plain name of the same length for each one in backticks, and their names.

    The names come by the position at which they begin.
    """
    names: dict[int, str] = {}

    def plain(token: re.Match[str]) -> str:
        if not token[0].startswith("`"):
            return token[0]
        names[token.start()] = token[0][1:-1].replace("``", "`")
        return "_" * len(token[0])

    return _QUOTED.sub(plain, text), names


def _parse(condition: str, text: str, dataset: PreparedDataset) -> ast.expr:
    """Syntax tree of a condition of limited size. Raises UsageError."""
    if len(text) > MOST_CHARACTERS:
        raise UsageError(
            f"{_shortened(condition)!r} is no condition: {len(text):,} characters, and "
            f"{MOST_CHARACTERS:,} are the most; name items by allow or deny"
        )
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError) as problem:
        message = getattr(problem, "msg", None) or str(problem) or "nested too deeply"
        # Python puts its own advice, on how to write a program, behind a semicolon.
        reason = message.partition(";")[0]
        column = getattr(problem, "offset", None) or len(text) + 1
        raise UsageError(
            f"{_shortened(condition)!r} is no condition: {reason} at column {column}"
            f"{_advice(text, dataset)}"
        ) from problem
    _check_size(condition, tree)
    return tree


def _check_size(condition: str, tree: ast.expr) -> None:
    """Raise UsageError for a tree that is nested too deeply or compares too often."""
    comparisons, level = 0, [tree]
    for _ in range(MOST_LEVELS):
        comparisons += sum(len(node.ops) for node in level if isinstance(node, ast.Compare))
        level = list(_children(level))
        if not level:
            break
    else:
        raise UsageError(
            f"{_shortened(condition)!r} is nested more than {MOST_LEVELS} levels deep; simplify it"
        )
    if comparisons > MOST_COMPARISONS:
        raise UsageError(
            f"{_shortened(condition)!r} makes {comparisons:,} comparisons, and "
            f"{MOST_COMPARISONS:,} are the most; write many values as 'year in (1994, 1995)'"
        )


def _children(nodes: Sequence[ast.expr]) -> Iterator[ast.expr]:
    """Expressions directly below some."""
    for node in nodes:
        yield from (child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr))


def _advice(text: str, dataset: PreparedDataset) -> str:
    """Remark about the features of a condition that have to stand in backticks."""
    unquoted = _QUOTED.sub("", text)
    awkward = [
        name
        for name in dataset.item_features
        if written_name(name) != name and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", unquoted)
    ]
    return f"; write {', '.join(map(written_name, awkward))} in backticks" if awkward else ""


def _shortened(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}…"


@dataclass(frozen=True)
class _Evaluator:
    """Evaluation of one parsed condition on all items."""

    condition: str
    dataset: PreparedDataset
    text: str
    """Condition as Python parsed it."""
    names: dict[int, str] = field(default_factory=dict)
    """Names in backticks by their position."""

    def evaluate(self, node: ast.expr) -> Mask:
        """Items that meet a part of the condition."""
        match node:
            case ast.BoolOp(op=ast.And(), values=parts):
                return reduce(np.logical_and, map(self.evaluate, parts))
            case ast.BoolOp(op=ast.Or(), values=parts):
                return reduce(np.logical_or, map(self.evaluate, parts))
            case ast.UnaryOp(op=ast.Not(), operand=part):
                return ~self.evaluate(part)
            case ast.Compare():
                return self.chain(node)
        raise self.error(node, "compares nothing; write like year >= 1990 or 'Comedy' in genres")

    def chain(self, node: ast.Compare) -> Mask:
        """Items that meet every comparison of a chain, `1990 <= year < 2000`."""
        lefts = [node.left, *node.comparators[:-1]]
        links = zip(lefts, node.ops, node.comparators, strict=True)
        return reduce(np.logical_and, (self.compare(*link) for link in links))

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
        column = self.column(left)
        wanted = self.comparable(column, right)
        return column.mask(COMPARISONS[kind](column.known_O, wanted))

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
        values = self.column(column)
        wanted = {self.comparable(values, choice) for choice in choices}
        return values.mask([value in wanted for value in values.known_O.tolist()])

    def title_contains(self, text: str) -> Mask:
        """Items whose title contains a text, in capitals or not."""
        return np.array([text.lower() in title.lower() for title in self.titles()])

    def has_value(self, name: str, wanted: Value, left: ast.expr, right: ast.expr) -> Mask:
        """Items that have a value among several, `'Comedy' in genres`."""
        feature, table = self.dataset.item_features.get(name, (None, None))
        if feature is None or feature.kind is not Kind.MULTI:
            raise self.error(right, f"has one value; write {written_name(name)} == {wanted!r}")
        if wanted not in feature.values:
            raise self.error(left, f"is no value of {name}; known are {_listed(feature.values)}")
        row_VM = np.asarray(table)
        return (row_VM == feature.values.index(wanted) + 1).any(1)

    def comparable(self, column: _Column, node: ast.expr) -> Value:
        """Literal of the type of a column. Raises UsageError for one of another type."""
        wanted = self.literal(node)
        if column.has_numbers != isinstance(wanted, int | float):
            raise self.error(
                node, f"is compared with {'numbers' if column.has_numbers else 'texts'}"
            )
        return wanted

    def column(self, node: ast.expr) -> _Column:
        """Values of the items under a name."""
        name = self.name(node)
        if name == "item_id":
            return _Column.of([*[None] * FIRST_ITEM, *self.dataset.items.ids])
        if name == "title":
            return _Column.of([title or None for title in self.titles()])
        feature, table = self.dataset.item_features[name]
        if feature.kind is Kind.MULTI:
            written = written_name(name)
            raise self.error(node, f"has several values; write {feature.values[0]!r} in {written}")
        if feature.kind is Kind.NUMERIC:
            return _Column.of_numbers(np.asarray(table))
        return _Column.of([None, *feature.values], np.asarray(table))

    def titles(self) -> list[str]:
        """Title of each item row, empty if unknown."""
        titles = self.dataset.titles or [""] * self.dataset.num_items
        return [*[""] * FIRST_ITEM, *(title or "" for title in titles)]

    def name(self, node: ast.expr) -> str:
        """Name of an item feature, `item_id` or `title`."""
        title = ["title"] if self.dataset.titles else []
        known = ["item_id", *title, *self.dataset.item_features]
        name = None
        if isinstance(node, ast.Name):
            name = self.names.get(self.position(node), node.id)
        if name in known:
            return name
        there = ", ".join(map(written_name, known))
        advice = _advice(self.text, self.dataset)
        raise self.error(node, f"is not an item feature; there are {there}{advice}")

    def literal(self, node: ast.expr) -> Value:
        """Number or text, as written."""
        match node:
            case ast.UnaryOp(op=ast.USub(), operand=part):
                value = self.literal(part)
                if isinstance(value, int | float):
                    return -value
            case ast.Constant(value=str(value)):
                return value
            case ast.Constant(value=bool()):
                pass
            case ast.Constant(value=int(value) | float(value)):
                return self.number(node, value)
        raise self.error(node, "is no number and no text in quotes")

    def number(self, node: ast.expr, value: int | float) -> int | float:
        """Number that a column may be compared with. Raises UsageError for one beyond float64."""
        try:
            is_finite = math.isfinite(float(value))
        except OverflowError:
            is_finite = False
        if not is_finite:
            raise self.error(node, "is too large a number; 1.8e308 is the largest")
        return value

    def error(self, node: ast.expr, problem: str) -> UsageError:
        """Error that names the condition, the part and its column."""
        condition = self.condition.strip()
        start = self.position(node)
        part = ast.get_source_segment(self.text, node) or ast.unparse(node)
        written = "".join(
            letter if letter.isprintable() else " "
            for letter in condition[start : start + len(part)]
        )
        return UsageError(
            f"{_shortened(condition)!r}: {_shortened(written)} at column {start + 1} {problem}"
        )

    def position(self, node: ast.expr) -> int:
        """Position at which a node begins in the condition; Python counts lines and bytes."""
        *before, line = self.text.splitlines(keepends=True)[: node.lineno]
        return sum(map(len, before)) + len(line.encode()[: node.col_offset].decode())


@dataclass(frozen=True)
class _Column:
    """Values of the items: numbers or texts, of which some are unknown."""

    known_O: NDArray[Any]
    """Known values."""
    is_known_O: Mask
    """True for each value that is known."""
    has_numbers: bool
    row_V: Ints | None = None
    """Each item's value among all values; None where each item has its own."""

    @classmethod
    def of(cls, values: Sequence[RawId | None], row_V: Ints | None = None) -> _Column:
        """Column of values, None where unknown: numbers if all known ones are, else texts."""
        known = [value for value in values if value is not None]
        is_known_O = np.array([value is not None for value in values], dtype=bool)
        has_numbers = bool(known) and all(isinstance(value, int) for value in known)
        texts = known if has_numbers else list(map(str, known))
        return cls(id_array(texts), is_known_O, has_numbers, row_V)

    @classmethod
    def of_numbers(cls, number_V: Floats) -> _Column:
        """Column of numbers, NaN where unknown."""
        is_known_V = ~np.isnan(number_V)
        return cls(number_V[is_known_V], is_known_V, has_numbers=True)

    def mask(self, meets: Sequence[bool] | Mask) -> Mask:
        """Items whose value is known and among those that meet a comparison."""
        meets_O = self.is_known_O.copy()
        meets_O[meets_O] = meets
        return meets_O if self.row_V is None else meets_O[self.row_V]


def _listed(values: Sequence[object]) -> str:
    """Known values for an error, the first ones of many."""
    shown = ", ".join(map(str, values[:MOST_LISTED_VALUES]))
    return f"{shown}, …" if len(values) > MOST_LISTED_VALUES else shown
