"""The code of the engine's pages, of the docstrings and the examples runs as it stands."""

from __future__ import annotations

import doctest
import re
import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest
import torch

from bert4rec.engine.engine import RecommendationEngine

ROOT = Path(__file__).parents[3]


@pytest.fixture
def trained_here(model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the model that the pages speak of."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs" / "small").symlink_to(model_folder)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", ["engine.md", "rules.md", "explanations.md"])
def test_the_code_of_a_page_runs_from_top_to_bottom(
    trained_here: Path, page: str, capsys: pytest.CaptureFixture[str]
) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(), re.DOTALL)
    assert blocks
    exec(compile("\n".join(blocks), page, "exec"), {})
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("example", "said"), [("recommend", "cold-start user with"), ("explain", "favourite_genres")]
)
def test_an_example_answers_from_a_model_folder(
    trained_here: Path,
    example: str,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "argv", [example, "runs/small"])
    runpy.run_path(str(ROOT / "examples" / f"{example}.py"), run_name="__main__")
    assert said in capsys.readouterr().out


def test_the_training_example_leaves_a_model_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["train_small", str(tmp_path / "small")])
    runpy.run_path(str(ROOT / "examples" / "train_small.py"), run_name="__main__")
    assert f"model folder: {tmp_path / 'small'}" in capsys.readouterr().out
    assert (tmp_path / "small" / "config.json").is_file()


@pytest.mark.parametrize(
    "module",
    [
        "bert4rec",
        "bert4rec.engine.engine",
        "bert4rec.engine.request",
        "bert4rec.retrieval.conditions",
        "bert4rec.retrieval.ranking",
        "bert4rec.retrieval.rules",
    ],
)
@pytest.mark.usefixtures("trained_here")
def test_the_examples_of_docstrings_give_what_they_show(
    module: str, engine: RecommendationEngine
) -> None:
    documented = import_module(module)
    known = {"engine": engine, "dataset": engine.dataset, "torch": torch}
    found = doctest.testmod(documented, extraglobs=known)
    assert found.attempted
    assert not found.failed
