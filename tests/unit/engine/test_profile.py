"""Profiles: stored demographics and activity, favourites, and predicted preferences."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.synthetic import GROUPS
from bert4rec.engine import profile
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.errors import UnknownUser
from bert4rec.retrieval.conditions import items_where
from small_worlds import dataset_of

USER = 2


def test_demographics_come_first_under_the_names_of_the_data(engine: RecommendationEngine) -> None:
    known = engine.get_user_profile(USER)
    assert list(known)[:3] == ["gender", "age_group", "occupation_code"]
    assert (known["gender"] in ("F", "M"), known["age_group"], known["user_id"]) == (
        True,
        "18-24",
        USER,
    )
    words = {0: "other", 1: "educator", 7: "executive"}
    assert known["occupation"] == words[known["occupation_code"]]


def test_activity_is_that_of_the_stored_history(engine: RecommendationEngine) -> None:
    data, row = engine.dataset, engine.dataset.users.row(USER)
    events = slice(data.start_U1[row], data.start_U1[row + 1])
    known = engine.get_user_profile(USER)
    assert known["num_events"] == 20
    assert datetime.fromisoformat(known["first_event"]) == datetime.fromtimestamp(
        int(data.time_N[events][0]), UTC
    )
    assert datetime.fromisoformat(known["last_event"]) == datetime.fromtimestamp(
        int(data.time_N[events][-1]), UTC
    )
    assert known["mean_rating"] == pytest.approx(data.rating_N[events].mean())  # level r has row r


def test_favourites_count_each_value_of_the_history(engine: RecommendationEngine) -> None:
    data, row = engine.dataset, engine.dataset.users.row(USER)
    events = slice(data.start_U1[row], data.start_U1[row + 1])
    item_N, rating_N = data.item_N[events] - 2, data.rating_N[events]
    has = {
        name: (item_N % GROUPS == group)
        for group, name in enumerate(["Circle", "Square", "Star", "Wave"])
    } | {"Sparkling": item_N % 3 == 0}
    found = engine.get_user_profile(USER)["favourite_genres"]
    assert found[0]["value"] == "Square"  # user 2 likes group 1
    assert {entry["value"] for entry in found} == {
        name for name, has_N in has.items() if has_N.any()
    }
    assert [entry["share"] for entry in found] == sorted(
        (entry["share"] for entry in found), reverse=True
    )
    for entry in found:
        assert entry["share"] == pytest.approx(has[entry["value"]].mean())
        assert entry["mean_rating"] == pytest.approx(rating_N[has[entry["value"]]].mean())


def test_the_preference_head_predicts_the_liked_group(engine: RecommendationEngine) -> None:
    names, hits = ["Circle", "Square", "Star", "Wave"], 0
    for user_id in range(1, 41):
        expected = engine.get_user_profile(user_id)["predicted_genres"]
        assert sum(entry["probability"] for entry in expected) == pytest.approx(
            1, abs=1e-5
        )  # five values, all shown
        hits += expected[0]["value"] == names[(user_id - 1) % GROUPS]
    assert hits >= 30


def test_a_profile_is_plain_values(engine: RecommendationEngine) -> None:
    known = engine.get_user_profile(np.int64(USER))  # type: ignore[arg-type]
    assert json.loads(json.dumps(known)) == known


def test_ratings_and_active_days_are_those_of_the_stored_history(
    engine: RecommendationEngine,
) -> None:
    data, row = engine.dataset, engine.dataset.users.row(USER)
    events = slice(data.start_U1[row], data.start_U1[row + 1])
    known = engine.get_user_profile(USER)
    assert known["ratings"] == {
        str(level): int((data.rating_N[events] == level).sum()) for level in range(1, 6)
    }
    assert known["active_days"] == len({int(time) // 86_400 for time in data.time_N[events]})


def test_the_condition_of_a_favourite_is_met_by_its_events_and_items(
    engine: RecommendationEngine,
) -> None:
    """An entry counts exactly the events that meet its condition, and names such items."""
    data, row = engine.dataset, engine.dataset.users.row(USER)
    item_N = data.item_N[data.start_U1[row] : data.start_U1[row + 1]]
    known = engine.get_user_profile(USER)
    for name in ("favourite_genres", "favourite_year_decade"):
        assert known[name]
        for entry in known[name]:
            meets_V = items_where(entry["condition"], data)
            assert entry["events"] == meets_V[item_N].sum()
            assert 0 < len(entry["items"]) <= 3
            assert all(
                meets_V[data.items.row(item)] and data.items.row(item) in item_N
                for item in entry["items"]
            )
    assert [entry["value"] for entry in known["favourite_year_decade"]] == ["1990s"]


def test_the_items_of_a_favourite_are_the_best_rated_and_of_those_the_latest() -> None:
    dataset = dataset_of([0, 1, 2, 3, 4], genres=[[1]] * 5, ratings=[[3, 5, 5, 4, 1]])
    (entry,) = profile.favourites(dataset, dataset.histories(np.array([1]), np.array([5])))[
        "favourite_genres"
    ]
    assert entry["items"] == [2, 1, 3]


def test_a_negative_boost_of_a_favourite_lowers_its_number(engine: RecommendationEngine) -> None:
    def number(condition: str, rules: dict[str, object] | None = None) -> int:
        meets_V = items_where(condition, engine.dataset)
        found = engine.get_recommendations(USER, k=6, rules=rules)
        return sum(bool(meets_V[engine.dataset.items.row(item)]) for item in found.item_ids)

    favourites = engine.get_user_profile(USER)["favourite_genres"]
    condition = max((entry["condition"] for entry in favourites), key=number)
    assert number(condition, {"boosts": {condition: -5.0}}) < number(condition)


def test_forgotten_events_are_ignored(engine: RecommendationEngine) -> None:
    data, row = engine.dataset, engine.dataset.users.row(USER)
    item_N = data.item_N[data.start_U1[row] : data.start_U1[row + 1]]
    gone = data.items.raw(int(item_N[0]))
    before, after = engine.get_user_profile(USER), engine.get_user_profile(USER, forget=[gone])
    assert after["num_events"] == before["num_events"] - (item_N == item_N[0]).sum()
    assert all(gone not in entry["items"] for entry in after["favourite_genres"])
    assert after["predicted_genres"] != before["predicted_genres"]


def test_an_unknown_user_has_no_profile(engine: RecommendationEngine) -> None:
    for unknown in (9999, "2", None):
        with pytest.raises(UnknownUser):
            engine.get_user_profile(unknown)  # type: ignore[arg-type]


def test_every_kind_of_user_feature_has_its_raw_value(world_folder: Path) -> None:
    dataset = PreparedDataset.open(world_folder)
    tables = {
        "age": (
            Feature("age", Kind.NUMERIC, mean=40.0, scale=15.0),
            np.array([np.nan, 25.0, np.nan]),
        ),
        "hobbies": (
            Feature("hobbies", Kind.MULTI, ["chess", "go"]),
            np.array([[0, 0], [2, 1], [0, 0]]),
        ),
        "town": (
            Feature("town", Kind.CATEGORICAL, ["Ulm", "Rom"], {"Rom": "Roma"}),
            np.array([0, 2, 0]),
        ),
    }
    small = replace(dataset, user_features=tables)
    assert profile.demographics(small, 1) == {
        "age": 25.0,
        "hobbies": ["go", "chess"],
        "town": "Rom",
        "town_label": "Roma",
    }
    assert profile.demographics(small, 2) == {"age": None, "hobbies": [], "town": None}


def test_a_feature_takes_precedence_over_a_label_of_its_name(world_folder: Path) -> None:
    feature = Feature("job_code", Kind.CATEGORICAL, [7], {"7": "artist"})
    other = Feature("job", Kind.CATEGORICAL, ["painter"])
    tables = {"job_code": (feature, np.array([0, 1])), "job": (other, np.array([0, 1]))}
    small = replace(PreparedDataset.open(world_folder), user_features=tables)
    assert profile.demographics(small, 1) == {"job_code": 7, "job": "painter"}


def test_unknown_ratings_and_times_are_left_out(world_folder: Path) -> None:
    dataset = PreparedDataset.open(world_folder)
    nobody = dataset.histories(np.array([1]), dataset.start_U1[[1]])
    assert profile.activity(dataset, nobody) == {"num_events": 0}
    assert profile.favourites(dataset, nobody) == {}
    plain = replace(
        dataset.histories(np.array([1]), dataset.start_U1[[2]]),
        time_N=np.full(10, -1),
        rating_N=np.zeros(10, dtype=np.uint8),
    )
    assert profile.activity(dataset, plain) == {"num_events": 10}
    assert "mean_rating" not in profile.favourites(dataset, plain)["favourite_genres"][0]
