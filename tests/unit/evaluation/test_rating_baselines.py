from __future__ import annotations

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.rating_baselines import rating_baselines, rating_biases
from bert4rec.ids import FIRST_ITEM
from small_worlds import dataset_of, leave_one_out


def test_biases_are_shrunken_deviations_from_the_mean_of_training_ratings() -> None:
    dataset = dataset_of([0, 1, 0, 0], [0, 0, 0], num_items=3, ratings=[[5, 2, 1, 1], [2, 1, 1]])
    mean, user_U, item_V = rating_biases(dataset, leave_one_out(dataset))
    assert mean == 3  # of 5, 2 and 2
    expected = [(2 - 1) / (2 + 10), -1 / (1 + 10), 0]
    assert item_V[FIRST_ITEM:] == pytest.approx(expected)
    assert user_U[1] == pytest.approx((2 - expected[0] - 1 - expected[1]) / (2 + 15))


def test_the_errors_of_the_mean_are_those_of_the_held_out_ratings() -> None:
    dataset = dataset_of(
        [0, 1, 0, 0], [0, 0, 0], [0, 1, 2], ratings=[[5, 2, 1, 1], [2, 1, 5], [3, 3, 0]]
    )
    split = leave_one_out(dataset)
    errors = rating_baselines(dataset, split, split.test)["global mean"]
    assert errors["rating_rmse"] == pytest.approx(np.sqrt(((3 - 1) ** 2 + (3 - 5) ** 2) / 2))
    assert errors["rating_mae"] == pytest.approx(2)


def test_biases_beat_the_mean_where_users_differ(world: PreparedDataset) -> None:
    rated = dataset_of(*[[0, 1, 2, 3, 4, 5]] * 8, ratings=[[1] * 6, [5] * 6] * 4)
    split = leave_one_out(rated)
    errors = rating_baselines(rated, split, split.test)
    assert errors["user and item biases"]["rating_rmse"] < errors["global mean"]["rating_rmse"]
    assert set(rating_baselines(world, make_split(world, SplitConfig()), split.test)) == set(errors)


def test_without_ratings_there_is_nothing_to_beat() -> None:
    dataset = dataset_of([0, 1, 2])
    split = leave_one_out(dataset)
    assert rating_baselines(dataset, split, split.test) == {}


def test_targets_without_a_rating_leave_no_errors() -> None:
    dataset = dataset_of([0, 1, 2], ratings=[[3, 3, 0]])
    split = leave_one_out(dataset)
    assert rating_baselines(dataset, split, split.test)["global mean"] == {}
