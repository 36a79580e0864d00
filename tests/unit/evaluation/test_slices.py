from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.slices import slices
from small_worlds import dataset_of, leave_one_out

HISTORIES = ([0, 1, 2], [0, 1, 3], [*range(10), *range(10), 4, 0])


def parts_of(place_C: list[int], **features: Any) -> dict[str, dict[str, tuple[int, float]]]:
    dataset = dataset_of(*HISTORIES, **features)
    found = slices(dataset, leave_one_out(dataset), leave_one_out(dataset).test, np.array(place_C))
    return {
        name: {part["value"]: (part["users"], round(part["hit@10"], 6)) for part in parts}
        for name, parts in found.items()
    }


def test_short_and_long_histories_part_the_users() -> None:
    assert parts_of([1, 11, 1])["history length"] == {"0–19": (2, 0.5), "20–49": (1, 1.0)}


@pytest.mark.parametrize(("visible", "part"), [(19, "0–19"), (20, "20–49"), (200, "200 and more")])
def test_a_length_on_an_edge_belongs_to_the_part_that_names_it(visible: int, part: str) -> None:
    dataset = dataset_of([0] * visible + [1])
    split = leave_one_out(dataset)
    found = slices(dataset, split, split.test, np.array([1]))
    assert [entry["value"] for entry in found["history length"]] == [part]


def test_targets_are_parted_by_how_often_they_train() -> None:
    # 0 trains four times, more than all others; 2 and 3 as often as six others, so fewer than half are below them
    assert parts_of([11, 11, 1])["item popularity"] == {"most popular 10 %": (1, 1.0), "least popular 50 %": (2, 0.0)}


def test_every_categorical_user_feature_is_a_slice_with_its_labels() -> None:
    assert parts_of([1, 11, 1], gender=[1, 2, 2])["gender"] == {"women": (1, 1.0), "men": (2, 0.5)}


def test_users_without_a_value_are_a_part_of_their_own() -> None:
    assert parts_of([1, 11, 1], gender=[1, 0, 0])["gender"] == {"women": (1, 1.0), "unknown": (2, 0.5)}


def test_years_are_shown_as_decades() -> None:
    years = [1994, 0, 1999, 1987, 1990, 1990, 1990, 1990, 1990, 0]
    assert parts_of([1, 11, 1], years=years)["year"] == {"1980s": (1, 0.0), "1990s": (2, 1.0)}


def test_every_slice_holds_every_user_once(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    found = slices(world, split, split.test, np.ones(len(split.test), dtype=np.int64))
    assert set(found) == {"history length", "item popularity", "gender", "age_group", "occupation_code", "year"}
    for name, parts in found.items():
        assert sum(part["users"] for part in parts) == len(split.test), name
        assert all(part["ndcg@10"] == pytest.approx(1) for part in parts), name
