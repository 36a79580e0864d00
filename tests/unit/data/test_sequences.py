"""Packed sequences of histories, checked by hand. Items are written 0, 1, 2, …"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from bert4rec.data.histories import Histories
from bert4rec.data.sequences import causal_sequences, masked_sequences
from bert4rec.ids import FIRST_ITEM, MASK, NO_RATING, NO_TIME, PAD, UNKNOWN
from small_worlds import dataset_of

M, P = MASK - FIRST_ITEM, PAD - FIRST_ITEM


def items(item_T: Tensor) -> list[int]:
    return (item_T - FIRST_ITEM).tolist()


def history(*given: int, request_time: int = 900) -> Histories:
    """Events of one cold-start user at 100, 200, … seconds, rated 5."""
    count = len(given)
    return Histories(
        user_B=np.array([UNKNOWN]),
        start_B1=np.array([0, count]),
        item_N=np.array(given, dtype=np.int64) + FIRST_ITEM,
        time_N=100 * (np.arange(count) + 1),
        rating_N=np.full(count, 5),
        request_time_B=np.array([request_time]),
    )


def test_causal_sequence_is_a_start_token_and_the_events() -> None:
    read = causal_sequences(history(7, 8, 9), seq_length=4)
    assert items(read.item_T) == [M, 7, 8, 9]
    assert read.time_T.tolist() == [NO_TIME, 100, 200, 300]
    assert read.rating_T.tolist() == [NO_RATING, 5, 5, 5]
    assert read.request_time_T.tolist() == [
        100,
        200,
        300,
        900,
    ]  # when the next event happened; at last the request
    assert read.position_T.tolist() == [0, 1, 2, 3]


def test_unknown_request_time_is_unknown_at_every_token() -> None:
    read = causal_sequences(history(7, 8, 9, request_time=NO_TIME), seq_length=4)
    assert read.request_time_T.tolist() == [NO_TIME] * 4
    assert read.time_T.tolist() == [NO_TIME, 100, 200, 300]


def test_masked_sequence_is_the_events_and_a_mask_at_the_request_time() -> None:
    read = masked_sequences(history(7, 8, 9), seq_length=4)
    assert items(read.item_T) == [7, 8, 9, M]
    assert read.time_T.tolist() == read.request_time_T.tolist() == [100, 200, 300, 900]
    assert read.rating_T.tolist() == [5, 5, 5, NO_RATING]


def test_sequence_keeps_the_most_recent_events() -> None:
    assert items(causal_sequences(history(5, 6, 7, 8, 9), seq_length=3).item_T) == [M, 7, 8, 9]
    assert items(masked_sequences(history(5, 6, 7, 8, 9), seq_length=3).item_T) == [8, 9, M]


def test_empty_history_is_a_single_token() -> None:
    for make in (causal_sequences, masked_sequences):
        read = make(history(), seq_length=3)
        assert (items(read.item_T), read.lengths, read.request_time_T.tolist()) == (
            [M],
            (1,),
            [900],
        )


def test_sequences_are_packed_end_to_end() -> None:
    dataset = dataset_of([0, 1, 2], [3], [4, 5])
    users = np.array([3, 2, 1])
    read = causal_sequences(
        dataset.histories(users, np.asarray(dataset.start_U1)[users + 1]), seq_length=8
    )
    assert items(read.item_T) == [M, 4, 5, M, 3, M, 0, 1, 2]
    assert read.lengths == (3, 2, 4)
    assert read.row_T.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert read.position_T.tolist() == [0, 1, 2, 0, 1, 0, 1, 2, 3]
    assert read.user_B.tolist() == [3, 2, 1]
    assert read.last_B.tolist() == [2, 4, 8]


def test_times_of_this_century_are_exact_seconds() -> None:
    late = history(7, 8)
    late.time_N[:] = [1_700_000_001, 1_700_000_002]
    assert causal_sequences(late, seq_length=4).time_T.tolist() == [
        NO_TIME,
        1_700_000_001,
        1_700_000_002,
    ]
