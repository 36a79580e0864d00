"""Paired differences of two reports, and the sign-flip test."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from bert4rec.errors import DataError
from bert4rec.evaluation.comparison import MUST_AGREE, compare, sign_flip_p_value
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.protocol import protocol_line
from bert4rec.evaluation.report import Report
from bert4rec.result_tables import Estimate
from small_worlds import constant, dataset_of, knows, leave_one_out


@pytest.fixture(scope="module")
def reports() -> tuple[Report, Report]:
    """A perfect scorer and a constant one."""
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], [5, 6, 7], num_items=30, gender=[1, 2, 2])
    split = leave_one_out(dataset)
    perfect = evaluate(knows(dataset, split), dataset, split)
    return perfect, evaluate(constant(dataset), dataset, split)


def with_ranks(report: Report, *ranks: int) -> Report:
    return replace(report, rank_C=np.array(ranks))


def with_errors(report: Report, *errors: float) -> Report:
    return replace(report, squared_error_C=np.array(errors))


def test_rating_errors_of_two_models_are_compared_on_the_same_users(
    reports: tuple[Report, Report],
) -> None:
    first, second = with_errors(reports[0], 4, 0, np.nan), with_errors(reports[1], 1, 1, np.nan)
    found = compare(first, second)
    assert found.difference["rating_rmse"].value == pytest.approx(2**0.5 - 1)
    # Of two users both may be the one or the other.
    assert found.difference["rating_rmse"].low == pytest.approx(-1)
    assert found.difference["rating_rmse"].high == pytest.approx(1)
    assert found.p_value["rating_rmse"] == pytest.approx(1, abs=0.6)
    assert json.loads(json.dumps(found.to_dict()))["difference"]["rating_rmse"]["value"] > 0


def test_comparison_is_the_mean_difference_on_the_same_users(
    reports: tuple[Report, Report],
) -> None:
    first, second = with_ranks(reports[0], 1, 2, 50), with_ranks(reports[1], 3, 50, 50)
    found = compare(first, second)
    assert found.difference["hit@10"].value == pytest.approx(1 / 3)
    assert found.difference["ndcg@10"].value == pytest.approx((1 + 1 / np.log2(3) - 1 / 2) / 3)
    assert (found.difference["hit@10"].low, found.difference["hit@10"].high) == (0, 1)
    assert json.loads(json.dumps(found.to_dict()))["first"] == "knows"


def test_a_report_compared_with_itself_differs_by_nothing(reports: tuple[Report, Report]) -> None:
    found = compare(reports[0], reports[0])
    nothing = Estimate(0, 0, 0)
    assert found.difference == {"hit@10": nothing, "ndcg@10": nothing}
    assert found.p_value == {"hit@10": 1, "ndcg@10": 1}


def in_bands(report: Report, *bands: int) -> Report:
    """Report with users in bands 0 (short histories) and 1 (longer ones)."""
    parts = [
        {"value": value, "users": 1, "hit@10": 0.0, "ndcg@10": 0.0} for value in ("20–49", "50–99")
    ]
    return replace(
        report, slices={"history length": parts}, band_C={"history length": np.array(bands)}
    )


def test_parts_are_paired_by_user(
    reports: tuple[Report, Report],
) -> None:
    first = in_bands(with_ranks(reports[0], 50, 1, 2), 1, 0, 1)
    second = in_bands(with_ranks(reports[1], 1, 50, 50), 1, 0, 1)
    found = compare(first, second).slices
    assert {name: part.users for name, part in found.items()} == {
        "short histories": 1,
        "longer histories": 2,
    }
    short, longer = found["short histories"], found["longer histories"]
    assert {metric: estimate.value for metric, estimate in short.difference.items()} == {
        "hit@10": 1,
        "ndcg@10": 1,
    }
    assert longer.difference["hit@10"] == Estimate(0, -1, 1)  # one lost, one won
    assert longer.difference["ndcg@10"].value == pytest.approx((1 / np.log2(3) - 1) / 2)
    assert short.p_value["hit@10"] == 1  # one user tells nothing


def test_one_report_with_bands_is_enough_and_none_leaves_the_parts_out(
    reports: tuple[Report, Report],
) -> None:
    old = in_bands(with_ranks(reports[0], 1, 2, 50), 0, 0, 1), replace(reports[1], band_C={})
    assert (
        compare(*old).slices.keys()
        == compare(*reversed(old)).slices.keys()
        == {"short histories", "longer histories"}
    )
    assert compare(replace(old[0], band_C={}), old[1]).to_dict()["slices"] == {}


@pytest.mark.parametrize("part", MUST_AGREE)
def test_reports_of_other_cases_are_refused_in_one_line(
    reports: tuple[Report, Report], part: str
) -> None:
    other = replace(reports[1], protocol={**reports[1].protocol, part: "other"})
    with pytest.raises(DataError, match=f"{part.replace('_', ' ')} differ") as refusal:
        compare(reports[0], other)
    assert "\n" not in str(refusal.value)


def test_protocol_says_which_report_knew_the_request_time(reports: tuple[Report, Report]) -> None:
    timed = replace(reports[0], protocol={**reports[0].protocol, "request_time": True})
    line = protocol_line(compare(timed, reports[1]).protocol)
    assert "request time known to the first and unknown to the second" in line


def test_p_value_is_the_share_of_sign_flips() -> None:
    gains = np.array([0.5, 0.3, 0.2, -0.1, 0.4, 0.0])
    sums = [abs(np.dot(signs, gains[:5])) for signs in product((-1, 1), repeat=5)]
    exact = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-9)
    assert sign_flip_p_value(gains) == pytest.approx(exact, abs=0.01)


def test_p_values_are_small_as_often_as_chance_says_where_nothing_differs() -> None:
    random = np.random.default_rng(0)
    small = sum(sign_flip_p_value(random.normal(size=30), seed) < 0.2 for seed in range(100))
    assert 8 <= small <= 34  # 20 expected, standard deviation 4
    assert sign_flip_p_value(np.ones(40)) == pytest.approx(1 / 10_001)
