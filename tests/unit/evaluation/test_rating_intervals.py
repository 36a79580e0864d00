"""Prediction intervals of ratings."""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation.rating_intervals import interval_metrics, rating_intervals


def test_interval_is_the_fewest_neighbouring_levels_that_hold_enough() -> None:
    probability_BR = np.array(
        [
            [0.02, 0.03, 0.05, 0.85, 0.05],
            [0.05, 0.15, 0.45, 0.30, 0.05],  # levels 2 to 4 hold .90, and no two hold .80
            [0.40, 0.00, 0.10, 0.00, 0.50],  # far apart: what is between belongs to it
            [0.41, 0.41, 0.09, 0.05, 0.04],
        ]
    )
    first_B, last_B, held_B = rating_intervals(probability_BR)
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


def test_coverage_of_true_probabilities_is_the_stated_coverage() -> None:
    random = np.random.default_rng(0)
    probability_BR = random.dirichlet([2.0] * 5, size=20_000)
    rating_B = 1 + (random.random((20_000, 1)) > probability_BR.cumsum(1)).sum(1).clip(max=4)
    found = {
        name: value_B.mean() for name, value_B in interval_metrics(probability_BR, rating_B).items()
    }
    assert found["rating_coverage"] == pytest.approx(found["rating_coverage_stated"], abs=0.01)
    assert 0.8 < found["rating_coverage_stated"] < 0.95
    assert 1 < found["rating_interval_levels"] < 5
    wrong = interval_metrics(np.roll(probability_BR, 2, axis=1), rating_B)
    assert wrong["rating_coverage"].mean() < found["rating_coverage"] - 0.05


def test_unrated_cases_have_no_coverage() -> None:
    values = interval_metrics(
        np.array([[0.9, 0.1], [0.15, 0.85]]), np.array([0, 2], dtype=np.uint8)
    )
    assert {name: value_B.tolist()[1] for name, value_B in values.items()} == {
        "rating_coverage": 1.0,
        "rating_coverage_stated": pytest.approx(0.85),
        "rating_interval_levels": 1.0,
    }
    assert all(np.isnan(value_B[0]) for value_B in values.values())
