"""The calibration error of a predicted rating distribution, and what of it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.evaluation.calibration import BINS, Calibration

LEVELS = np.array([1.0, 2.0, 3.0, 4.0, 5.0])


def calibration(likely_CR: np.ndarray, row_C: np.ndarray, pieces: int = 1) -> Calibration:
    found = Calibration(LEVELS[: likely_CR.shape[1]])
    for likely_BR, row_B in zip(np.array_split(likely_CR, pieces), np.array_split(row_C, pieces), strict=True):
        found.add(likely_BR, row_B)
    return found


def drawn(cases: int) -> tuple[np.ndarray, np.ndarray]:
    """Distributions, and rating rows drawn from them."""
    random = np.random.default_rng(0)
    likely_CR = random.dirichlet([1, 1, 2, 4, 3], cases)
    return likely_CR, 1 + (likely_CR.cumsum(1) < random.random((cases, 1))).sum(1).clip(max=4)


def test_by_hand() -> None:
    """Level 1 is given .1, .1, .7 and comes up in the last: bins miss by .1 · 2 / 3 and .3 / 3; level 2 likewise."""
    found = calibration(np.array([[0.1, 0.9], [0.1, 0.9], [0.7, 0.3]]), np.array([2, 2, 1]))
    assert found.error() == pytest.approx((0.2 + 0.3) / 3)
    assert found.to_rows()[0] == {"level": 1.0, "count": 2, "predicted": pytest.approx(0.1), "observed": 0.0}


def test_what_is_drawn_from_its_distribution_is_calibrated_and_a_bolder_claim_is_not() -> None:
    likely_CR, row_C = drawn(20_000)
    bold_CR = likely_CR**3 / (likely_CR**3).sum(1, keepdims=True)
    honest, bold = calibration(likely_CR, row_C).error(), calibration(bold_CR, row_C).error()
    assert honest is not None
    assert bold is not None
    assert honest < 0.01 < 0.05 < bold


def test_pieces_and_unrated_cases_change_nothing() -> None:
    likely_CR, row_C = drawn(300)
    whole = calibration(likely_CR, row_C)
    more = calibration(np.concatenate([likely_CR, likely_CR[:7]]), np.append(row_C, np.zeros(7, int)), pieces=5)
    assert more.error() == pytest.approx(whole.error())
    assert sum(part["count"] for part in more.to_rows()) == 5 * 300


def test_certainty_has_a_bin() -> None:
    found = calibration(np.array([[1.0, 0.0]]), np.array([1]))
    assert found.error() == 0
    assert found.count_RM[0, BINS - 1] == 1


def test_without_ratings_there_is_no_error() -> None:
    assert Calibration(LEVELS).error() is None
    assert Calibration(np.empty(0)).error() is None
    assert calibration(np.full((2, 5), 0.2), np.zeros(2, int)).error() is None
