"""Rules of the synthetic world."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.synthetic import FIRST_ITEM_ID, FIRST_USER_ID, GROUPS, synthetic_dataset
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM


def test_memory_and_folder_hold_the_same_world(tmp_path: Path) -> None:
    memory, stored = (
        synthetic_dataset(seed=3, num_users=8, num_items=9, folder=f)
        for f in (None, tmp_path / "w")
    )
    assert memory.checksum == stored.checksum
    assert (memory.items.ids, memory.users.ids, memory.titles) == (
        stored.items.ids,
        stored.users.ids,
        stored.titles,
    )
    for owner in ("item_features", "user_features"):
        for name, (feature, rows) in getattr(memory, owner).items():
            assert feature.rows == getattr(stored, owner)[name][0].rows
            np.testing.assert_array_equal(rows, getattr(stored, owner)[name][1])


def test_world_depends_on_the_seed() -> None:
    assert synthetic_dataset(seed=1).checksum == synthetic_dataset(seed=1).checksum
    assert synthetic_dataset(seed=1).checksum != synthetic_dataset(seed=2).checksum


def test_rule_predicts_most_last_items_and_popularity_few(world: PreparedDataset) -> None:
    stop_U = world.start_U1[2:]
    last_U, before_U = world.item_N[stop_U - 1] - FIRST_ITEM, world.item_N[stop_U - 2] - FIRST_ITEM
    followed = (before_U + GROUPS) % world.num_items == last_U
    assert followed.mean() > 0.7
    top = np.argsort(-np.bincount(world.item_N - FIRST_ITEM))[:10]
    assert np.isin(last_U, top).mean() < 0.7


def test_times_increase_and_ratings_reveal_the_preferred_group(world: PreparedDataset) -> None:
    user_N = np.repeat(np.arange(world.user_rows), np.diff(world.start_U1))
    assert (np.diff(world.time_N)[np.diff(user_N) == 0] > 0).all()
    is_preferred_N = (world.item_N - FIRST_ITEM) % GROUPS == (user_N - 1) % GROUPS
    assert (world.rating_levels[world.rating_N - 1] >= 4).tolist() == is_preferred_N.tolist()
    assert (world.items.ids[0], world.users.ids[0]) == (FIRST_ITEM_ID, FIRST_USER_ID)


def test_world_without_an_item_for_each_group_is_refused() -> None:
    with pytest.raises(UsageError, match="num_items is 3"):
        synthetic_dataset(num_items=3)
