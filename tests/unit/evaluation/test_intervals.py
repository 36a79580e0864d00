from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation import intervals
from bert4rec.evaluation.intervals import (
    difference_and_interval,
    loss_and_interval,
    mean_and_interval,
)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for sample in range(200):
        _, (low, high) = mean_and_interval(
            {"x": (random.random(150) < 0.3).astype(float)}, seed=sample
        )["x"]
        covered += low <= 0.3 <= high
    assert 0.90 <= covered / 200 <= 0.99


def test_its_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(2).normal(size=2000)
    mean, (low, high) = mean_and_interval({"x": values})["x"]
    assert mean == pytest.approx(values.mean())
    assert high - low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


def test_a_constant_has_no_width() -> None:
    assert mean_and_interval({"x": np.ones(5)})["x"] == (1.0, (1.0, 1.0))


def test_an_rmse_is_the_root_of_the_mean_and_so_are_its_edges() -> None:
    squares = np.random.default_rng(3).random(300)
    found = mean_and_interval({"rating_rmse": squares, "other": squares})
    mean, edges = found["other"]
    assert found["rating_rmse"][0] == pytest.approx(mean**0.5)
    assert found["rating_rmse"][1] == pytest.approx([edge**0.5 for edge in edges])


def test_a_difference_of_rmses_is_that_of_the_roots_on_the_same_resamples() -> None:
    random = np.random.default_rng(5)
    first, second = random.random(200), random.random(200)
    found = difference_and_interval({"rating_rmse": first}, {"rating_rmse": second})["rating_rmse"]
    assert found[0] == pytest.approx(first.mean() ** 0.5 - second.mean() ** 0.5)
    drawn = np.random.default_rng(6).integers(0, 200, (4000, 200))
    plainly = np.sqrt(first[drawn].mean(1)) - np.sqrt(second[drawn].mean(1))
    assert found[1] == pytest.approx(np.quantile(plainly, [0.025, 0.975]), abs=0.006)


def test_a_difference_is_over_the_cases_that_both_know() -> None:
    first, second = np.array([1.0, 9.0, np.nan, 4.0]), np.array([1.0, np.nan, 9.0, 1.0])
    assert difference_and_interval({"x": first}, {"x": second, "y": second})["x"][
        0
    ] == pytest.approx(1.5)
    assert difference_and_interval({"x": first}, {"x": np.full(4, np.nan)}) == {}


def test_what_moves_together_differs_by_little() -> None:
    hard = np.random.default_rng(7).normal(size=400) ** 2
    low, high = difference_and_interval({"x": hard + 0.01}, {"x": hard})["x"][1]
    assert (low, high) == pytest.approx((0.01, 0.01))


def test_cases_without_a_value_do_not_count() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan])
    mean, (low, high) = mean_and_interval({"x": values})["x"]
    assert mean == 2
    assert 1 <= low <= high <= 3
    assert mean_and_interval({"x": np.array([np.nan, np.nan])}) == {}


def test_the_same_seed_gives_the_same_interval_and_another_seed_another() -> None:
    values = {"x": np.random.default_rng(4).random(50)}
    assert mean_and_interval(values, seed=5) == mean_and_interval(values, seed=5)
    assert mean_and_interval(values, seed=5) != mean_and_interval(values, seed=6)


def test_little_memory_means_pieces_and_no_other_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"x": np.random.default_rng(4).random(50)}
    whole = mean_and_interval(values)
    monkeypatch.setattr(intervals, "COUNTS_IN_PIECE", 333)
    assert mean_and_interval(values)["x"][1] == pytest.approx(whole["x"][1])


def test_a_loss_is_a_share_of_what_there_was_on_the_same_resamples() -> None:
    before = np.random.default_rng(6).random(300)
    share, (low, high) = loss_and_interval({"x": before}, {"x": 0.9 * before})["x"]
    assert (share, low, high) == pytest.approx((0.1, 0.1, 0.1))
    before[:100] = np.nan  # who has nothing to lose does not count
    after = np.where(np.arange(300) < 100, 1.0, 0.8 * before)
    assert loss_and_interval({"x": before}, {"x": after})["x"][0] == pytest.approx(0.2)
    assert loss_and_interval({"x": np.zeros(9)}, {"x": np.zeros(9)}) == {}
