"""docs/settings.md from `config.py`: every setting with its type, default and description.

`docs/generate.py` writes the page, and a test compares it with its source.
"""

from __future__ import annotations

import ast
from pathlib import Path

CONFIG = Path(__file__).parents[1] / "src" / "bert4rec" / "config.py"
GROUPS = {
    "ModelConfig": "Network",
    "TrainingConfig": "Training",
    "TaskWeights": "Task weights",
    "SplitConfig": "Split",
    "PrepareConfig": "Preparation",
}
"""Classes of `config.py`, and the title of each group."""

HEAD = """# Settings

This page is generated from `bert4rec/config.py` by `make docs`.

Every setting is a flag of `bert4rec train` and a key of a configuration file:
`--hidden_size 64`, `hidden_size: 64`.
`bert4rec tune` and `bert4rec distill` have these flags too; teachers of `distill` are `--teachers`.
Task weights are `--task_weights.next_item 1` and `task_weights: {next_item: 1}`.
Preparation settings are flags of `bert4rec prepare`.

The later wins: defaults, preset, `--config` file, flags.
`bert4rec presets` lists the presets, and the complete settings are stored with the model.
"""


def settings_page() -> str:
    """Text of docs/settings.md."""
    tree = ast.parse(CONFIG.read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    sections = [_section(title, classes[name]) for name, title in GROUPS.items()]
    return "\n".join([HEAD, *sections])


def _section(title: str, node: ast.ClassDef) -> str:
    lines = [f"## {title}\n", "| setting | type | default | meaning |", "|---|---|---|---|"]
    for entry, text in zip(node.body, node.body[1:], strict=False):
        if isinstance(entry, ast.AnnAssign) and isinstance(entry.target, ast.Name):
            kind, default = _type(entry.annotation), _default(entry.value)
            lines.append(f"| `{entry.target.id}` | {kind} | {default} | {_text(text)} |")
    return "\n".join([*lines, ""])


def _type(annotation: ast.expr) -> str:
    """Name of a type, or the values to choose from."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == "Literal":
        return ", ".join(f"`{value}`" for value in ast.literal_eval(annotation.slice))
    return "`" + ast.unparse(annotation).replace("|", "\\|") + "`"


def _default(value: ast.expr | None) -> str:
    if value is None:
        return "required"
    if isinstance(value, ast.Call):
        return "see below"
    return f"`{ast.unparse(value)}`"


def _text(node: ast.stmt) -> str:
    """Attribute docstring on one line of a table."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return " ".join(str(node.value.value).split()).replace("|", "\\|")
    return ""
