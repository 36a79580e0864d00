"""`top_k`, `rank_of` and `list_rank` agree with plain Python, however many scores are equal."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bert4rec.retrieval.ranking import list_rank, rank_of, top_k

few_values = st.sampled_from([-torch.inf, -1.5, 0.0, 0.5, 2.0])
tables = st.integers(1, 12).flatmap(
    lambda width: st.lists(
        st.lists(few_values, min_size=width, max_size=width), min_size=1, max_size=4
    )
)


@given(tables, st.integers(1, 15))
def test_top_k_sorts_by_score_and_then_by_row(table: list[list[float]], k: int) -> None:
    expected = [
        sorted(range(len(row)), key=lambda item, row=row: (-row[item], item))[:k] for row in table
    ]
    item_BK, score_BK = top_k(torch.tensor(table), k)
    assert item_BK.tolist() == expected
    assert score_BK.tolist() == [
        [row[item] for item in best] for row, best in zip(table, expected, strict=True)
    ]


@given(tables, st.data())
def test_rank_counts_ties_against_the_item(table: list[list[float]], data: st.DataObject) -> None:
    targets = [data.draw(st.integers(0, len(row) - 1)) for row in table]
    expected = [
        sum(score >= row[target] for score in row)
        for row, target in zip(table, targets, strict=True)
    ]
    assert rank_of(torch.tensor(table), torch.tensor(targets)).tolist() == expected


@given(tables)
def test_rank_agrees_with_top_k(table: list[list[float]]) -> None:
    score_BV = torch.tensor(table)
    item_BK, _ = top_k(score_BV, score_BV.shape[1])
    ranks = list(range(1, score_BV.shape[1] + 1))
    assert list_rank(score_BV, item_BK).tolist() == [ranks] * len(table)
