"""Conditions: each form against the same condition in Python, and errors that name the column."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, Vocabulary
from bert4rec.retrieval.conditions import items_where, outside_texts, written_name
from small_worlds import dataset_of

GENRES = [[1], [1, 2], [2, 3], [3], []]
YEARS = [1990, 1995, 2000, 0, 1995]


@pytest.fixture
def small() -> PreparedDataset:
    return dataset_of([0, 1, 2, 3, 4], genres=GENRES, years=YEARS)


def found(text: str, dataset: PreparedDataset) -> list[int]:
    return (np.flatnonzero(items_where(text, dataset)) - FIRST_ITEM).tolist()


def by_hand(meets: Callable[[int, list[str]], Any]) -> list[int]:
    """Years that are not known compare as false with everything."""
    rows = enumerate(zip(YEARS, GENRES, strict=True))
    return [
        item
        for item, (year, genres) in rows
        if meets(year or np.nan, [f"genre {row}" for row in genres])
    ]


@pytest.mark.parametrize(
    ("text", "meets"),
    [
        ("year >= 1995", lambda year, genres: year >= 1995),
        ("1995 <= year", lambda year, genres: year >= 1995),
        ("year == 1995", lambda year, genres: year == 1995),
        ("1990 < year < 2000", lambda year, genres: 1990 < year < 2000),
        ("year in (1990, 2000)", lambda year, genres: year in (1990, 2000)),
        ("year > -3.5", lambda year, genres: year > -3.5),
        ("'genre 2' in genres", lambda year, genres: "genre 2" in genres),
        ("'genre 2' not in genres", lambda year, genres: "genre 2" not in genres),
        ("not year < 1995", lambda year, genres: not year < 1995),
        (
            "year > 1990 and 'genre 2' in genres",
            lambda year, genres: year > 1990 and "genre 2" in genres,
        ),
        (
            "(year == 1990 or 'genre 3' in genres) and not year == 2000",
            lambda year, genres: (year == 1990 or "genre 3" in genres) and year != 2000,
        ),
    ],
)
def test_a_condition_is_true_of_the_items_of_which_python_says_so(
    text: str, meets: Callable[[int, list[str]], Any], small: PreparedDataset
) -> None:
    assert found(text, small) == by_hand(meets)


def test_an_unknown_value_differs_from_nothing(small: PreparedDataset) -> None:
    assert found("year != 1990", small) == [1, 2, 4]


def test_ids_are_compared_as_they_were_given(small: PreparedDataset) -> None:
    assert found("item_id in (1, 3)", small) == [1, 3]


def test_numbers_are_compared_on_the_scale_of_the_data(world: PreparedDataset) -> None:
    _, table = world.item_features["price"]
    price_V = np.asarray(table)
    middle = float(np.median(price_V[FIRST_ITEM:]))
    expected = np.flatnonzero(price_V > middle)
    assert np.flatnonzero(items_where(f"price > {middle}", world)).tolist() == [
        row for row in expected if row >= FIRST_ITEM
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("year >", "at column 7"),
        ("year > > 3", "at column 8"),
        ("year", "year at column 1 compares nothing"),
        (
            "color == 'red'",
            "color at column 1 is not an item feature; there are item_id, genres, year",
        ),
        ("'genre 9' in genres", "known are genre 1, genre 2, genre 3"),
        ("genres == 'genre 1'", "write 'genre 1' in genres"),
        ("1990 in year", "write year == 1990"),
        ("year == '1990'", "'1990' at column 9 is compared with numbers"),
        ("year + 1 > 1990", "year + 1 at column 1 is not an item feature"),
        ("year is 1990", "compared by a word that is not known"),
        ("__import__('os').getcwd() == 'x'", "is not an item feature"),
        ("year == (lambda: 1990)()", "is no number and no text in quotes"),
    ],
)
def test_an_error_points_at_the_part_that_is_not_understood(
    text: str, said: str, small: PreparedDataset
) -> None:
    with pytest.raises(UsageError) as refused:
        items_where(text, small)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def named(*names: str) -> PreparedDataset:
    """Three items with a feature of each name, whose values are x, y and unknown."""
    features = [
        (Feature(name, Kind.CATEGORICAL, ["x", "y"]), np.array([0, 0, 1, 2, 0], dtype=np.int32))
        for name in names
    ]
    tables = {feature.name: (feature, table_V) for feature, table_V in features}
    return replace(dataset_of([0, 1, 2]), item_features=tables)


AWKWARD = ["class", "product-type", "with spaces", "a`tick", "größe", "ﬁt", "1st", "not", "q'uote"]


@pytest.mark.parametrize("name", AWKWARD)
def test_any_feature_name_can_be_written_in_backticks(name: str) -> None:
    data = named(*AWKWARD)
    written = written_name(name)
    assert found(f"{written} == 'x'", data) == [0]
    assert found(f"{written} in ['y']", data) == [1]
    assert found(f"not {written} == 'x' and not {written} == 'y'", data) == [2]


def test_backticks_within_a_text_are_text() -> None:
    assert found("color == '`x`' or color == 'y'", named("color")) == [1]


@pytest.mark.parametrize("text", ["class == 'x'", "product-type == 'x'", "with spaces == 'x'"])
def test_an_error_says_which_names_need_backticks(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        items_where(text, named(*AWKWARD))
    name = text.partition(" ==")[0]
    assert f"write `{name}` in backticks" in str(refused.value)


def test_columns_of_errors_count_letters() -> None:
    with pytest.raises(UsageError, match=r"größe at column 18 is not an item feature"):
        items_where("`größ` == 'ä' or größe == 'x'", named("größ"))


@pytest.mark.parametrize(
    "text",
    [
        "year > " + "9" * 400,
        "year > " + "9" * 5_000,
        "year > 1e999",
        "not " * 1_000 + "year > 3",
        "(" * 50_000,
        "-" * 99_000 + "1 < year",
        "year > 3 or " * 1_001 + "year > 3",
        "year > 3 " + " " * 100_000 + "or year > 4",
        "year" + ".year" * 5_000 + " > 3",
        "year > 3\x00",
        "'\ud800' in title",
        "`year",
        "``",
        "",
        5,
        None,
        ["year > 3"],
    ],
    ids=lambda text: str(text)[:12],
)
def test_a_hostile_condition_is_one_usage_error(text: Any, small: PreparedDataset) -> None:
    with pytest.raises(UsageError) as refused:
        items_where(text, small)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 1_000


def test_long_lists_of_values_are_taken(small: PreparedDataset) -> None:
    listed = ", ".join(map(str, range(1000, 1996)))
    assert found(f"year in ({listed})", small) == [0, 1, 4]
    assert found("(" * 40 + "year == 1990" + ")" * 40, small) == [0]
    assert found(f"year < {10**300}", small) == [0, 1, 2, 4]


def test_large_integer_ids_are_compared_exactly() -> None:
    large = 2**53
    data = dataset_of([0, 1])
    ids = replace(data.vocabularies, items=Vocabulary([large, large + 1], FIRST_ITEM))
    assert found(f"item_id == {large + 1}", replace(data, stored_vocabularies=ids)) == [1]
    assert found(f"item_id < {2**70}", replace(data, stored_vocabularies=ids)) == [0, 1]


def test_separators_within_texts_and_names_separate_nothing() -> None:
    assert outside_texts("'a;b' == x;`c;d` == 1; ;", ";") == ["'a;b' == x", "`c;d` == 1", " ", ""]


def test_a_condition_compares_the_numbers_that_were_given(world: PreparedDataset) -> None:
    given_V = np.array([np.nan] * FIRST_ITEM + [0, 1, 0, 1976, 1990, 0.1])
    stock = Feature("stock", Kind.NUMERIC, mean=0.6633, scale=0.4713)
    few = replace(world, item_features={"stock": (stock, np.resize(given_V, world.item_rows))})
    few.item_features["stock"][1][len(given_V) :] = np.nan
    for text, count in {
        "stock > 0": 4,
        "stock == 1": 1,
        "1976 <= stock <= 1990": 2,
        "stock == 0.1": 1,
        "stock in (0, 1990)": 3,
    }.items():
        assert items_where(text, few).sum() == count
