"""Bootstrap intervals of means, differences and losses."""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation import intervals
from bert4rec.evaluation.intervals import (
    difference_estimates,
    mean_estimates,
    relative_loss_estimates,
)
from bert4rec.result_tables import Estimate


def test_interval_covers_the_truth_as_often_as_its_level() -> None:
    random = np.random.default_rng(1)
    covered = 0
    for sample in range(200):
        hits = (random.random(150) < 0.3).astype(float)
        estimate = mean_estimates({"x": hits}, seed=sample)["x"]
        covered += estimate.low <= 0.3 <= estimate.high
    assert 0.90 <= covered / 200 <= 0.99


def test_width_is_that_of_the_normal_approximation() -> None:
    values = np.random.default_rng(2).normal(size=2000)
    estimate = mean_estimates({"x": values})["x"]
    assert estimate.value == pytest.approx(values.mean())
    assert 2 * estimate.margin == pytest.approx(2 * 1.96 * values.std() / np.sqrt(2000), rel=0.1)


def test_interval_of_a_constant_has_no_width() -> None:
    assert mean_estimates({"x": np.ones(5)})["x"] == Estimate(1.0, 1.0, 1.0)


def test_rmse_and_its_edges_are_roots_of_means() -> None:
    squares = np.random.default_rng(3).random(300)
    found = mean_estimates({"rating_rmse": squares, "other": squares})
    roots = {name: number**0.5 for name, number in found["other"].to_dict().items()}
    assert found["rating_rmse"].to_dict() == pytest.approx(roots)


def test_rmses_are_subtracted_after_their_roots() -> None:
    random = np.random.default_rng(5)
    first, second = random.random(200), random.random(200)
    found = difference_estimates({"rating_rmse": first}, {"rating_rmse": second})["rating_rmse"]
    assert found.value == pytest.approx(first.mean() ** 0.5 - second.mean() ** 0.5)
    drawn = np.random.default_rng(6).integers(0, 200, (4000, 200))
    by_hand = np.sqrt(first[drawn].mean(1)) - np.sqrt(second[drawn].mean(1))
    edges = np.quantile(by_hand, [0.025, 0.975])
    assert [found.low, found.high] == pytest.approx(edges, abs=0.006)


def test_difference_is_over_cases_that_both_have() -> None:
    first, second = np.array([1.0, 9.0, np.nan, 4.0]), np.array([1.0, np.nan, 9.0, 1.0])
    found = difference_estimates({"x": first}, {"x": second, "y": second})
    assert found["x"].value == pytest.approx(1.5)
    assert difference_estimates({"x": first}, {"x": np.full(4, np.nan)}) == {}


def test_paired_difference_is_narrow_where_both_move_together() -> None:
    hard = np.random.default_rng(7).normal(size=400) ** 2
    found = difference_estimates({"x": hard + 0.01}, {"x": hard})["x"]
    assert (found.low, found.high) == pytest.approx((0.01, 0.01))


def test_cases_without_a_value_do_not_count() -> None:
    values = np.array([1.0, np.nan, 3.0, np.nan])
    estimate = mean_estimates({"x": values})["x"]
    assert estimate.value == 2
    assert 1 <= estimate.low <= estimate.high <= 3
    assert mean_estimates({"x": np.array([np.nan, np.nan])}) == {}


def test_interval_depends_on_the_seed_alone() -> None:
    values = {"x": np.random.default_rng(4).random(50)}
    assert mean_estimates(values, seed=5) == mean_estimates(values, seed=5)
    assert mean_estimates(values, seed=5) != mean_estimates(values, seed=6)


def test_little_memory_changes_no_interval(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"x": np.random.default_rng(4).random(50)}
    whole = mean_estimates(values)
    monkeypatch.setattr(intervals, "COUNTS_AT_ONCE", 333)
    assert mean_estimates(values)["x"].to_dict() == pytest.approx(whole["x"].to_dict())


def test_relative_loss_is_a_share_of_the_mean_before() -> None:
    before = np.random.default_rng(6).random(300)
    found = relative_loss_estimates({"x": before}, {"x": 0.9 * before})["x"]
    assert (found.value, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))
    before[:100] = np.nan  # who has nothing to lose does not count
    after = np.where(np.arange(300) < 100, 1.0, 0.8 * before)
    assert relative_loss_estimates({"x": before}, {"x": after})["x"].value == pytest.approx(0.2)
    assert relative_loss_estimates({"x": np.zeros(9)}, {"x": np.zeros(9)}) == {}
