from __future__ import annotations

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Cases, make_split, training_counts, training_events
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME
from small_worlds import dataset_of, leave_one_out

TIMES = [[10, 20, 30, 90, 95], [15, 25, 75], [80, 92, 99], [5, 6, 7, 8, 9]]
ITEMS = [[0, 1, 2, 3, 4], [1, 2, 3], [4, 0, 1], [0, 2, 4, 1, 3]]


def asked(dataset: PreparedDataset, cases: Cases) -> dict[int, tuple[list[int], int]]:
    """User number → (visible items, target item)."""
    histories = cases.histories(dataset, request_time=False)
    visible = np.split(histories.item_N - FIRST_ITEM, histories.start_B1[1:-1])
    target_C = dataset.item_N[cases.target_C] - FIRST_ITEM
    return {
        int(user) - 1: (past.tolist(), int(target))
        for user, past, target in zip(cases.user_C, visible, target_C, strict=True)
    }


def test_leave_one_out_asks_for_the_last_event_and_validates_on_the_one_before() -> None:
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2])
    split = leave_one_out(dataset)
    assert asked(dataset, split.validation) == {0: ([0, 1], 2), 1: ([4], 3)}
    assert asked(dataset, split.test) == {0: ([0, 1, 2], 3), 1: ([4, 3], 2)}
    assert training_events(dataset, split).tolist() == [0, 1, 4]


def test_users_under_three_events_only_train() -> None:
    dataset = dataset_of([0, 1], [2], [0, 1, 2])
    split = leave_one_out(dataset)
    assert list(asked(dataset, split.test)) == [2]
    assert training_events(dataset, split).tolist() == [0, 1, 2, 3]
    assert training_counts(dataset, split)[FIRST_ITEM:].tolist() == [2, 1, 1]


def test_a_dataset_of_short_histories_is_refused() -> None:
    with pytest.raises(DataError, match="needs users with 3 events"):
        leave_one_out(dataset_of([0, 1], [2]))


def test_the_time_of_the_request_is_the_targets_or_unknown() -> None:
    dataset = dataset_of([0, 1, 2], times=[[10, 20, 30]])
    test = leave_one_out(dataset).test
    assert test.histories(dataset, request_time=True).request_time_B.tolist() == [30]
    assert test.histories(dataset, request_time=False).request_time_B.tolist() == [NO_TIME]


def test_nothing_after_the_date_trains_and_validation_lies_between_two_dates() -> None:
    dataset = dataset_of(*ITEMS, times=TIMES)
    split = make_split(dataset, SplitConfig("global-time", test_share=0.25))
    # 16 events: the test date is the 13th time, 90; of the 12 before it the validation date is the 10th, 30.
    assert sorted(dataset.time_N[training_events(dataset, split)].tolist()) == [5, 6, 7, 8, 9, 10, 15, 20, 25]
    assert asked(dataset, split.validation) == {0: ([0, 1], 2), 1: ([1, 2], 3)}
    assert asked(dataset, split.test) == {0: ([0, 1, 2, 3], 4), 2: ([4, 0], 1)}


def test_global_time_without_times_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs event times; take 'leave-one-out'"):
        make_split(dataset_of([0, 1, 2]), SplitConfig("global-time"))


def test_a_date_before_which_nothing_happened_is_refused() -> None:
    with pytest.raises(DataError, match="leaves nothing to train on; take 'leave-one-out'"):
        make_split(dataset_of([0, 1, 2], [1, 2, 0], times=[[5] * 3] * 2), SplitConfig("global-time"))


def test_pieces_are_the_cases_in_order() -> None:
    cases = leave_one_out(dataset_of([0, 1, 2], [0, 1, 2], [0, 1, 2])).test
    assert [piece.user_C.tolist() for piece in cases.pieces(2)] == [[1, 2], [3]]
