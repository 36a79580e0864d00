"""Cold-start and warm targets of 60 users with the same three events and one target each."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bert4rec.config import SplitConfig
from bert4rec.data.histories import Histories
from bert4rec.data.splits import make_split
from bert4rec.errors import DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME
from bert4rec.result_tables import to_markdown
from bert4rec.studies.cold_start_items import (
    COLD_AMONG_ALL,
    COLD_AMONG_COLD,
    COST,
    MODEL,
    NO_REQUEST_TIME,
    RANDOM,
    WARM_AMONG_ALL,
    WARM_AMONG_WARM,
    ColdStartItems,
    cold_start_items,
    pooled,
)
from small_worlds import Scores, dataset_of, leave_one_out

TARGETS, SEEN = 60, [60, 61, 62]
ITEMS = TARGETS + len(SEEN)
ONCE = [[item] for item in range(ITEMS)] * 5
"""Users who only train: each item has events enough to be dealt into a fold."""
HISTORIES = [*([*SEEN, item] for item in range(TARGETS)), *ONCE]
GENRES = [[1 + item % 2] for item in range(ITEMS)]
DATASET = dataset_of(
    *HISTORIES, times=[list(range(100, 100 + len(of))) for of in HISTORIES], genres=GENRES
)
SPLIT = make_split(DATASET, SplitConfig("cold-start-items", fold=0))
NEW = torch.from_numpy(SPLIT.cold_start_item_rows(DATASET)) - FIRST_ITEM
COLD_TARGETS = NEW[NEW < TARGETS].tolist()
WARM_TARGETS = [item for item in range(TARGETS) if item not in COLD_TARGETS]


def of_items(score_V: torch.Tensor) -> Scores:
    return Scores(ITEMS, lambda histories: score_V[None])


def hits(table: ColdStartItems, row: str = MODEL) -> dict[str, float]:
    return {column: found["hit@10"].value for column, found in table.values[row].items() if found}


def table_of(score_V: torch.Tensor, fold: int = 0) -> ColdStartItems:
    return cold_start_items(
        of_items(score_V), DATASET, make_split(DATASET, SplitConfig("cold-start-items", fold=fold))
    )


def ranks(score_V: torch.Tensor, candidates: list[int]) -> dict[int, int]:
    """Rank of each candidate among them."""
    return {
        item: sum(bool(score_V[other] >= score_V[item]) for other in candidates)
        for item in candidates
    }


def share(rank: dict[int, int], targets: list[int]) -> float:
    return float(np.mean([rank[target] <= 10 for target in targets]))


def test_ranks_are_among_the_targets_kind_and_among_all() -> None:
    score_V = torch.randn(ITEMS, generator=torch.Generator().manual_seed(1))
    in_all = ranks(score_V, list(range(TARGETS)))  # seen items are no candidates
    assert len(COLD_TARGETS) in (12, 13)
    assert hits(table_of(score_V)) == pytest.approx(
        {
            COLD_AMONG_COLD: share(ranks(score_V, COLD_TARGETS), COLD_TARGETS),
            COLD_AMONG_ALL: share(in_all, COLD_TARGETS),
            WARM_AMONG_ALL: share(in_all, WARM_TARGETS),
            WARM_AMONG_WARM: share(ranks(score_V, WARM_TARGETS), WARM_TARGETS),
        }
    )


def test_cold_start_items_above_warm_ones_are_a_cost() -> None:
    """Five cold items before all others: of ten warm ranks, five are lost."""
    score_V = -torch.arange(float(ITEMS))
    score_V[COLD_TARGETS[:5]] = 1 + torch.arange(5.0)
    table = table_of(score_V)
    cost = table.costs[MODEL]["hit@10"]
    assert cost.value == pytest.approx(50)
    assert cost.low < cost.value < cost.high
    score_V[COLD_TARGETS[:5]] = -1000 - torch.arange(5.0)
    assert table_of(score_V).costs[MODEL]["hit@10"].value == pytest.approx(
        100
        * (1 - hits(table_of(score_V))[WARM_AMONG_ALL] / hits(table_of(score_V))[WARM_AMONG_WARM])
    )


def test_random_row_is_the_mean_of_random_orders() -> None:
    table = table_of(torch.zeros(ITEMS))
    gains = 1 / np.log2(np.arange(1, 11) + 1)
    cold, warm = len(COLD_TARGETS), len(WARM_TARGETS)
    assert hits(table, RANDOM) == pytest.approx(
        {
            COLD_AMONG_COLD: 10 / cold,
            COLD_AMONG_ALL: 10 / TARGETS,
            WARM_AMONG_ALL: 10 / TARGETS,
            WARM_AMONG_WARM: 10 / warm,
        }
    )
    assert table.values[RANDOM][COLD_AMONG_ALL]["ndcg@10"].value == pytest.approx(
        gains.sum() / TARGETS
    )
    assert table.costs[RANDOM]["ndcg@10"].value == pytest.approx(100 * (1 - warm / TARGETS))
    drawn = [
        table_of(torch.randn(ITEMS, generator=torch.Generator().manual_seed(seed)))
        for seed in range(30)
    ]
    reached = np.mean([draw.values[MODEL][COLD_AMONG_COLD]["ndcg@10"].value for draw in drawn])
    assert reached == pytest.approx(
        table.values[RANDOM][COLD_AMONG_COLD]["ndcg@10"].value, rel=0.01
    )


def test_content_neighbours_are_a_row_and_are_compared_with() -> None:
    table = table_of(torch.zeros(ITEMS))  # ties count against it: nothing is hit
    assert set(table.values) == {MODEL, NO_REQUEST_TIME, "content kNN", RANDOM}
    for column, found in table.differences["content kNN"].items():
        assert found["ndcg@10"].value == pytest.approx(
            -table.values["content kNN"][column]["ndcg@10"].value
        )
    bare = dataset_of(*HISTORIES)
    split = make_split(bare, SplitConfig("cold-start-items"))
    table = cold_start_items(of_items(torch.zeros(ITEMS)), bare, split)
    assert set(table.values) == {MODEL, RANDOM}
    assert not table.differences


def test_one_row_has_no_request_time() -> None:
    def score(histories: Histories) -> torch.Tensor:
        score_BV = torch.zeros(len(histories), ITEMS)
        score_BV[torch.from_numpy(histories.request_time_B != NO_TIME), :5] = 1
        return score_BV

    targets = [item for item in range(5) if item not in COLD_TARGETS]
    table = cold_start_items(Scores(ITEMS, score), DATASET, SPLIT)
    assert hits(table)[WARM_AMONG_ALL] == len(targets) / len(WARM_TARGETS)
    assert hits(table, NO_REQUEST_TIME)[WARM_AMONG_ALL] == 0


def test_validation_has_warm_targets_alone() -> None:
    table = cold_start_items(of_items(torch.zeros(ITEMS)), DATASET, SPLIT, subset="validation")
    assert set(hits(table)) == {WARM_AMONG_ALL, WARM_AMONG_WARM}
    assert table.protocol["cold_targets"] == 0
    assert "| model | – | – |" in to_markdown(table.tables())


def test_split_without_cold_start_items_is_refused() -> None:
    with pytest.raises(
        DataError,
        match="every item has training events under 'leave-one-out'; take split 'cold-start-items'",
    ):
        cold_start_items(of_items(torch.zeros(ITEMS)), DATASET, leave_one_out(DATASET))


def test_folds_are_pooled_user_by_user() -> None:
    score_V = -torch.arange(float(ITEMS))
    tables = [table_of(score_V, fold) for fold in range(5)]
    together = pooled(tables)
    assert together.protocol["users"] == together.protocol["cold_targets"] == TARGETS
    assert hits(together)[COLD_AMONG_ALL] == pytest.approx(10 / TARGETS)  # each item is cold once
    assert hits(together)[WARM_AMONG_ALL] == pytest.approx(
        10 / TARGETS
    )  # and warm in the four others
    with pytest.raises(DataError, match="two models are of the same fold"):
        pooled([tables[0], tables[0]])
    validation = cold_start_items(of_items(score_V), DATASET, SPLIT, subset="validation")
    with pytest.raises(DataError, match="the tables differ in their subset"):
        pooled([tables[0], validation])


def test_result_gives_tables_and_plain_values() -> None:
    table = table_of(-torch.arange(float(ITEMS)))
    text, plain = to_markdown(table.tables()), table.to_dict()
    row = [COLD_AMONG_COLD, COLD_AMONG_ALL, WARM_AMONG_ALL, WARM_AMONG_WARM, COST]
    assert f"| hit@10 | {' | '.join(map(str, row))} |" in text
    assert f"{len(COLD_TARGETS)} of 60 targets are cold, {len(NEW)} of 63 items" in text
    assert "request time known but where a row says otherwise" in text
    assert plain["rows"][MODEL][WARM_AMONG_ALL]["hit@10"]["value"] == hits(table)[WARM_AMONG_ALL]
    assert plain["rows"][RANDOM][COST]["hit@10"]["low"] > 0
    assert plain["differences"][0]["second"] == "content kNN"
