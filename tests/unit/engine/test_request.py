"""Requests: values become rows, or one line says what is wrong and what is known."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.engine.histories import request_history
from bert4rec.engine.raw_values import feature_rows
from bert4rec.engine.request import Request, to_seconds
from bert4rec.errors import UsageError
from bert4rec.ids import NO_RATING, NO_TIME
from bert4rec.retrieval.rules import Rules


@pytest.fixture
def dataset(world_folder: Path) -> PreparedDataset:
    extra = {
        "age": (
            Feature("age", Kind.NUMERIC, mean=40.0, scale=10.0),
            np.array([np.nan, 45.0]),
        ),
        "hobbies": (
            Feature("hobbies", Kind.MULTI, ["chess", "go", "tea"]),
            np.zeros((2, 2), np.int32),
        ),
    }
    opened = PreparedDataset.open(world_folder)
    return replace(opened, user_features={**opened.user_features, **extra})


def given(dataset: PreparedDataset, sequence: Any, times: Any = None, ratings: Any = None) -> Any:
    request = Request(item_sequence=sequence, timestamps=times, ratings=ratings)
    return request_history(request, dataset)


def test_a_history_is_rows_in_the_order_given(dataset: PreparedDataset) -> None:
    history = given(dataset, [105, 101, 105], [10, None, 30], [5, None, 1.0])
    assert history.item_N.tolist() == [6, 2, 6]
    assert history.time_N.tolist() == [10, NO_TIME, 30]
    assert history.rating_N.tolist() == [5, NO_RATING, 1]
    assert history.start_B1.tolist() == [0, 3]


def test_any_sequence_of_ids_is_accepted_except_a_text(dataset: PreparedDataset) -> None:
    for sequence in ((101, 102), np.array([101, 102]), range(101, 103)):
        assert given(dataset, sequence).item_N.tolist() == [2, 3]
    with pytest.raises(UsageError, match="is the text '101,102'; give a list"):
        given(dataset, "101,102")


def test_each_item_has_one_time_and_one_rating(dataset: PreparedDataset) -> None:
    with pytest.raises(UsageError, match="1 timestamps for 2 items"):
        given(dataset, [101, 102], [5])
    with pytest.raises(UsageError, match="3 ratings for 2 items"):
        given(dataset, [101, 102], None, [5, 4, 3])


def test_timestamps_that_fall_are_refused(dataset: PreparedDataset) -> None:
    with pytest.raises(UsageError, match="must not fall, oldest first: 20 comes after 30"):
        given(dataset, [101, 102, 103], [30, None, 20])
    assert given(dataset, [101, 102], [30, 30]).time_N.tolist() == [30, 30]


@pytest.mark.parametrize("rating", [11, 0, 2.5, "five", "5,0", True, [5], float("inf")])
def test_a_rating_is_on_the_scale(dataset: PreparedDataset, rating: object) -> None:
    with pytest.raises(UsageError, match="is not on the scale 1, 2, 3, 4, 5"):
        given(dataset, [101], None, [rating])


@pytest.mark.parametrize("five", [5, 5.0, "5", " 5.0 ", np.float32(5), np.array(5), Decimal(5)])
def test_a_rating_is_a_number_of_any_kind(dataset: PreparedDataset, five: object) -> None:
    ratings = (rating for rating in [five, float("nan"), np.float64("nan"), None])
    sequence = pl.Series([101, 102, 103, 104])
    history = given(dataset, sequence, None, ratings)
    assert history.rating_N.tolist() == [5, NO_RATING, NO_RATING, NO_RATING]


def test_ratings_are_refused_where_the_data_has_none(dataset: PreparedDataset) -> None:
    with pytest.raises(UsageError, match="the model's data has none"):
        given(replace(dataset, rating_levels=np.array([])), [101], None, [5])


def test_a_time_is_a_number_a_datetime_or_now() -> None:
    noon = datetime(2001, 1, 1, 12, tzinfo=UTC)
    assert (
        to_seconds(noon)
        == to_seconds(978_350_400)
        == to_seconds(978_350_400.9)
        == to_seconds(np.int64(978_350_400))
        == 978_350_400
    )
    assert to_seconds(noon.replace(tzinfo=None)) == 978_350_400
    assert to_seconds(noon.astimezone(timezone(timedelta(hours=5)))) == 978_350_400
    assert abs(to_seconds("now") - datetime.now(UTC).timestamp()) < 5
    assert to_seconds(None) == to_seconds(float("nan")) == NO_TIME  # type: ignore[arg-type]
    for midnight in (
        *(date(2001, 1, 1), "2001-01-01", "978307200", " 2001-01-01T01:00:00+01:00"),
        *(np.datetime64("2001-01-01"), np.datetime64("2001-01-01T00:00:00.5", "ns")),
    ):
        assert to_seconds(midnight) == 978_307_200  # type: ignore[arg-type]
    assert to_seconds(np.datetime64("NaT")) == NO_TIME  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="'20010101' may be a date or seconds"):
        to_seconds("20010101")


def test_a_datetime_without_a_zone_is_utc_wherever_the_machine_stands(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "XXX-05:00")
        time.tzset()
        here = to_seconds(datetime(2001, 1, 1, 12))
    time.tzset()
    assert here == 978_350_400


@pytest.mark.parametrize(
    "when",
    [
        -1,
        -0.5,
        float("inf"),
        40_000_000_000,
        "noon",
        "-5",
        True,
        [5],
        datetime(1969, 12, 31, 23, 59, 59),
    ],
)
def test_values_that_are_no_time_are_refused(when: Any) -> None:
    with pytest.raises(UsageError, match="is no time; give seconds since 1970"):
        to_seconds(when)


def test_features_become_value_rows(dataset: PreparedDataset) -> None:
    rows = feature_rows(
        dataset.user_features,
        {"gender": "M", "occupation_code": "7", "age": "25", "hobbies": ["tea", "go"]},
    )
    assert rows["gender"].tolist() == [2]
    assert rows["occupation_code"].tolist() == [
        3
    ]  # values are compared as text: the command line has no other
    assert rows["age"].tolist() == [25.0]
    assert rows["hobbies"].tolist() == [[2, 3]]


def test_a_user_may_have_more_values_than_any_stored_one(dataset: PreparedDataset) -> None:
    assert feature_rows(dataset.user_features, {"hobbies": ["tea", "go", "chess", "go"]})[
        "hobbies"
    ].tolist() == [[1, 2, 3]]
    assert feature_rows(dataset.user_features, {"hobbies": "go"})["hobbies"].tolist() == [[2, 0]]


def test_features_may_be_scalars_and_arrays_of_any_library(dataset: PreparedDataset) -> None:
    features = {
        "gender": np.str_("M"),
        "occupation_code": np.float64(7.0),
        "age": Decimal(25),
        "hobbies": pl.Series(["go", None]),
    }
    rows = feature_rows(dataset.user_features, features)
    assert {name: row.tolist() for name, row in rows.items()} == {
        "gender": [2],
        "occupation_code": [3],
        "age": [25.0],
        "hobbies": [[2, 0]],
    }
    unknown = feature_rows(dataset.user_features, {"gender": float("nan"), "hobbies": np.nan})
    assert unknown["gender"].tolist() == [0]
    assert unknown["hobbies"].tolist() == [[0, 0]]


def test_a_number_beyond_float32_is_refused(dataset: PreparedDataset) -> None:
    for age in (1e200, "1e200", 10**400, 1e38, -1e17, 1e9):
        with pytest.raises(UsageError, match="'age'"):
            feature_rows(dataset.user_features, {"age": age})


def test_none_means_unknown(dataset: PreparedDataset) -> None:
    rows = feature_rows(dataset.user_features, {"gender": None, "age": None, "hobbies": None})
    assert rows["gender"].tolist() == [0]
    assert np.isnan(rows["age"]).all()
    assert rows["hobbies"].tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("features", "said"),
    [
        (
            {"colour": 1},
            "unknown user feature 'colour'; "
            "known are gender, age_group, occupation_code, age, hobbies",
        ),
        ({"gender": "X"}, "user feature 'gender' has no value 'X'; known are F, M"),
        ({"gender": ["F", "M"]}, "user feature 'gender' holds one value, not ['F', 'M']"),
        (
            {"hobbies": ["go", "tv"]},
            "user feature 'hobbies' has no value 'tv'; known are chess, go, tea",
        ),
        ({"age": "old"}, "user feature 'age' is a number, not 'old'"),
        ({"age": float("inf")}, "user feature 'age' is a number, not inf"),
    ],
)
def test_an_error_for_an_unknown_feature_lists_the_known_ones(
    dataset: PreparedDataset, features: Any, said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        feature_rows(dataset.user_features, features)
    assert str(refused.value) == said


def test_user_features_are_a_mapping() -> None:
    with pytest.raises(UsageError) as refused:
        Request(user_id=1, user_features=["gender"])  # type: ignore[arg-type]
    assert str(refused.value) == "user_features is ['gender']; give a mapping of names to values"


def test_a_request_of_plain_values_is_that_of_its_arguments() -> None:
    values = {"user_id": 7, "item_sequence": [101], "k": 3, "rules": {"deny": [102]}}
    assert Request.from_dict(values) == Request(7, [101], 3, rules=Rules(deny=[102]))
    with pytest.raises(UsageError, match="unknown field 'user'; a request has user_id, item_seq"):
        Request.from_dict({"user": 7})


def test_equal_requests_are_equal_whatever_holds_their_values() -> None:
    given = Request(np.int64(7), np.array([101, 102]), ratings=[5, None])  # type: ignore[arg-type]
    assert given == Request(7, (101, 102), ratings=(5, None))
    assert type(given.user_id) is int


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rules": ["deny"]}, "rules is ['deny']; give a mapping of allow, deny, where"),
        ({"forget": "101"}, "forget is the text '101'; give a list of item ids"),
        ({"k": "10"}, "k is '10': it must be a whole number, 1 or more"),
        ({"k": True}, "k is True: it must be a whole number, 1 or more"),
        ({"forget": 5}, "forget is 5; give a list of item ids"),
        ({"item_sequence": 5}, "item_sequence is 5; give a list of item ids"),
        ({"item_sequence": {101}}, "item_sequence is {101}; give a list of item ids"),
        ({"item_sequence": np.array(5)}, "item_sequence is array(5); give a list of item ids"),
        ({"item_sequence": [101], "ratings": "5"}, "ratings is the text '5'; give a list"),
        ({"item_sequence": [101], "timestamps": 5}, "timestamps is 5; give a list of times"),
        ({"filter_seen": "no"}, "filter_seen is 'no': it must be True or False"),
        ({"ignore_unknown_items": 1}, "ignore_unknown_items is 1: it must be True or False"),
    ],
)
def test_plain_values_without_meaning_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as refused:
        Request.from_dict({"user_id": 1, **values})
    assert message in str(refused.value)
