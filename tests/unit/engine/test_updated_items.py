"""Metadata of known items changes without training; everything else stays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert4rec.artefact import load
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.updated_items import with_updates
from bert4rec.errors import UnknownItem, UsageError
from command_line import Done, run

SCHEMA = """
events: {file: events.csv, user: user, item: sku, time: time}
items:
  file: items.csv
  item: sku
  title: name
  features:
    genres: {kind: multi, column: tags, separator: ";", map: {round: Circle}}
    price: {kind: numeric, column: cost, missing: [none]}
"""


def commanded(command: str, model_folder: Path, folder: Path, table: str, *words: object) -> Done:
    """Output of a command on a table."""
    (folder / "table.csv").write_text(table)
    named = ("--model", model_folder, "--table", folder / "table.csv")
    return run(command, *named, "--output", folder / "changed", *words)


def test_updates_change_what_they_name_and_nothing_else(
    engine: RecommendationEngine,
) -> None:
    data = engine.dataset
    updated, changes = with_updates(
        engine.model,
        [{"item_id": 103, "title": "New", "price": 3.5}, {"item_id": 104, "genres": ["Star"]}],
    )
    after = RecommendationEngine(updated)
    assert changes == {"title": 1, "price": 1, "genres": 1}
    assert after.dataset.titles is not None
    assert after.dataset.titles[2] == "New"
    assert np.asarray(after.dataset.item_features["price"][1])[4] == 3.5
    for name, (_, table) in after.dataset.item_features.items():
        is_other = np.ones(len(table), dtype=bool)
        is_other[[4, 5]] = False
        before = np.asarray(data.item_features[name][1])
        np.testing.assert_array_equal(np.asarray(table)[is_other], before[is_other])
    assert after.dataset.manifest["features_checksum"] != data.manifest["features_checksum"]
    assert data.titles is not None
    assert data.titles[2] != "New"
    found = {item.item_id: item.score for item in engine.get_recommendations(2, k=24)}
    now = {item.item_id: item.score for item in after.get_recommendations(2, k=24)}
    assert now[104] != found[104] if 104 in found else now[103] != found[103]


def test_unchanged_values_change_no_score(engine: RecommendationEngine) -> None:
    updated, changes = with_updates(engine.model, [{"item_id": 103}])
    assert changes == {}
    same = RecommendationEngine(updated).get_recommendations(2, k=5)
    assert same.item_ids == engine.get_recommendations(2, k=5).item_ids


def test_unknown_items_and_repeated_ones_are_refused(engine: RecommendationEngine) -> None:
    with pytest.raises(UnknownItem, match="777"):
        with_updates(engine.model, [{"item_id": 777, "price": 1}])
    with pytest.raises(UsageError, match="comes twice"):
        with_updates(engine.model, [{"item_id": 103}, {"item_id": 103}])


def test_update_items_writes_a_folder_and_says_what_changed(
    model_folder: Path, tmp_path: Path
) -> None:
    done = commanded(
        *("update-items", model_folder, tmp_path),
        "item_id,title,genres,price,colour\n103,New,Star|Opera,4.5,red\n104,,,,blue\n",
    )
    assert done.code == 0, done.err
    assert done.out.startswith("2 items read, changed: title of 1, ")
    assert "columns not used: colour" in done.err
    assert "genres: 1 values that the model does not know are taken as unknown: 'Opera'" in done.err
    data = load(tmp_path / "changed").dataset
    assert data.titles is not None
    assert data.titles[2:4] == ["New", "Item 3"]


def test_the_schema_of_the_data_declares_the_table(model_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(SCHEMA)
    done = commanded(
        *(
            "add-items",
            model_folder,
            tmp_path,
            "sku,name,tags,cost\n900,A,round,none\n901,B,Star;Wave,1\n",
        ),
        *("--schema", tmp_path / "shop.yaml"),
    )
    assert done.code == 0, done.err
    data = load(tmp_path / "changed").dataset
    feature, table = data.item_features["genres"]
    rows = np.asarray(table)[-2:].tolist()
    assert [feature.values[row - 1] for row in rows[0] if row] == ["Circle"]
    assert [feature.values[row - 1] for row in rows[1] if row] == ["Star", "Wave"]
    assert np.isnan(np.asarray(data.item_features["price"][1])[-2])


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("item,price\n900,1\n", "no column item_id; the file has item, price"),
        ("item_id,price\n900,dear\n", "row 2, field 'price'"),
        ("item_id,price\n900,1\n900,2\n", "row 3, field 'item_id'"),
        ("item_id,price\n", "the table has no rows"),
        ("item_id,price\n103,1\n", "103 is in the catalogue already; update-items changes it"),
        ("item_id,genres\n900,Opera\n", "nothing is known of 900"),
    ],
)
def test_tables_that_cannot_be_used_are_one_line(
    model_folder: Path, tmp_path: Path, table: str, said: str
) -> None:
    done = commanded("add-items", model_folder, tmp_path, table)
    assert done.code in (1, 2)
    assert said in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "changed").exists()
