"""Cold-start items are placed by their metadata; scores of the other items stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bert4rec.artefact import load
from bert4rec.cli.catalogue_table import read_items
from bert4rec.data.synthetic import GROUPS
from bert4rec.engine.added_items import with_items
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.errors import UsageError
from command_line import run

GENRES = ["Circle", "Square", "Star", "Wave"]
NEW = [
    {"item_id": 900 + group, "title": f"New {name}", "genres": [name]}
    for group, name in enumerate(GENRES)
]
ALL_ITEMS = 24


@pytest.fixture(scope="module")
def grown(engine: RecommendationEngine) -> RecommendationEngine:
    return engine.add_items(NEW)


def scores(engine: RecommendationEngine, **asked: Any) -> dict[Any, float]:
    return {
        item.item_id: item.score
        for item in engine.get_recommendations(**asked, k=99, filter_seen=False)
    }


def test_scores_of_the_other_items_stay(
    engine: RecommendationEngine, grown: RecommendationEngine
) -> None:
    for user in (1, 2, 3):
        before, after = scores(engine, user_id=user), scores(grown, user_id=user)
        assert set(after) - set(before) == {900, 901, 902, 903}
        assert {item: after[item] for item in before} == pytest.approx(before, abs=1e-5)
    assert engine.dataset.num_items == ALL_ITEMS


def test_users_who_like_a_group_get_its_cold_start_item_first(
    grown: RecommendationEngine,
) -> None:
    """User u likes group (u − 1) mod 4."""
    hits = 0
    for user in range(1, 41):
        found = scores(grown, user_id=user)
        hits += max(range(GROUPS), key=lambda group: found[900 + group]) == (user - 1) % GROUPS
    assert hits >= 24  # by chance 10


def test_a_cold_start_item_may_be_in_a_history_and_resembles_its_group(
    grown: RecommendationEngine,
) -> None:
    found = grown.get_recommendations(item_sequence=[901], k=3)
    assert len(found.item_ids) == 3
    assert 901 not in found.item_ids
    explained = grown.explain_recommendation(item_sequence=[105, 109], recommended_item_id=902)
    assert explained.title == "New Star"
    assert "genres" in explained.item_feature_effects


def test_a_larger_model_is_saved_and_loaded(model_folder: Path, tmp_path: Path) -> None:
    table = pl.DataFrame(
        {
            "item_id": [900, 901],
            "title": ["A", "B"],
            "genres": ["Square|Sparkling", "Star"],
            "price": ["11.5", ""],
        }
    )
    table.write_csv(tmp_path / "new.csv")
    words = [
        "--model",
        model_folder,
        "--table",
        tmp_path / "new.csv",
        "--output",
        tmp_path / "grown",
    ]
    said = run("add-items", *map(str, words)).succeeded()
    assert "2 items added, 26 in all" in said
    model = load(tmp_path / "grown")
    assert model.dataset.titles is not None
    assert model.dataset.titles[-2:] == ["A", "B"]
    _, table_V = model.dataset.item_features["price"]
    assert np.asarray(table_V)[-2] == 11.5
    assert np.isnan(np.asarray(table_V)[-1])
    again = RecommendationEngine(
        with_items(
            load(model_folder), read_items(tmp_path / "new.csv", load(model_folder).dataset).items
        )
    )
    assert scores(RecommendationEngine(model), user_id=1) == pytest.approx(
        scores(again, user_id=1), abs=1e-5
    )
    assert run("add-items", *map(str, words)).code == 2  # there is something already


def test_more_values_than_any_item_had_make_the_table_wider(engine: RecommendationEngine) -> None:
    grown = engine.add_items([{"item_id": 900, "genres": GENRES}])
    feature, table_VM = grown.dataset.item_features["genres"]
    assert [feature.values[row - 1] for row in np.asarray(table_VM)[-1]] == GENRES
    assert scores(grown, user_id=1).keys() - scores(engine, user_id=1).keys() == {900}


@pytest.mark.parametrize(
    ("items", "said"),
    [
        ([], "there is nothing to add"),
        ([{"item_id": 101, "genres": ["Star"]}], "item 1: item_id 101 is in the catalogue already"),
        (
            [{"item_id": 900, "year": 1991}, {"item_id": 900, "year": 1992}],
            "item_id 900 comes 2 times",
        ),
        (
            [{"item_id": 900, "title": "New"}],
            "item 1: nothing is known of 900; give one of genres, year, price",
        ),
        ([{"item_id": 900, "year": None, "genres": []}], "nothing is known of 900"),
        (
            [{"item_id": 900, "colour": "red"}],
            "item 1: unknown column 'colour'; known are item_id, title, genres",
        ),
        (
            [{"item_id": 900, "genres": ["Opera"]}],
            "item feature 'genres' has no value 'Opera'; known are Circle",
        ),
        ([{"item_id": 900, "year": 2050}], "item feature 'year' has no value 2050; known are 1991"),
        ([{"item_id": 900, "price": "dear"}], "item feature 'price' is a number, not 'dear'"),
        (
            [{"item_id": "900", "year": 1991}],
            "item 1: item_id is '900'; the data's ids are of type int",
        ),
        ([{"year": 1991}], "item 1: item_id is None"),
    ],
)
def test_items_without_meaning_are_refused(
    engine: RecommendationEngine, items: list[dict[str, Any]], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        engine.add_items(items)
    assert said in str(refused.value)
