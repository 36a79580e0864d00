"""Top-k and ranks: order, ties, excluded items."""

import torch

from bert4rec.ids import FIRST_ITEM, MASK, PAD
from bert4rec.retrieval.candidates import EXCLUDED, exclude
from bert4rec.retrieval.ranking import rank_of, top_k


def test_the_best_come_first_and_ties_go_to_the_lower_row() -> None:
    item_BK, score_BK = top_k(torch.tensor([[0.0, 2.0, 3.0, 2.0, 2.0]]), 3)
    assert item_BK.tolist() == [[2, 1, 3]]
    assert score_BK.tolist() == [[3.0, 2.0, 2.0]]


def test_ties_at_the_last_rank_go_to_the_lower_rows_of_each_user() -> None:
    score_BV = torch.tensor([[3.0, 1, 2, 2, 2], [2, 2, 2, 2, 2], [1, 5, 4, 3, 2]])
    for k, best in ((2, [[0, 2], [0, 1], [1, 2]]), (3, [[0, 2, 3], [0, 1, 2], [1, 2, 3]])):
        assert top_k(score_BV, k)[0].tolist() == best


def test_a_list_is_never_longer_than_the_catalogue() -> None:
    item_BK, _ = top_k(torch.tensor([[1.0, 2.0]]), 10)
    assert item_BK.tolist() == [[1, 0]]


def test_ties_count_against_the_target() -> None:
    score_BV = torch.tensor([[1.0, 1.0, 1.0, 0.0], [3.0, 2.0, 1.0, 0.0]])
    assert rank_of(score_BV, torch.tensor([0, 0])).tolist() == [3, 1]


def test_a_constant_score_puts_the_target_last() -> None:
    assert rank_of(torch.zeros(2, 7), torch.tensor([0, 6])).tolist() == [7, 7]


def test_excluded_items_and_pad_and_mask_have_no_rank() -> None:
    score_BV = exclude(torch.ones(2, 5), torch.tensor([0, 0, 1]), torch.tensor([2, 3, 4]))
    assert (score_BV[:, [PAD, MASK]] == EXCLUDED).all()
    assert (score_BV[:, FIRST_ITEM:] == EXCLUDED).tolist() == [
        [True, True, False],
        [False, False, True],
    ]
    assert rank_of(score_BV, torch.tensor([4, 2])).tolist() == [1, 2]


def test_ranks_without_a_candidate_score_minus_infinity() -> None:
    _, score_BK = top_k(exclude(torch.ones(1, 4), torch.tensor([0]), torch.tensor([3])), 3)
    assert score_BK.tolist() == [[1.0, EXCLUDED, EXCLUDED]]
