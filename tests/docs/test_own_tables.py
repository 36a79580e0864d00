"""The guide to one's own tables runs as written, on a small invented shop."""

from __future__ import annotations

import re
import shlex
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bert4rec.cli.main import main
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.ids import FIRST_ITEM, FIRST_USER

PAGE = Path(__file__).parents[2] / "docs" / "own-tables.md"
DEPARTMENTS = ["home", "garden", "kitchen", "office"]
TAGS = ["red", "sale", "wood"]


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the tables and the schema of the page."""
    world = synthetic_dataset(num_users=60, num_items=40, events_per_user=16)
    orders = ["customer,article,bought_at,stars,basket"]
    for user in range(FIRST_USER, world.user_rows):
        for event in range(world.start_U1[user], world.start_U1[user + 1]):
            article = int(world.item_N[event]) - FIRST_ITEM + 1
            bought_at = datetime.fromtimestamp(int(world.time_N[event]), UTC).isoformat()
            orders.append(f"c{user},a{article},{bought_at},{int(world.rating_N[event])},{event}")
    articles = [
        f"a{item},Article {item} ({2015 + item % 8}),{DEPARTMENTS[item % 4]},"
        f"{TAGS[item % 3]},{item % 9 + 5}"
        for item in range(1, world.num_items + 1)
    ]
    customers = [f"c{user}\t{18 + user % 50}\tPT" for user in range(1, world.num_users + 1)]
    (tmp_path / "orders.csv").write_text("\n".join(orders))
    (tmp_path / "articles.csv").write_text(
        "\n".join(["article,label,department,tags,price", *articles])
    )
    (tmp_path / "customers.tsv").write_text("\n".join(["customer\tage\tcountry", *customers]))
    (tmp_path / "shop.yaml").write_text(_blocks("yaml")[0])
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_guide_leads_from_tables_to_recommendations(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for line in "".join(_blocks("bash")).splitlines():
        words = shlex.split(line)
        assert words[0] == "bert4rec"
        assert main(words[1:]) == 0, line
    assert (shop / "lists.csv").read_text().startswith("user_id,item_id,score,rank\n")
    capsys.readouterr()
    (code,) = _blocks("python")
    exec(compile(code, str(PAGE), "exec"), {})
    assert "has rank" in capsys.readouterr().out


def _blocks(language: str) -> list[str]:
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
