"""Reliability tables and calibration errors of rating probabilities."""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation.calibration import (
    BINS,
    calibration_metrics,
    count_in_bins,
    no_counts,
    reliability_table,
)
from bert4rec.ids import NO_RATING

TWO = np.array([1.0, 2.0])


def table_of(
    probability_BR: object, rating_B: object, level_R: np.ndarray = TWO
) -> list[dict[str, float]]:
    return reliability_table(count_in_bins(np.array(probability_BR), np.array(rating_B)), level_R)


def drawn(cases: int, levels: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Random distributions, and a rating row drawn from each."""
    random = np.random.default_rng(seed)
    probability_BR = random.dirichlet(np.full(levels, 1.5), cases)
    return probability_BR, 1 + (probability_BR.cumsum(1) < random.random((cases, 1))).sum(1)


def test_table_holds_predicted_and_observed_share_of_each_level_and_bin() -> None:
    probabilities = [[0.32, 0.68], [0.34, 0.66], [0.33, 0.67], [0.9, 0.1]]
    assert table_of(probabilities, [1, 2, 2, 1]) == [
        {
            "level": 1,
            "cases": 3,
            "predicted": pytest.approx(0.33),
            "observed": pytest.approx(1 / 3),
        },
        {"level": 1, "cases": 1, "predicted": 0.9, "observed": 1},
        {"level": 2, "cases": 1, "predicted": 0.1, "observed": 0},
        {
            "level": 2,
            "cases": 3,
            "predicted": pytest.approx(0.67),
            "observed": pytest.approx(2 / 3),
        },
    ]


def test_error_is_the_mean_distance_of_share_and_probability() -> None:
    found = calibration_metrics(
        table_of([[0.32, 0.68], [0.32, 0.68], [0.92, 0.08], [0.92, 0.08]], [1, 2, 1, 1])
    )
    assert found["rating_ece"] == pytest.approx(
        (2 * 0.18 + 2 * 0.08) / 4
    )  # the two levels mirror each other
    deviations = [np.sqrt(2 / np.pi * p * (1 - p) / 2) for p in (0.32, 0.92)]
    assert found["rating_ece_chance"] == pytest.approx(np.mean(deviations))


def test_true_probabilities_err_by_chance_alone() -> None:
    found = [
        calibration_metrics(table_of(*drawn(2000, seed=seed), np.arange(5))) for seed in range(20)
    ]
    chance = np.mean([of["rating_ece_chance"] for of in found])
    assert np.mean([of["rating_ece"] for of in found]) == pytest.approx(chance, rel=0.05)
    many = calibration_metrics(table_of(*drawn(200_000), np.arange(5)))
    assert many["rating_ece"] < 0.003


def test_shifted_distribution_errs_by_the_shift() -> None:
    probability_BR, rating_B = drawn(200_000)
    # The first level gets what belongs to the third.
    shift_R = np.array([0.04, 0, -0.04, 0, 0])
    found = calibration_metrics(
        table_of((probability_BR + shift_R).clip(0, 1), rating_B, np.arange(5))
    )
    assert found["rating_ece"] == pytest.approx((0.04 + 0.04) / 5, abs=0.003)


def test_levels_do_not_make_up_for_each_other() -> None:
    found = calibration_metrics(table_of([[0.5, 0.5]] * 10, [1] * 10))
    assert found["rating_ece"] == 0.5


def test_certain_probabilities_have_a_bin_and_no_chance() -> None:
    found = table_of([[1.0, 0.0], [1.0, 0.0]], [1, 1])
    assert [(row["predicted"], row["observed"]) for row in found] == [(1, 1), (0, 0)]
    assert calibration_metrics(found) == {"rating_ece": 0, "rating_ece_chance": 0}


def test_probability_above_one_by_rounding_stays_in_the_last_bin() -> None:
    count_XRZ = count_in_bins(
        np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], dtype=np.float32), np.array([1])
    )
    assert count_XRZ[0, 0, BINS - 1] == 1
    assert np.isfinite(calibration_metrics(reliability_table(count_XRZ, TWO))["rating_ece_chance"])


def test_cases_without_a_rating_do_not_count() -> None:
    assert table_of([[0.3, 0.7], [0.6, 0.4]], [2, NO_RATING]) == table_of([[0.3, 0.7]], [2])
    assert table_of([[0.6, 0.4]], [NO_RATING]) == []


def test_without_cases_there_is_no_metric() -> None:
    assert calibration_metrics(reliability_table(no_counts(), TWO[:0])) == {}


def test_counts_of_batches_add_up() -> None:
    probability_BR, rating_B = drawn(500)
    pieces = [
        count_in_bins(probability_BR[part], rating_B[part]) for part in (slice(0, 7), slice(7, 500))
    ]
    np.testing.assert_allclose(sum(pieces), count_in_bins(probability_BR, rating_B))
