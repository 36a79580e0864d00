"""Proposed schemas: `prepare` takes them as they are, or refuses until a question is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import Bert4RecError, SourceError
from bert4rec.ingest.prepare import prepare_dataset
from bert4rec.ingest.schema_proposal import propose_schema

EVENTS = "user,item,ts\n" + "".join(f"{n % 3},{n % 4},{1_600_000_000 + n}\n" for n in range(24))


def prepared(folder: Path) -> PreparedDataset:
    return prepare_dataset(
        PrepareConfig(schema=folder / "s.yaml", output=folder / "out"), lambda line: None
    )


def proposed(folder: Path, events: str, items: str = "", **told: str) -> str:
    """Text of the proposal, which is written as `s.yaml` too."""
    (folder / "e.csv").write_text(events, encoding="utf-8")
    if items:
        (folder / "i.csv").write_text(items, encoding="utf-8")
    found = propose_schema(
        folder / "e.csv", folder / "i.csv" if items else None, told=told, folder=folder
    )
    (folder / "s.yaml").write_text(found.text, encoding="utf-8")
    return found.text


def test_proposal_of_plain_tables_is_prepared_as_it_is(tmp_path: Path) -> None:
    items = "item,title,colour,tags,price\n"
    items += "0,A,red,a|b,1.5\n1,B,blue,a,2\n2,C,red,b,3\n3,D,blue,a|b,4\n"
    text = proposed(tmp_path, EVENTS, items)
    assert "QUESTION" not in text.partition("\n")[2]
    assert "100.0% of the 4 ids" in text
    dataset = prepared(tmp_path)
    assert len(dataset.item_N) == 24
    assert text[text.index("  features:") :].splitlines()[1:] == [
        "    colour: categorical",
        '    tags: {kind: multi, separator: "|"}',
        "    price: numeric",
    ]


def test_unknown_names_are_questions_and_flags_answer_them(tmp_path: Path) -> None:
    events = EVENTS.replace("user,item,ts", "a,b,c")
    assert proposed(tmp_path, events).count("# QUESTION:") == 3
    with pytest.raises(Bert4RecError, match=r"events.user' is missing"):
        prepared(tmp_path)
    assert "# QUESTION:" not in proposed(tmp_path, events, user="a", item="b", time="c")
    assert len(prepared(tmp_path).item_N) == 24


@pytest.mark.parametrize("time", ["44162.5", "0", "12", "03/04/2020", "nonsense"])
def test_time_that_is_not_certain_is_a_question(tmp_path: Path, time: str) -> None:
    text = proposed(tmp_path, f"user,item,ts\n1,2,{time}\n")
    assert "# QUESTION:" in text
    with pytest.raises(Bert4RecError, match="no column of times"):
        prepared(tmp_path)


@pytest.mark.parametrize(
    ("time", "setting"),
    [
        ("202011270749", 'time_format: "%Y%m%d%H%M"'),
        ("27/11/2020 07:49", 'time_format: "%d/%m/%Y %H:%M"'),
        ("Fri Nov 27 07:49:03 +0000 2020", 'time_format: "%a %b %d %H:%M:%S %z %Y"'),
        ("2020-11-27 07:49:03 UTC", 'time_format: "%Y-%m-%d %H:%M:%S UTC"'),
        ("1606463343238000", "time_unit: us"),
    ],
)
def test_certain_time_gets_its_setting(tmp_path: Path, time: str, setting: str) -> None:
    assert setting in proposed(tmp_path, f"user,item,ts\n1,2,{time}\n")


def test_inch_marks_are_text_and_other_separators_are_seen(tmp_path: Path) -> None:
    events = EVENTS.replace("item,ts", "item,ts,name").replace("\n", ',TV 50"\n')
    events = events.replace('name,TV 50"', "name").replace(",", ";")
    text = proposed(tmp_path, events)
    assert "quoted: false" in text
    assert 'separator: ";"' in text
    assert len(prepared(tmp_path).item_N) == 24


def test_marks_among_ids_and_zeros_among_ratings_are_questions(tmp_path: Path) -> None:
    events = "user,item,ts,stars\n1,2,1600000000,0\nNULL,2,1600000001,1\n3,2,1600000002,5\n"
    text = proposed(tmp_path, events)
    assert text.count("# QUESTION:") == 2
    assert "missing: [NULL]" in text
    assert "scale: [1, 5]" in text


def test_table_of_other_ids_is_a_question(tmp_path: Path) -> None:
    assert "Only 0.0%" in proposed(tmp_path, EVENTS, "item,colour\nx,red\ny,blue\n")


def test_told_column_must_exist(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such column; the file has user, item, ts"):
        proposed(tmp_path, EVENTS, user="customer")
