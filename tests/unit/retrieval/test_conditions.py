"""Conditions: each form against the same condition in Python, and errors that name the column."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM
from bert4rec.retrieval.conditions import items_where
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
    feature, table = world.item_features["price"]
    price_V = np.asarray(table) * feature.scale + feature.mean
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
