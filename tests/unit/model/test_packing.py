from __future__ import annotations

from dataclasses import replace

import torch

from bert4rec.model.packing import CPU_LIMITS, limits_for, padded_rectangles
from small_networks import packed

LENGTHS = (10, 10, 9, 8, 7, 3, 3)


def test_similar_lengths_share_a_rectangle_and_a_shorter_sequence_opens_the_next() -> None:
    rectangles = padded_rectangles(packed(*LENGTHS))
    # 7 < 0.8 · 10 opens a rectangle; 7, 3, 3 are too few to be cut.
    assert [rectangle.shape for rectangle in rectangles] == [(4, 10), (3, 7)]
    assert [(r.tokens.start, r.tokens.stop) for r in rectangles] == [(0, 37), (37, 50)]


def test_sequence_above_the_score_limit_has_a_rectangle_of_its_own() -> None:
    rectangles = padded_rectangles(packed(5, 5), replace(CPU_LIMITS, max_scores=10))
    assert [rectangle.shape for rectangle in rectangles] == [(1, 5), (1, 5)]


def test_gpu_gets_few_rectangles_whatever_their_padding() -> None:
    rectangles = padded_rectangles(packed(*LENGTHS), limits_for(torch.device("cuda")))
    assert [rectangle.shape for rectangle in rectangles] == [(7, 10)]
    assert limits_for(torch.device("cpu")) is CPU_LIMITS


def test_padded_tokens_stand_at_their_positions_and_padding_is_zero() -> None:
    (rectangle,) = padded_rectangles(packed(3, 1))
    padded = rectangle.pad(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert padded[..., 0].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert rectangle.unpad(padded)[:, 0].tolist() == [1, 2, 3, 4]


def test_padded_values_are_filled_up_with_the_given_one() -> None:
    (rectangle,) = padded_rectangles(packed(3, 1))
    padded = rectangle.pad_values(torch.tensor([1, 2, 3, 4]), padding=-1)
    assert padded.tolist() == [[1, 2, 3], [4, -1, -1]]
