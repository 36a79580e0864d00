"""`top_k` and `rank_of` say what plain Python says, however many scores are equal."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from bert4rec.retrieval.ranking import rank_of, top_k

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
def test_a_place_counts_everything_that_scores_as_much(
    table: list[list[float]], data: st.DataObject
) -> None:
    targets = [data.draw(st.integers(0, len(row) - 1)) for row in table]
    expected = [
        sum(score >= row[target] for score in row)
        for row, target in zip(table, targets, strict=True)
    ]
    assert rank_of(torch.tensor(table), torch.tensor(targets)).tolist() == expected
