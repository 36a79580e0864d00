from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation.beyond_accuracy import (
    beyond_accuracy_metrics,
    item_popularity,
    item_traits,
)
from bert4rec.ids import FIRST_ITEM, PAD
from small_worlds import dataset_of, leave_one_out

# All but the last two events train: 0 three times (twice by the first user), 1 twice, 2 and 3 once,
# 4 never.
HISTORIES = ([0, 0, 1, 3, 4], [0, 1, 3, 4], [2, 3, 4], [3, 4, 3])
GENRES = [[1, 2], [1], [2, 3], [], []]


def metrics_of(*lists: list[int], genres: list[list[int]] | None = GENRES) -> dict[str, np.ndarray]:
    dataset = dataset_of(*HISTORIES, genres=genres)
    item_BK = np.array(
        [[PAD if item < 0 else item + FIRST_ITEM for item in items] for items in lists]
    )
    return beyond_accuracy_metrics(item_BK, item_traits(dataset, leave_one_out(dataset)))


def test_popularity_is_the_share_of_other_items_with_fewer_training_events() -> None:
    dataset = dataset_of(*HISTORIES)
    popularity_V = item_popularity(dataset, leave_one_out(dataset))
    # counts: 0 has 3, 1 has 2, 2 has 1, 3 has 1 (the last user's), 4 has none
    assert popularity_V[FIRST_ITEM:].tolist() == [1, 0.75, 0.25, 0.25, 0]
    assert metrics_of([0, 1])["popularity@10"].tolist() == [0.875]


def test_novelty_is_in_bits_of_users_and_a_repeat_counts_once() -> None:
    # 4 users train; item 0 is known to 2 of them, item 2 to 1, item 4 to nobody, which counts as
    # one
    assert metrics_of([0, 2], [4, 4])["novelty@10"].tolist() == [(1 + 2) / 2, 2]


def test_diversity_is_one_minus_the_jaccard_similarity_of_each_pair() -> None:
    # {1, 2} and {1}: 1/2; {1, 2} and {2, 3}: 1/3; {1} and {2, 3}: 0
    assert metrics_of([0, 1, 2])["diversity@10"] == pytest.approx([1 - (1 / 2 + 1 / 3 + 0) / 3])


def test_equal_genres_have_no_diversity_and_missing_genres_are_dissimilar() -> None:
    assert metrics_of([0, 0], [3, 4])["diversity@10"].tolist() == [0, 1]


def test_ranks_without_an_item_do_not_count() -> None:
    short, full = metrics_of([0, 1, -1, -1]), metrics_of([0, 1])
    for name in full:
        assert short[name] == pytest.approx(full[name]), name


def test_a_list_of_one_has_no_diversity_and_an_empty_one_has_nothing() -> None:
    one, none = metrics_of([0, -1]), metrics_of([-1, -1])
    assert np.isnan(one["diversity@10"]).all()
    assert one["popularity@10"].tolist() == [1]
    assert all(np.isnan(value_B).all() for value_B in none.values())


def test_without_a_multi_valued_feature_there_is_no_diversity() -> None:
    assert set(metrics_of([0, 1], genres=None)) == {"popularity@10", "novelty@10"}
