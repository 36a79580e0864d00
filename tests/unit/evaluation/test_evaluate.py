from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Subset, make_split
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import SequentialRules
from bert4rec.evaluation.evaluate import evaluate, evaluate_by_request_time
from bert4rec.ids import FIRST_ITEM, NO_TIME
from bert4rec.result_tables import Estimate
from small_worlds import LEVELS, Scores, constant, dataset_of, knows, leave_one_out

TWO_USERS = ([0, 1, 2, 3], [4, 3, 2])


class Rates(Scores):
    """Scores nothing, and is sure of the same rating level for everybody."""

    predicts_ratings = True

    def __init__(self, items: int, level: int) -> None:
        super().__init__(items, lambda histories: torch.zeros(1, 1))
        self.level = level

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        return torch.eye(len(LEVELS))[[self.level - 1] * len(item_B)]


@pytest.mark.parametrize("subset", ["validation", "test"])
def test_perfect_scorer_reaches_one(subset: Subset) -> None:
    dataset = dataset_of(*TWO_USERS)
    split = leave_one_out(dataset)
    report = evaluate(knows(dataset, split, subset), dataset, split, subset=subset)
    assert all(report.metrics[name].value == 1 for name in ("hit@1", "hit@10", "ndcg@10", "mrr"))
    assert report.metrics["ndcg@10"] == Estimate(1, 1, 1)


def test_constant_scores_rank_the_target_last() -> None:
    dataset = dataset_of(*TWO_USERS, num_items=30)
    report = evaluate(constant(dataset), dataset, leave_one_out(dataset))
    assert report.rank_C.tolist() == [30 - 3, 30 - 2]  # all items but those in the history
    assert report.metrics["hit@10"].value == 0


def test_history_is_filtered_however_it_scores() -> None:
    dataset = dataset_of([0, 1, 2, 3], num_items=6)
    best_first = Scores(6, lambda histories: -torch.arange(6.0)[None])
    report = evaluate(best_first, dataset, leave_one_out(dataset))
    assert report.rank_C.tolist() == [1]
    assert report.metrics["coverage@10"].value == 3 / 6  # 3, 4 and 5 are left to list


def test_seen_target_stays_a_candidate() -> None:
    dataset = dataset_of([0, 1, 2, 0], num_items=5)
    split = leave_one_out(dataset)
    assert evaluate(constant(dataset), dataset, split).rank_C.tolist() == [
        3
    ]  # 3, 4 and the target itself
    assert evaluate(knows(dataset, split), dataset, split).rank_C.tolist() == [1]


def test_scorer_reads_all_events_before_the_target_and_no_others() -> None:
    dataset = dataset_of(*TWO_USERS)
    seen: list[list[int]] = []

    def note(histories: Histories) -> Tensor:
        seen.extend(
            part.tolist()
            for part in np.split(histories.item_N - FIRST_ITEM, histories.start_B1[1:-1])
        )
        return torch.zeros(1, 1)

    evaluate(Scores(5, note), dataset, leave_one_out(dataset))
    assert seen == [[0, 1, 2], [4, 3]]


def test_request_time_is_given_only_on_request() -> None:
    dataset = dataset_of([0, 1, 2], times=[[10, 20, 30]])
    given: list[int] = []

    def note(histories: Histories) -> Tensor:
        given.extend(histories.request_time_B.tolist())
        return torch.zeros(1, 1)

    split = leave_one_out(dataset)
    assert evaluate(Scores(3, note), dataset, split).protocol["request_time"] is True
    assert (
        evaluate(Scores(3, note), dataset, split, request_time=False).protocol["request_time"]
        is False
    )
    assert given == [30, NO_TIME]


def test_rows_have_the_request_time_known_and_unknown() -> None:
    timed, timeless = dataset_of([0, 1, 2], times=[[10, 20, 30]]), dataset_of([0, 1, 2])
    rows = evaluate_by_request_time(constant(timed), timed, leave_one_out(timed), "test")
    assert {row: report.protocol["request_time"] for row, report in rows.items()} == {
        "request_time_on": True,
        "request_time_off": False,
    }
    assert list(
        evaluate_by_request_time(constant(timeless), timeless, leave_one_out(timeless), "test")
    ) == ["request_time_off"]


def test_model_without_request_times_has_one_row() -> None:
    timed = dataset_of([0, 1, 2], times=[[1, 2, 3]])
    scorer = constant(timed)
    scorer.reads_request_time = False  # type: ignore[attr-defined]
    assert list(evaluate_by_request_time(scorer, timed, leave_one_out(timed), "test")) == [
        "request_time_off"
    ]
    assert evaluate(scorer, timed, leave_one_out(timed)).protocol["request_time"] is False


def test_protocol_of_timeless_data_knows_no_request_time() -> None:
    dataset = dataset_of(*TWO_USERS)
    assert (
        evaluate(constant(dataset), dataset, leave_one_out(dataset)).protocol["request_time"]
        is False
    )


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_batch_size_changes_no_report(world: PreparedDataset, batch_size: int) -> None:
    split = make_split(world, SplitConfig())
    scorer = SequentialRules(world, split)
    report, usual = (
        evaluate(scorer, world, split, batch_size=batch_size),
        evaluate(scorer, world, split),
    )
    assert report.rank_C.tolist() == usual.rank_C.tolist()
    for metric, estimate in usual.metrics.items():
        assert report.metrics[metric].to_dict() == pytest.approx(estimate.to_dict(), abs=1e-12)
    assert (report.slices, report.protocol) == (usual.slices, usual.protocol)


def test_rating_errors_are_of_the_expected_rating_on_rated_targets() -> None:
    dataset = dataset_of(*TWO_USERS, [0, 1, 2], ratings=[[1, 1, 1, 5], [1, 1, 2], [1, 1, 0]])
    report = evaluate(Rates(5, level=3), dataset, leave_one_out(dataset))
    assert report.metrics["rating_rmse"].value == pytest.approx(
        ((3 - 5) ** 2 / 2 + (3 - 2) ** 2 / 2) ** 0.5
    )
    assert report.metrics["rating_mae"] == Estimate((2 + 1) / 2, 1, 2)
    assert report.squared_error_C.tolist() == [4, 1, pytest.approx(np.nan, nan_ok=True)]


@pytest.mark.parametrize("batch_size", [1, 256])
def test_calibration_is_over_rated_targets_of_all_batches(batch_size: int) -> None:
    dataset = dataset_of(*TWO_USERS, [0, 1, 2], ratings=[[1, 1, 1, 5], [1, 1, 3], [1, 1, 0]])
    report = evaluate(Rates(5, level=3), dataset, leave_one_out(dataset), batch_size=batch_size)
    sure, never = ([row for row in report.reliability if row["predicted"] == p] for p in (1, 0))
    assert sure == [{"level": 3, "cases": 2, "predicted": 1, "observed": 0.5}]
    assert {row["level"]: row["observed"] for row in never} == {1: 0, 2: 0, 4: 0, 5: 0.5}
    assert report.metrics["rating_ece"].value == pytest.approx((0.5 + 0.5) / 5)
    assert report.metrics["rating_coverage"].value == 0.5
    assert report.metrics["rating_interval_levels"].value == 1
    assert not report.metrics["rating_ece"].has_interval


def test_without_ratings_or_a_rating_scorer_there_are_no_rating_errors() -> None:
    unrated = dataset_of(*TWO_USERS)
    rated = dataset_of(*TWO_USERS, ratings=[[1] * 4, [1] * 3])
    assert "rating_rmse" not in evaluate(Rates(5, level=3), unrated, leave_one_out(unrated)).metrics
    report = evaluate(constant(rated), rated, leave_one_out(rated))
    assert not {"rating_rmse", "rating_ece"} & set(report.metrics)
    assert (report.squared_error_C, report.reliability) == (None, [])


def test_score_of_nan_is_refused_in_one_line() -> None:
    dataset = dataset_of(*TWO_USERS)
    broken = Scores(5, lambda histories: torch.full((1, 1), torch.nan), "broken")
    with pytest.raises(DataError, match="broken: scored NaN"):
        evaluate(broken, dataset, leave_one_out(dataset))


def test_subset_without_cases_is_refused_in_one_line() -> None:
    dataset = dataset_of(
        [0, 1], [2], times=[[10, 90], [20]]
    )  # between the dates one event, and nothing before it
    split = make_split(dataset, SplitConfig("global-temporal", test_share=0.3))
    with pytest.raises(DataError, match="split 'global-temporal' has no validation cases"):
        evaluate(constant(dataset), dataset, split, subset="validation")


def test_user_with_one_candidate_gets_a_list_of_one() -> None:
    dataset = dataset_of([0, 1, 2, 3], num_items=4, genres=[[1], [1], [1], [1]])
    report = evaluate(constant(dataset), dataset, leave_one_out(dataset))
    assert report.metrics["coverage@10"].value == 1 / 4
    assert "diversity@10" not in report.metrics


def test_protocol_names_all_that_a_figure_depends_on() -> None:
    dataset = dataset_of(*TWO_USERS)
    split = leave_one_out(dataset)
    assert evaluate(constant(dataset), dataset, split, seed=7).protocol == {
        "dataset": "by hand",
        "dataset_checksum": dataset.checksum,
        "features_checksum": dataset.features_checksum,
        "split": "leave-one-out",
        "split_checksum": split.checksum,
        "subset": "test",
        "users": 2,
        "items": 5,
        "candidates": "all 5 items",
        "filter": "the user's whole history",
        "ties": "against the model",
        "request_time": False,
        "intervals": "95% bootstrap over users, 1000 resamples, seed 7",
    }


def test_shuffled_ties_are_in_the_protocol_and_its_line() -> None:
    dataset = dataset_of(*TWO_USERS)
    shuffled = replace(dataset, manifest={**dataset.manifest, "ties": "shuffled"})
    report = evaluate(constant(shuffled), shuffled, leave_one_out(shuffled))
    assert report.protocol["event_ties"] == "shuffled"
    checksums = f"(checksum {dataset.checksum}, features {dataset.features_checksum})"
    assert f"{checksums}, order of ties: shuffled, leave-one-out" in report.protocol_line()
    assert (
        "order of ties"
        not in evaluate(constant(dataset), dataset, leave_one_out(dataset)).protocol_line()
    )


@pytest.mark.parametrize("score", [lambda h: torch.zeros(1, 1), lambda h: torch.arange(5.0)[None]])
def test_target_is_ranked_in_the_whole_catalogue(score: Callable[[Histories], Tensor]) -> None:
    dataset = dataset_of([0, 1, 0], num_items=5)  # the target is 0 again: candidates are 0, 2, 3, 4
    assert evaluate(Scores(5, score), dataset, leave_one_out(dataset)).rank_C.tolist() == [4]
