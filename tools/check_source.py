"""Reading rules that ruff does not know, checked on `src`; `make check` runs it.

    python tools/check_source.py [PATH …]

- The first line of a docstring names the thing: it is no riddle (`What …`, `Whether …`, `Of …`).
- A comprehension loops once and holds no second one.
- A conditional expression holds no second one.
- A shape letter is one of the legend in `docs/glossary.md`, and the file's head names it.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RIDDLES = (
    *("What", "How", "Whether", "Which", "Who", "Whom", "Whose", "Where", "When", "Why"),
    *("Of", "Those", "Likewise", "The same", "As"),
)
"""Openings that make a reader guess what is described."""
OPENING = re.compile(rf"({'|'.join(RIDDLES)})\b")
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
SHAPE = re.compile(r"^[a-z][a-z_0-9]*_([A-Z][A-Z0-9]*|1[A-Z][A-Z0-9]*)$")
LEGEND_LINE = re.compile(r"^\| `([A-Z])` \|", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Print every fault as `file:line: fault`; the exit code is 1 where there are any."""
    paths = [Path(argument) for argument in arguments] or [Path(os.path.relpath(ROOT / "src"))]
    faults = [fault for path in paths for file in _files(path) for fault in faults_of(file)]
    print(*faults, sep="\n", end="\n" if faults else "")
    print(f"{len(faults)} faults" if faults else "source reads as agreed")
    return int(bool(faults))


def _files(path: Path) -> list[Path]:
    """Python files of a folder, or the file itself."""
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


def faults_of(file: Path) -> Iterator[str]:
    """Faults of one file, one line each."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    found = [*_riddles(tree), *_nested(tree), *_letters(tree)]
    for line, fault in sorted(found):
        yield f"{file}:{line}: {fault}"


def _riddles(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Docstrings, those below an attribute included, that do not name the thing first."""
    for node in ast.walk(tree):
        if not isinstance(node, DOCUMENTED):
            continue
        for statement in node.body:
            riddle = OPENING.match(_docstring(statement))
            if riddle:
                yield statement.lineno, f"docstring begins with {riddle[1]!r}: name the thing first"


def _docstring(statement: ast.stmt) -> str:
    """Text of a statement that is a string; empty for any other."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return statement.value.value.strip() if isinstance(statement.value.value, str) else ""
    return ""


def _nested(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Comprehensions with two loops or within another, and conditional expressions in another."""
    for node in ast.walk(tree):
        if isinstance(node, COMPREHENSIONS):
            if len(node.generators) > 1 or _holds(node, COMPREHENSIONS):
                yield node.lineno, "comprehension in a comprehension: name the inner one"
        elif isinstance(node, ast.IfExp) and _holds(node, ast.IfExp):
            yield node.lineno, "conditional expression in another: write statements"


def _holds(node: ast.AST, kind: type | tuple[type, ...]) -> bool:
    """True where a node of this kind lies below the given one."""
    return any(isinstance(child, kind) for child in ast.walk(node) if child is not node)


def _letters(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Shape letters outside the legend, or that the head of the file does not name."""
    known = set(LEGEND_LINE.findall((ROOT / "docs/glossary.md").read_text(encoding="utf-8")))
    head = ast.get_docstring(tree) or ""
    _, _, legend = head.partition("Legend:")
    named = set(re.findall(r"\b([A-Z])\b", legend))
    used: dict[str, int] = {}
    for node in ast.walk(tree):
        for name in _names(node):
            match = SHAPE.match(name)
            for letter in re.sub(r"\d", "", match[1]) if match else "":
                used.setdefault(letter, getattr(node, "lineno", 1))
    for letter, line in used.items():
        if letter not in known:
            yield line, f"shape letter {letter} is not in the legend of docs/glossary.md"
        elif letter not in named:
            yield line, f"shape letter {letter} is not named in the head of the file"


def _names(node: ast.AST) -> list[str]:
    """Names that a node introduces; names of other files are checked there."""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        return [node.id]
    if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
        return [node.attr]
    return [node.arg] if isinstance(node, ast.arg) else []


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
