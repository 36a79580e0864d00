"""`tools/check_source.py` finds what makes source hard to read, and nothing else."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType

import pytest

TOOLS = Path(__file__).parents[3] / "tools"


@pytest.fixture
def check_source(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(TOOLS))
    return importlib.import_module("check_source")


def faults(check_source: ModuleType, folder: Path, source: str) -> list[str]:
    """Faults of a file, as `line: fault`."""
    file = folder / "source.py"
    file.write_text(source)
    return [fault.removeprefix(f"{file}:") for fault in check_source.faults_of(file)]


@pytest.mark.parametrize(
    ("text", "opening"),
    [
        ("What a user gets.", "What"),
        ("Whether it is so.", "Whether"),
        ("Of each user the best items.", "Of"),
        ("The same for items.", "The same"),
        ("Why, if so.", "Why"),
    ],
)
def test_docstring_that_opens_with_a_riddle_is_a_fault(
    check_source: ModuleType, tmp_path: Path, text: str, opening: str
) -> None:
    found = faults(check_source, tmp_path, f'def work():\n    """{text}"""\n')
    assert found == [f"2: docstring begins with {opening!r}: name the thing first"]


@pytest.mark.parametrize(
    "text", ["Top-k items of each user.", "Offsets of histories.", "Whatsoever.", "The samples."]
)
def test_docstring_that_names_the_thing_is_no_fault(
    check_source: ModuleType, tmp_path: Path, text: str
) -> None:
    assert faults(check_source, tmp_path, f'"""{text}"""\n') == []


def test_docstring_of_an_attribute_is_checked_and_other_strings_are_not(
    check_source: ModuleType, tmp_path: Path
) -> None:
    source = 'class User:\n    age: int\n    """How old."""\n\nTEXT = "How old."\n'
    assert faults(check_source, tmp_path, source) == [
        "3: docstring begins with 'How': name the thing first"
    ]


@pytest.mark.parametrize(
    "line",
    [
        "x = [[b for b in a] for a in c]",
        "x = [b for a in c for b in a]",
        "x = {a: sum(b for b in a) for a in c}",
    ],
)
def test_nested_comprehension_is_a_fault(
    check_source: ModuleType, tmp_path: Path, line: str
) -> None:
    found = faults(check_source, tmp_path, line)
    assert found == ["1: comprehension in a comprehension: name the inner one"]


def test_nested_conditional_expression_is_a_fault(check_source: ModuleType, tmp_path: Path) -> None:
    found = faults(check_source, tmp_path, "x = 1 if a else 2 if b else 3\ny = 1 if a else 2\n")
    assert found == ["1: conditional expression in another: write statements"]


def test_shape_letter_must_be_in_the_legend_and_in_the_head(
    check_source: ModuleType, tmp_path: Path
) -> None:
    head = '"""Scores.\n\nLegend: B users.\n"""\n'
    source = f"{head}\n\ndef work(score_BV, start_B1):\n    Q = score_BV\n"
    assert faults(check_source, tmp_path, source) == [
        "7: shape letter V is not named in the head of the file"
    ]


def test_letters_of_attributes_and_targets_are_checked(
    check_source: ModuleType, tmp_path: Path
) -> None:
    source = "class Table:\n    def __init__(self):\n        self.item_N = 0\n\n\nuser_B = 1\n"
    assert faults(check_source, tmp_path, source) == [
        "3: shape letter N is not named in the head of the file",
        "6: shape letter B is not named in the head of the file",
    ]


def test_exit_code_says_whether_there_are_faults(
    check_source: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "good.py").write_text('"""Scores."""\n')
    assert check_source.main([str(tmp_path)]) == 0
    (tmp_path / "bad.py").write_text('"""What it is."""\n')
    assert check_source.main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.endswith("1 faults\n")
