from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation.calibration import (
    BINS,
    calibration_metrics,
    count_in_bins,
    interval_metrics,
    no_counts,
    rating_intervals,
    reliability_of,
)
from bert4rec.ids import NO_RATING

TWO = np.array([1.0, 2.0])


def table_of(
    likely_BR: object, rating_B: object, level_R: np.ndarray = TWO
) -> list[dict[str, float]]:
    return reliability_of(count_in_bins(np.array(likely_BR), np.array(rating_B)), level_R)


def drawn(cases: int, levels: int = 5, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Distributions of all kinds, and a rating row drawn from each."""
    random = np.random.default_rng(seed)
    likely_BR = random.dirichlet(np.full(levels, 1.5), cases)
    return likely_BR, 1 + (likely_BR.cumsum(1) < random.random((cases, 1))).sum(1)


def test_a_table_says_for_each_level_and_bin_what_was_predicted_and_what_came() -> None:
    likely = [[0.32, 0.68], [0.34, 0.66], [0.33, 0.67], [0.9, 0.1]]
    assert table_of(likely, [1, 2, 2, 1]) == [
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


def test_the_error_is_the_distance_of_share_and_probability_over_all_levels_and_cases() -> None:
    found = calibration_metrics(
        table_of([[0.32, 0.68], [0.32, 0.68], [0.92, 0.08], [0.92, 0.08]], [1, 2, 1, 1])
    )
    assert found["rating_ece"] == pytest.approx(
        (2 * 0.18 + 2 * 0.08) / 4
    )  # the two levels mirror each other
    strays = [np.sqrt(2 / np.pi * p * (1 - p) / 2) for p in (0.32, 0.92)]
    assert found["rating_ece_chance"] == pytest.approx(np.mean(strays))


def test_who_draws_from_the_truth_errs_by_chance_alone() -> None:
    found = [
        calibration_metrics(table_of(*drawn(2000, seed=seed), np.arange(5))) for seed in range(20)
    ]
    chance = np.mean([of["rating_ece_chance"] for of in found])
    assert np.mean([of["rating_ece"] for of in found]) == pytest.approx(chance, rel=0.05)
    many = calibration_metrics(table_of(*drawn(200_000), np.arange(5)))
    assert many["rating_ece"] < 0.003


def test_a_shifted_distribution_errs_by_the_shift() -> None:
    likely_BR, rating_B = drawn(200_000)
    shift_R = np.array(
        [0.04, 0, -0.04, 0, 0]
    )  # what comes is given to the first level instead of the third
    found = calibration_metrics(table_of((likely_BR + shift_R).clip(0, 1), rating_B, np.arange(5)))
    assert found["rating_ece"] == pytest.approx((0.04 + 0.04) / 5, abs=0.003)


def test_too_much_for_one_level_does_not_make_up_for_too_little_for_another() -> None:
    found = calibration_metrics(table_of([[0.5, 0.5]] * 10, [1] * 10))
    assert found["rating_ece"] == 0.5


def test_certainty_has_a_bin_and_no_chance() -> None:
    found = table_of([[1.0, 0.0], [1.0, 0.0]], [1, 1])
    assert [(row["predicted"], row["observed"]) for row in found] == [(1, 1), (0, 0)]
    assert calibration_metrics(found) == {"rating_ece": 0, "rating_ece_chance": 0}


def test_float32_that_sums_to_a_bit_over_one_stays_in_the_last_bin() -> None:
    count_QRS = count_in_bins(
        np.array([[np.nextafter(np.float32(1), np.float32(2)), 0]], dtype=np.float32), np.array([1])
    )
    assert count_QRS[0, 0, BINS - 1] == 1
    assert np.isfinite(calibration_metrics(reliability_of(count_QRS, TWO))["rating_ece_chance"])


def test_cases_without_a_rating_do_not_count() -> None:
    assert table_of([[0.3, 0.7], [0.6, 0.4]], [2, NO_RATING]) == table_of([[0.3, 0.7]], [2])
    assert table_of([[0.6, 0.4]], [NO_RATING]) == []


def test_without_cases_there_is_no_metric() -> None:
    assert calibration_metrics(reliability_of(no_counts(), TWO[:0])) == {}


def test_counts_of_pieces_add_up() -> None:
    likely_BR, rating_B = drawn(500)
    pieces = [
        count_in_bins(likely_BR[part], rating_B[part]) for part in (slice(0, 7), slice(7, 500))
    ]
    np.testing.assert_allclose(sum(pieces), count_in_bins(likely_BR, rating_B))


def test_an_interval_is_the_fewest_neighbouring_levels_that_hold_most_of_the_probability() -> None:
    likely_BR = np.array(
        [
            [0.02, 0.03, 0.05, 0.85, 0.05],
            [0.05, 0.15, 0.45, 0.30, 0.05],  # levels 2 to 4 hold .90, and no two hold .80
            [0.40, 0.00, 0.10, 0.00, 0.50],  # far apart: what is between belongs to it
            [0.41, 0.41, 0.09, 0.05, 0.04],
        ]
    )
    first_B, last_B, held_B = rating_intervals(likely_BR)
    assert list(zip(first_B.tolist(), last_B.tolist(), strict=True)) == [
        (3, 3),
        (1, 3),
        (0, 4),
        (0, 1),
    ]
    assert held_B == pytest.approx([0.85, 0.90, 1.0, 0.82])


def test_of_equally_many_levels_those_that_hold_most_are_taken() -> None:
    first_B, last_B, held_B = rating_intervals(np.array([[0.1, 0.81, 0.09], [0.05, 0.45, 0.5]]))
    assert (first_B.tolist(), last_B.tolist()) == ([1, 1], [1, 2])
    assert held_B == pytest.approx([0.81, 0.95])
    first_B, last_B, held_B = rating_intervals(
        np.array([[0.1, 0.75, 0.15]])
    )  # the first two would do
    assert (first_B.tolist(), last_B.tolist()) == ([1], [2])
    assert held_B == pytest.approx([0.9])


def test_intervals_of_true_probabilities_hold_as_often_as_they_promise() -> None:
    random = np.random.default_rng(0)
    likely_BR = random.dirichlet([2.0] * 5, size=20_000)
    rating_B = 1 + (random.random((20_000, 1)) > likely_BR.cumsum(1)).sum(1).clip(max=4)
    found = {
        name: value_B.mean() for name, value_B in interval_metrics(likely_BR, rating_B).items()
    }
    assert found["rating_coverage"] == pytest.approx(found["rating_coverage_promised"], abs=0.01)
    assert 0.8 < found["rating_coverage_promised"] < 0.95
    assert 1 < found["rating_interval_levels"] < 5
    wrong = interval_metrics(np.roll(likely_BR, 2, axis=1), rating_B)
    assert wrong["rating_coverage"].mean() < found["rating_coverage"] - 0.05


def test_cases_without_a_rating_have_no_interval_to_check() -> None:
    values = interval_metrics(
        np.array([[0.9, 0.1], [0.15, 0.85]]), np.array([0, 2], dtype=np.uint8)
    )
    assert {name: value_B.tolist()[1] for name, value_B in values.items()} == {
        "rating_coverage": 1.0,
        "rating_coverage_promised": pytest.approx(0.85),
        "rating_interval_levels": 1.0,
    }
    assert all(np.isnan(value_B[0]) for value_B in values.values())
