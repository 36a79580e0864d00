"""Features and titles of items and users, and their coverage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import SourceError

HEADER = "u,i,r,t\n"


TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


def table(dataset: PreparedDataset, name: str, owner: str = "item") -> dict[int | str, object]:
    """Raw value or values of a feature by raw id; None or an empty list where unknown."""
    feature, rows = (dataset.item_features if owner == "item" else dataset.user_features)[name]
    ids = dataset.items if owner == "item" else dataset.users
    values = [None, *feature.values]
    if rows.ndim == 2:
        return {raw: [values[v] for v in rows[ids.row(raw)] if v] for raw in ids.ids}
    return {raw: values[rows[ids.row(raw)]] for raw in ids.ids}


ITEMS = "items: {file: i.csv, item: id, title: name, features: {%s}}\n"


def with_items(
    tmp_path: Path, own_tables, rows: str, features: str, **settings: object
) -> PreparedDataset:
    (tmp_path / "i.csv").write_text(rows)
    return own_tables(TWO, more=ITEMS % features, **settings)


def test_catalogue_holds_the_items_with_events(own_tables, tmp_path: Path) -> None:
    dataset = with_items(
        tmp_path, own_tables, "id,name,c\n6,Six,a\n5,Five,b\n7,Seven,z\n", "c: categorical"
    )
    assert list(dataset.items.ids) == [5, 6]
    assert list(dataset.titles) == ["Five", "Six"]
    assert table(dataset, "c") == {5: "b", 6: "a"}
    assert list(dataset.item_features["c"][0].values) == ["a", "b"]


def test_item_without_a_row_has_unknown_features_and_is_counted(own_tables, tmp_path: Path) -> None:
    dataset = with_items(tmp_path, own_tables, "id,name,c\n6,Six,a\n", "c: categorical")
    assert table(dataset, "c") == {5: None, 6: "a"}
    assert list(dataset.titles) == ["", "Six"]
    assert dataset.manifest["cleaning"]["items with events but without a row in i.csv"] == 1


def test_reserved_rows_are_unknown_in_every_feature(own_tables, tmp_path: Path) -> None:
    features = "c: categorical, g: {kind: multi, missing: [none]}, p: numeric"
    dataset = with_items(
        tmp_path, own_tables, "id,name,c,g,p\n5,F,a,x|y|x,10\n6,S,b,none,30\n", features
    )
    assert [rows[:2].tolist() for _, rows in (dataset.item_features[name] for name in "cg")] == [
        [0, 0],
        [[0, 0]] * 2,
    ]
    assert table(dataset, "g") == {5: ["x", "y"], 6: []}
    _, price_V = dataset.item_features["p"]
    assert np.isnan(price_V[:2]).all()
    assert price_V[2:].tolist() == [10, 30]


def test_values_are_extracted_mapped_binned_and_labelled(own_tables, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,name\n5,Five (1994)\n6,Six\n")
    (tmp_path / "u.csv").write_text("id,age,job\n1,17,baker\n2,18,?\n")
    dataset = own_tables(
        TWO,
        more="""
items:
  file: i.csv
  item: id
  features: {year: {kind: categorical, column: name, extract: '\\((\\d{4})\\)'}}
users:
  file: u.csv
  user: id
  features:
    age: {kind: categorical, bins: [18, 65], bin_labels: [young, grown, old]}
    work: {kind: categorical, column: job, map: {baker: 3}, labels: {3: bakes}, missing: ['?']}
""",
    )
    assert table(dataset, "year") == {5: 1994, 6: None}
    assert table(dataset, "age", "user") == {1: "young", 2: "grown"}
    assert table(dataset, "work", "user") == {1: 3, 2: None}
    assert dataset.user_features["work"][0].labels == {"3": "bakes"}


BROKEN_ITEMS = {
    "a number beyond 2 to the 53": (
        "id,name,c\n5,F,1\n6,S,1e200\n",
        "c: numeric",
        "row 3, field 'c': '1e200' is beyond",
    ),
    "an absent column": ("id,name\n5,F\n", "c: categorical", "i.csv, field 'c': no such column"),
    "a word as a number": ("id,name,c\n5,F,dear\n", "c: numeric", "'dear' is not a number"),
    "an id that comes again": (
        "id,name,c\n5,F,a\n6,S,a\n5,F,b\n",
        "c: categorical",
        "row 4, field 'id': '5' appears",
    ),
    "a row without an id": (
        "id,name,c\n5,F,a\n,S,a\n",
        "c: categorical",
        "row 3, field 'id': missing",
    ),
    "ids of another kind": ("id,name,c\n05,F,a\n06,F,a\n", "c: categorical", "none of the items"),
    "no value at all": (
        "id,name,c\n5,F,\n6,S,\n",
        "c: categorical",
        "field 'c': gives feature 'c' no value",
    ),
}


@pytest.mark.parametrize(("rows", "features", "part"), BROKEN_ITEMS.values(), ids=BROKEN_ITEMS)
def test_broken_item_table_is_one_clear_line(
    own_tables, tmp_path: Path, rows: str, features: str, part: str
) -> None:
    with pytest.raises(SourceError, match=part):
        with_items(tmp_path, own_tables, rows, features)
    assert not (tmp_path / "out").exists()


def test_audit_names_the_use_of_every_column(own_tables, tmp_path: Path) -> None:
    lines: list[str] = []
    with_items(
        tmp_path, own_tables, "id,name,c,x\n5,F,a,1\n6,S,,2\n", "c: categorical", log=lines.append
    )
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "e.csv: u user 100.0%, 2 users" in text
    assert "e.csv: r rating 100.0%, 3 levels: 1, 3, 4" in text
    assert "e.csv: t event order and time 100.0%, 1970-01-01 to 1970-01-01" in text
    assert "i.csv: c categorical c 50.0%, 1 values" in text
    assert "i.csv: x not used" in text
    assert "3 events of 3 rows" in text
