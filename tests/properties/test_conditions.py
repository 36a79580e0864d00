"""A generated condition is true of the items of which Python says it is true."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM
from bert4rec.retrieval.conditions import items_where
from small_worlds import dataset_of

YEARS = [1990, 1995, 2000, 0, 1995, 2005]
GENRES = [[1], [1, 2], [2, 3], [3], [], [1, 2, 3]]
DATASET = dataset_of(list(range(len(YEARS))), genres=GENRES, years=YEARS)


class Unknown:
    """Value for which every comparison is false, as conditions define it."""

    def __eq__(self, other: object) -> bool:
        return False

    __ne__ = __lt__ = __le__ = __gt__ = __ge__ = __eq__  # type: ignore[assignment]
    __hash__ = None  # type: ignore[assignment]


years = st.sampled_from([1989, 1990, 1995, 1997.5, 2000, 2005, 2100]).map(str)
signs = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
names = st.sampled_from(["year", "item_id"])
numbers = st.one_of(years, st.integers(-1, 6).map(str))
comparisons = st.one_of(
    st.builds("{} {} {}".format, names, signs, numbers),
    st.builds("{} {} {}".format, numbers, signs, names),
    st.builds("{} {} {} {} {}".format, years, signs, st.just("year"), signs, years),
    st.builds("{} in ({}, {})".format, names, numbers, numbers),
    st.builds("{} not in [{}]".format, names, numbers),
    st.builds("'genre {}' in genres".format, st.integers(1, 3)),
    st.builds("'genre {}' not in genres".format, st.integers(1, 3)),
)
conditions = st.recursive(
    comparisons,
    lambda part: st.one_of(
        st.builds("({} and {})".format, part, part),
        st.builds("({} or {})".format, part, part),
        st.builds("not ({})".format, part),
    ),
    max_leaves=6,
)


def values_of(item: int) -> dict[str, Any]:
    """Names of a condition with the item's values."""
    return {
        "item_id": item,
        "year": YEARS[item] or Unknown(),
        "genres": [f"genre {genre}" for genre in GENRES[item]],
    }


@given(conditions)
def test_condition_matches_the_items_of_the_python_oracle(condition: str) -> None:
    expected = [item for item in range(len(YEARS)) if eval(condition, {}, values_of(item))]
    found = np.flatnonzero(items_where(condition, DATASET)) - FIRST_ITEM
    assert found.tolist() == expected


@given(conditions)
def test_pad_and_mask_meet_no_condition(condition: str) -> None:
    assert not items_where(condition, DATASET)[:FIRST_ITEM].any()
    assert not items_where(f"not ({condition})", DATASET)[:FIRST_ITEM].any()


@given(conditions)
def test_condition_and_its_negation_partition_the_items(condition: str) -> None:
    meets_V = items_where(condition, DATASET)
    opposite_V = items_where(f"not ({condition})", DATASET)
    assert (meets_V ^ opposite_V)[FIRST_ITEM:].all()


names_and_signs = "year genres item_id title not and or in lambda ( ) [ ] , == < >= ! = ' \" `"
others = "1990 1e9 - . : \\ { } é # ; @ f'"
hostile = ["\n", "\x00", "genre 1", "9" * 400, "not " * 50, "(" * 30]
words = st.sampled_from([*names_and_signs.split(), *others.split(), *hostile])


@given(st.one_of(st.text(max_size=40), st.lists(words, max_size=12).map(" ".join)))
def test_any_text_is_a_condition_or_one_usage_error(text: str) -> None:
    try:
        assert items_where(text, DATASET).shape == (DATASET.item_rows,)
        said = ""
    except UsageError as refused:
        said = str(refused)
    assert "\n" not in said
