"""The tutorial runs as written and prints what it shows."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial.md"
BLOCK = re.compile(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", re.DOTALL)


@pytest.mark.slow
def test_tutorial_prints_its_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Text before training is compared without decimals, text after it by its line count."""
    monkeypatch.chdir(tmp_path)
    untrained, trained = TUTORIAL.read_text(encoding="utf-8").split("## 7. Training")
    names: dict[str, Any] = {}
    for code, shown in BLOCK.findall(untrained):
        assert _without_decimals(_printed(code, names)) == _without_decimals(shown)
    for code, _ in BLOCK.findall(trained):
        assert _printed(code, names).strip()
    assert names["found"].item_ids[0] == 113, "the page says that the model finds the rule"


def _printed(code: str, names: dict[str, Any]) -> str:
    output = io.StringIO()
    with redirect_stdout(output):
        exec(compile(code, str(TUTORIAL), "exec"), names)
    return output.getvalue()


def _without_decimals(text: str) -> str:
    return re.sub(r"\d+\.\d+", "#", text)
