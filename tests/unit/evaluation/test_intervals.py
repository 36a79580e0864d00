from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation import intervals
from bert4rec.evaluation.intervals import mean_and_interval, rmse_difference


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for sample in range(200):
        _, (low, high) = mean_and_interval({"x": (random.random(150) < 0.3).astype(float)}, seed=sample)["x"]
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


def test_the_difference_of_two_rmses_is_that_of_the_users_whom_both_rate() -> None:
    found = rmse_difference(np.array([4.0, 0.0, np.nan, 9.0]), np.array([1.0, 1.0, 5.0, np.nan]))
    assert found is not None
    assert found[0] == pytest.approx(2**0.5 - 1)
    assert found[1] == pytest.approx((-1, 1))  # all drawn users are the second, or all the first
    assert rmse_difference(np.array([np.nan, 1.0]), np.array([1.0, np.nan])) is None


def test_rmses_are_paired_and_not_drawn_apart() -> None:
    square_C = np.random.default_rng(0).exponential(size=500)
    found = rmse_difference(1.21 * square_C, square_C)
    assert found is not None
    low, high = found[1]
    assert 0 < high - low < 0.02  # a tenth of the RMSE whoever is drawn; apart it would be about ±.1
    assert low < 0.1 * square_C.mean() ** 0.5 < high
