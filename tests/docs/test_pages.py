"""Commands and code of the pages work as written."""

from __future__ import annotations

import re
import runpy
import shlex
import subprocess
from pathlib import Path

import pytest

from bert4rec.cli.main import main
from bert4rec.config import PrepareConfig
from bert4rec.ingest.prepare import prepare_dataset

ROOT = Path(__file__).parents[2]
PAGES = ["docs/quickstart.md", "README.md"]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"```{language}\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL
    )


def run_line(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one line of a page in this process: commands and the two scripts, not the set-up."""
    words = shlex.split(line, comments=True)
    if words[:1] == ["bert4rec"]:
        assert main(words[1:]) == 0, line
    elif words[:1] == ["python"] and words[1].endswith(".py"):
        monkeypatch.setattr("sys.argv", words[1:])
        with pytest.raises(SystemExit) as left:
            runpy.run_path(words[1], run_name="__main__")
        assert left.value.code == 0, line
    else:
        assert not words or words[0] in ("make", "python", "pip"), f"nobody tests {line!r}"


def test_commands_of_the_pages_run_as_written(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One page after another in one folder; what a page before has run already is not run again."""
    done: set[str] = set()
    for page in PAGES:
        lines = [line for block in blocks(page, "bash") for line in block.splitlines()]
        assert lines, page
        for line in lines:
            if line not in done:
                run_line(line, monkeypatch)
        done.update(lines)
        for block in blocks(page, "python"):
            exec(compile(block, page, "exec"), {})


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    text = "\n".join(
        (ROOT / page).read_text(encoding="utf-8")
        for page in [*PAGES, "CONTRIBUTING.md", "docs/commands.md"]
    )
    assert set(re.findall(r"`?\bmake ([a-z]+)(?=`|\s{2,}#|\n)", text)) <= targets


def test_demo_runs_and_leaves_a_model_and_two_pictures(
    working_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = subprocess.run(
        ["make", "--dry-run", "--directory", str(ROOT), "demo"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    commands = re.findall(r"^\S+/(bert4rec .*)$", recipe, re.MULTILINE)
    assert [command.split()[1] for command in commands] == [
        *("prepare", "train", "evaluate", "recommend", "explain", "profile")
    ]
    for command in commands:
        run_line(command, monkeypatch)
    assert (working_folder / "demo/model/config.json").is_file()
    for picture in ("demo/model/losses.png", "demo/report/comparison.png"):
        assert (working_folder / picture).read_bytes().startswith(b"\x89PNG"), picture


def test_schema_of_the_data_page_is_read_as_written(tmp_path: Path) -> None:
    (schema,) = blocks("docs/own-tables.md", "yaml")
    (tmp_path / "shop.yaml").write_text(schema)
    (tmp_path / "orders.csv").write_text(
        "customer,article,bought_at,stars,basket\n"
        "ana,a1,2024-05-01,5,1\nana,a2,2024-05-02,4,1\nbo,a1,2024-05-03,,2\n"
    )
    (tmp_path / "articles.csv").write_text(
        "article,label,department,tags,price\n"
        "a1,Lamp (2019),home,red;new,9.5\na2,Chair (2020),home,,20\n"
    )
    (tmp_path / "customers.tsv").write_text("customer\tage\tcountry\nana\t34\tPT\nbo\t70\t??\n")
    found = prepare_dataset(
        PrepareConfig(schema=tmp_path / "shop.yaml", output=tmp_path / "out"), lambda line: None
    )
    assert found.name == "shop"
    assert list(found.item_features) == ["department", "tags", "price", "year"]
    assert [found.user_features[name][0].values for name in ("age_group", "country")] == [
        ["18-34", "65+"],
        ["PT"],
    ]


def test_pages_equal_what_their_sources_generate() -> None:
    generated = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [
        path
        for path, text in generated.items()
        if (ROOT / path).read_text(encoding="utf-8") != text
    ]
    assert not stale, "run 'make docs'"
    commands = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs/commands").glob("*.md")}
    assert commands <= generated.keys(), "run 'make docs'"
