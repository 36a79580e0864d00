from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.slices import PAIRED, POPULARITY, bands, paired_parts, slices
from small_worlds import dataset_of, leave_one_out

HISTORIES = ([0, 1, 2], [0, 1, 3], [*range(10), *range(10), 4, 0])


def parts_of(rank_C: list[int], **features: Any) -> dict[str, dict[str, tuple[int, float]]]:
    dataset = dataset_of(*HISTORIES, **features)
    found = slices(dataset, leave_one_out(dataset), leave_one_out(dataset).test, np.array(rank_C))
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
    # 0 trains four times, more than all others; 2 and 3 as often as six others, so fewer than half
    # are below them
    assert parts_of([11, 11, 1])["item popularity"] == {
        "most popular 10 %": (1, 1.0),
        "least popular 50 %": (2, 0.0),
    }


def test_every_categorical_user_feature_is_a_slice_with_its_labels() -> None:
    assert parts_of([1, 11, 1], gender=[1, 2, 2])["gender"] == {"women": (1, 1.0), "men": (2, 0.5)}


def test_users_without_a_value_are_a_part_of_their_own() -> None:
    assert parts_of([1, 11, 1], gender=[1, 0, 0])["gender"] == {
        "women": (1, 1.0),
        "unknown": (2, 0.5),
    }


def test_years_are_shown_as_decades() -> None:
    years = [1994, 0, 1999, 1987, 1990, 1990, 1990, 1990, 1990, 0]
    assert parts_of([1, 11, 1], years=years)["year"] == {"1980s": (1, 0.0), "1990s": (2, 1.0)}


def test_every_slice_holds_every_user_once(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    found = slices(world, split, split.test, np.ones(len(split.test), dtype=np.int64))
    assert set(found) == {
        "history length",
        "item popularity",
        "gender",
        "age_group",
        "occupation_code",
        "year",
    }
    for name, parts in found.items():
        assert sum(part["users"] for part in parts) == len(split.test), name
        assert all(part["ndcg@10"] == pytest.approx(1) for part in parts), name


def test_every_case_lies_in_the_band_that_its_slice_counts_it_in(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    rank_C = np.ones(len(split.test), dtype=np.int64)
    found, band_C = slices(world, split, split.test, rank_C), bands(world, split, split.test)
    assert set(band_C) == {"history length", "item popularity"}
    for name, rows in band_C.items():
        assert np.bincount(rows).tolist() == [part["users"] for part in found[name]], name


def test_bands_name_the_right_cases() -> None:
    dataset = dataset_of(*HISTORIES)
    split = leave_one_out(dataset)
    assert {name: rows.tolist() for name, rows in bands(dataset, split, split.test).items()} == {
        "history length": [0, 0, 1],  # 2, 2 and 21 events
        "item popularity": [1, 1, 0],  # 2, 3 and 0, the last of which trains most
    }


def test_paired_parts_join_bands_by_their_names_and_leave_empty_ones_out() -> None:
    parted = {
        "history length": [{"value": "200 and more"}, {"value": "20–49"}, {"value": "0–19"}],
        "item popularity": [{"value": "least popular 50 %"}],
    }
    band_C = {"history length": np.array([0, 1, 2, 1]), "item popularity": np.array([0, 0, 0, 0])}
    assert {name: mask_C.tolist() for name, mask_C in paired_parts(parted, band_C).items()} == {
        "short histories": [False, True, True, True],
        "longer histories": [True, False, False, False],
        "rare items": [True] * 4,
    }
    assert paired_parts(parted, {}) == {}


def test_paired_parts_leave_no_band_out() -> None:
    """Each slice that reports are paired in is parted wholly: what is not short is longer."""
    dataset = dataset_of(*([0] * visible + [1] for visible in (5, 30, 70, 150, 300)), num_items=20)
    split = leave_one_out(dataset)
    parted = slices(dataset, split, split.test, np.ones(5, dtype=np.int64))
    masks = paired_parts(parted, bands(dataset, split, split.test))
    assert masks["short histories"].tolist() == [True, True, False, False, False]
    assert masks["longer histories"].tolist() == [False, False, True, True, True]
    assert [list(POPULARITY)] == [
        [value for name in ("popular items", "rare items") for value in PAIRED[name][1]]
    ]
