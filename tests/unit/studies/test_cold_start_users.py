"""Few-shot curve on a countable world: 20 users of one history, whose 20th event is item 25."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import SplitConfig
from bert4rec.data.histories import Histories
from bert4rec.data.splits import make_split
from bert4rec.errors import DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME, UNKNOWN
from bert4rec.result_tables import to_markdown
from bert4rec.studies.cold_start_users import (
    EVENT_COUNTS,
    MODEL,
    NO_DEMOGRAPHICS,
    NO_REQUEST_TIME,
    cold_start_users,
    pooled,
)
from bert4rec.studies.plots import plot_cold_start_users
from small_worlds import Scores, dataset_of, leave_one_out

ITEMS = 40
HISTORY = [*range(19), 25, 26]
DATASET = dataset_of(
    *[HISTORY] * 20, num_items=ITEMS, gender=[1, 2] * 10, times=[list(range(100, 121))] * 20
)
SPLIT = make_split(DATASET, SplitConfig("cold-start-users"))
TARGET = 25


def of_target(score_B: Tensor) -> Tensor:
    """Scores `[B, items]`: that of the target, .5 for everything else."""
    score_BV = torch.full((len(score_B), ITEMS), 0.5)
    score_BV[:, TARGET] = score_B
    return score_BV


def hits(score: object) -> dict[str, list[float]]:
    curve = cold_start_users(Scores(ITEMS, score), DATASET, SPLIT)  # type: ignore[arg-type]
    return {
        name: [by_k[k]["hit@10"].value for k in EVENT_COUNTS] for name, by_k in curve.values.items()
    }


def test_rows_read_the_last_events_and_no_others() -> None:
    seen: list[list[int]] = []

    def note(histories: Histories) -> Tensor:
        seen.extend(
            part.tolist()
            for part in np.split(histories.item_N - FIRST_ITEM, histories.start_B1[1:-1])
        )
        assert (histories.user_B == UNKNOWN).all()
        return of_target(torch.ones(len(histories)))

    hits(note)
    assert {tuple(items) for items in seen} == {tuple(range(19 - k, 19)) for k in EVENT_COUNTS}


def test_scorer_that_needs_three_events_hits_from_three_on() -> None:
    found = hits(
        lambda histories: of_target(torch.from_numpy((histories.length_B >= 3).astype(np.float32)))
    )
    assert found[MODEL] == [0, 0, 1, 1, 1, 1]


def test_one_row_has_no_demographics() -> None:
    found = hits(
        lambda histories: of_target(
            torch.full((len(histories),), float("gender" in histories.user_features))
        )
    )
    assert (found[MODEL], found[NO_DEMOGRAPHICS]) == ([1] * 6, [0] * 6)


def test_one_row_has_no_request_time() -> None:
    found = hits(
        lambda histories: of_target(torch.from_numpy(histories.request_time_B != NO_TIME).float())
    )
    assert (found[MODEL], found[NO_DEMOGRAPHICS], found[NO_REQUEST_TIME]) == (
        [1] * 6,
        [1] * 6,
        [0] * 6,
    )


def test_given_events_are_filtered_and_earlier_ones_are_candidates() -> None:
    """Items rank by number: the target is behind 25 of them, less the shown ones."""
    curve = cold_start_users(
        Scores(ITEMS, lambda histories: -torch.arange(float(ITEMS))[None]), DATASET, SPLIT
    )
    gains = [curve.values[MODEL][k]["ndcg@10"].value for k in EVENT_COUNTS]
    ranks = [26 - k for k in EVENT_COUNTS]  # 26, 25, 23, 21, 16, 7
    assert gains == pytest.approx([1 / np.log2(rank + 1) if rank <= 10 else 0 for rank in ranks])


def test_counting_baselines_are_rows() -> None:
    found = hits(lambda histories: of_target(torch.zeros(len(histories))))
    assert found["sequential rules"] == [
        0,
        1,
        1,
        1,
        1,
        1,
    ]  # of nothing follows nothing, and ties count against it
    assert set(found) == {
        MODEL,
        NO_DEMOGRAPHICS,
        NO_REQUEST_TIME,
        "sequential rules",
        "popularity by gender",
        "popularity",
    }


def test_differences_are_of_the_rows() -> None:
    half = Scores(
        ITEMS, lambda histories: of_target(torch.from_numpy(histories.length_B % 2).float())
    )
    curve = cold_start_users(half, DATASET, SPLIT)
    claims = {(pair.first, pair.second): pair for pair in curve.differences}
    assert {second: list(pair.by_events) for (_, second), pair in claims.items()} == {
        "popularity by gender": [0],
        NO_DEMOGRAPHICS: list(EVENT_COUNTS),
        "sequential rules": list(EVENT_COUNTS),
    }
    minus_rules = claims[MODEL, "sequential rules"]
    assert [minus_rules.by_events[k].difference["hit@10"].value for k in EVENT_COUNTS] == [
        0,
        0,
        0,
        0,
        -1,
        0,
    ]
    assert minus_rules.by_events[10].p_value["hit@10"] == pytest.approx(
        2 / 2**4, abs=0.02
    )  # four users: all signs alike
    assert minus_rules.by_events[5].p_value["hit@10"] == 1.0


def test_without_user_features_there_is_no_row_without_demographics() -> None:
    bare = dataset_of(*[HISTORY] * 10, num_items=ITEMS)
    curve = cold_start_users(
        Scores(ITEMS, lambda histories: torch.zeros(1, 1)),
        bare,
        make_split(bare, SplitConfig("cold-start-users")),
    )
    assert set(curve.values) == {MODEL, "sequential rules", "popularity"}
    assert [pair.second for pair in curve.differences] == ["popularity", "sequential rules"]
    assert curve.protocol["request_time"] is False


def test_split_without_cold_start_users_is_refused() -> None:
    with pytest.raises(
        DataError,
        match="'leave-one-out' ranks for no cold-start users; take split 'cold-start-users'",
    ):
        cold_start_users(
            Scores(ITEMS, lambda histories: torch.zeros(1, 1)), DATASET, leave_one_out(DATASET)
        )


def test_folds_are_pooled_user_by_user() -> None:
    folds = [make_split(DATASET, SplitConfig("cold-start-users", fold=fold)) for fold in range(5)]
    scorers = [
        Scores(ITEMS, lambda _, right=fold < 2: of_target(torch.full((4,), float(right))))
        for fold in range(5)
    ]
    curves = [
        cold_start_users(scorer, DATASET, split)
        for scorer, split in zip(scorers, folds, strict=True)
    ]
    together = pooled(curves)
    assert together.protocol["users"] == 20
    assert together.values[MODEL][3]["hit@10"].value == pytest.approx(2 / 5)
    assert [len(pair.by_events) for pair in together.differences] == [1, 6, 6]
    assert together.differences[2].by_events[3].difference["hit@10"].value == pytest.approx(
        2 / 5 - 1
    )
    with pytest.raises(DataError, match="two models are of the same fold"):
        pooled([curves[0], curves[0]])
    with pytest.raises(DataError, match="differ in their subset"):
        pooled([curves[0], cold_start_users(scorers[1], DATASET, folds[1], subset="validation")])


def test_curve_gives_tables_and_a_picture(tmp_path: Path) -> None:
    curve = cold_start_users(
        Scores(ITEMS, lambda histories: of_target(torch.ones(len(histories)))), DATASET, SPLIT
    )
    text = to_markdown(curve.tables())
    assert "| hit@10 after k events | 0 | 1 | 3 | 5 | 10 | 19 |" in text
    assert "| model | 1.0000 [1.0000, 1.0000] |" in text
    assert "| model − popularity by gender | +1.0000 [+1.0000, +1.0000] | – |" in text
    assert "request time known but where a row says otherwise" in text
    assert curve.to_dict()["rows"][MODEL][1]["k"] == 1
    plot_cold_start_users(curve, tmp_path / "cold_start_users.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "cold_start_users.png").shape
    assert width > 1.5 * height
