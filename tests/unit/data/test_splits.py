"""Training events and cases of every split, checked by hand. Users and items are 0, 1, 2, …"""

from __future__ import annotations

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import (
    Cases,
    Split,
    make_split,
    training_counts,
    training_events,
    without_held_out_items,
)
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM, NO_TIME, UNKNOWN
from small_worlds import dataset_of, leave_one_out

TIMES = [[10, 20, 30, 90, 95], [15, 25, 75], [80, 92, 99], [5, 6, 7, 8, 9]]
ITEMS = [[0, 1, 2, 3, 4], [1, 2, 3], [4, 0, 1], [0, 2, 4, 1, 3]]


def cases_by_user(dataset: PreparedDataset, cases: Cases) -> dict[int, tuple[list[int], int]]:
    """Visible items and target item by user."""
    histories = cases.histories(dataset, request_time=False)
    visible = np.split(histories.item_N - FIRST_ITEM, histories.start_B1[1:-1])
    target_C = dataset.item_N[cases.target_C] - FIRST_ITEM
    return {
        int(user) - 1: (past.tolist(), int(target))
        for user, past, target in zip(cases.user_C, visible, target_C, strict=True)
    }


def test_leave_one_out_tests_the_last_event_and_validates_the_one_before() -> None:
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2])
    split = leave_one_out(dataset)
    assert cases_by_user(dataset, split.validation) == {0: ([0, 1], 2), 1: ([4], 3)}
    assert cases_by_user(dataset, split.test) == {0: ([0, 1, 2], 3), 1: ([4, 3], 2)}
    assert training_events(dataset, split).tolist() == [0, 1, 4]


def test_users_under_three_events_only_train() -> None:
    dataset = dataset_of([0, 1], [2], [0, 1, 2])
    split = leave_one_out(dataset)
    assert list(cases_by_user(dataset, split.test)) == [2]
    assert training_events(dataset, split).tolist() == [0, 1, 2, 3]
    assert training_counts(dataset, split)[FIRST_ITEM:].tolist() == [2, 1, 1]


def test_dataset_of_short_histories_is_refused() -> None:
    with pytest.raises(DataError, match="needs users with 3 events"):
        leave_one_out(dataset_of([0, 1], [2]))


def test_request_time_is_that_of_the_target_or_unknown() -> None:
    dataset = dataset_of([0, 1, 2], times=[[10, 20, 30]])
    test = leave_one_out(dataset).test
    assert test.histories(dataset, request_time=True).request_time_B.tolist() == [30]
    assert test.histories(dataset, request_time=False).request_time_B.tolist() == [NO_TIME]


def test_global_temporal_split_trains_before_the_dates_and_tests_after() -> None:
    dataset = dataset_of(*ITEMS, times=TIMES)
    split = make_split(dataset, SplitConfig("global-temporal", test_share=0.25))
    # 16 events: the test date is the 13th time, 90.
    # Of the 12 events before it, the validation date is the 10th time, 30.
    assert sorted(dataset.time_N[training_events(dataset, split)].tolist()) == [
        5,
        6,
        7,
        8,
        9,
        10,
        15,
        20,
        25,
    ]
    assert cases_by_user(dataset, split.validation) == {0: ([0, 1], 2), 1: ([1, 2], 3)}
    assert cases_by_user(dataset, split.test) == {0: ([0, 1, 2, 3], 4), 2: ([4, 0], 1)}


def test_global_temporal_split_without_times_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs event times; take 'leave-one-out'"):
        make_split(dataset_of([0, 1, 2]), SplitConfig("global-temporal"))


def test_date_without_earlier_events_is_refused() -> None:
    with pytest.raises(DataError, match="leaves nothing to train on; take 'leave-one-out'"):
        make_split(
            dataset_of([0, 1, 2], [1, 2, 0], times=[[5] * 3] * 2), SplitConfig("global-temporal")
        )


LONG = [*range(19), 25, *range(20, 24)]
"""History of 24 events, of which the 20th is item 25."""


def cold(fold: int = 0, short: int = 2) -> tuple[PreparedDataset, Split]:
    """Cold-start split of ten users with 24 events, after some with 19."""
    dataset = dataset_of(
        *[LONG[:19]] * short, *[LONG] * 10, num_items=26, gender=[1] * short + [2] * 10
    )
    return dataset, make_split(dataset, SplitConfig("cold-start-users", fold=fold))


def test_cold_start_users_test_on_their_20th_event_and_do_not_train() -> None:
    dataset, split = cold()
    for cases in (split.test, split.validation):
        assert list(cases_by_user(dataset, cases).values()) == [(list(range(19)), 25)] * 2
        assert (split.train_stop_U[cases.user_C] == dataset.start_U1[cases.user_C]).all()
    assert (
        len(training_events(dataset, split)) == 2 * 19 + 6 * 24
    )  # the short ones and the six others, all events


def test_each_fold_tests_other_users_and_the_next_fold_validates() -> None:
    splits = [cold(fold)[1] for fold in range(5)]
    tested = [split.test.user_C.tolist() for split in splits]
    assert sorted(user for users in tested for user in users) == list(
        range(3, 13)
    )  # rows from 1, after the two short users
    assert [split.validation.user_C.tolist() for split in splits] == [*tested[1:], tested[0]]
    assert len({split.checksum for split in splits}) == 5
    assert splits[3].name == "cold-start-users, fold 3"


def test_few_shot_cases_show_the_last_events_before_the_target() -> None:
    dataset, split = cold()
    for events in (0, 1, 3, 19, 50):
        visible = cases_by_user(dataset, split.test.with_last_events(events))
        assert list(visible.values()) == [(list(range(19))[19 - min(events, 19) :], 25)] * 2


def test_cold_start_user_has_demographics_and_no_user_row() -> None:
    dataset, split = cold()
    histories = split.test.histories(dataset, request_time=False)
    assert histories.user_B.tolist() == [UNKNOWN] * 2
    assert histories.user_features["gender"].tolist() == [2, 2]
    assert split.test[1:].is_cold_start_C.tolist() == [True]


def test_user_without_training_events_is_cold_start_under_any_split() -> None:
    dataset = dataset_of(*ITEMS, times=TIMES, gender=[1, 2, 1, 2])
    split = make_split(dataset, SplitConfig("global-temporal", test_share=0.25))
    histories = split.test.histories(dataset, request_time=False)
    assert split.test.user_C.tolist() == [1, 3]  # the third user's first event is of after the date
    assert histories.user_B.tolist() == [1, UNKNOWN]
    assert histories.user_features["gender"].tolist() == [1, 1]
    assert split.cold_start_user_rows(dataset).tolist() == [UNKNOWN, 3]
    all_users = leave_one_out(dataset).test.histories(dataset, request_time=False)
    assert all_users.user_B.tolist() == [1, 2, 3, 4]
    assert not all_users.user_features


def test_too_few_long_histories_for_the_folds_are_refused() -> None:
    with pytest.raises(
        DataError, match="needs 5 users with 20 events, one for each fold; it has 1: take"
    ):
        make_split(dataset_of(LONG, [0, 1, 2]), SplitConfig("cold-start-users"))


@pytest.mark.parametrize("fold", [-1, 5])
def test_fold_out_of_range_is_refused(fold: int) -> None:
    with pytest.raises(ConfigError, match=f"fold is {fold}: it must be a whole number from 0 to 4"):
        SplitConfig("cold-start-users", fold=fold)


def test_fold_of_a_split_without_folds_is_refused() -> None:
    with pytest.raises(
        ConfigError,
        match="fold 1 is of the splits 'cold-start-users' and 'cold-start-items', "
        "not of 'leave-one-out'",
    ):
        SplitConfig(fold=1)


def test_held_out_items_are_tested_and_neither_train_nor_validate() -> None:
    dataset = dataset_of(*[[0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3], [5, 0]] * 5)
    split = make_split(dataset, SplitConfig("cold-start-items", fold=2))
    assert split.name == "cold-start-items, fold 2"
    assert split.held_out_item_V is not None
    (cold,) = np.flatnonzero(split.held_out_item_V)
    everything = leave_one_out(dataset)
    all_training = training_events(dataset, everything)
    assert training_events(dataset, split).tolist() == [
        event for event in all_training if dataset.item_N[event] != cold
    ]
    assert training_counts(dataset, split)[cold] == 0
    assert split.cold_start_item_rows(dataset).tolist() == [cold]
    assert split.test.target_C.tolist() == everything.test.target_C.tolist()
    warm = [target for target in everything.validation.target_C if dataset.item_N[target] != cold]
    assert split.validation.target_C.tolist() == warm
    assert cases_by_user(dataset, split.test)[0] == ([0, 1, 2, 3], 4)  # held-out items are visible


def test_each_item_of_five_events_is_held_out_in_one_fold() -> None:
    dataset = dataset_of(*[[0, 1, 2, 3, 4, 5, 6]] * 5, [7] * 4)
    splits = [make_split(dataset, SplitConfig("cold-start-items", fold=fold)) for fold in range(5)]
    cold = [item for split in splits for item in np.flatnonzero(split.held_out_item_V)]
    assert sorted(cold) == list(range(FIRST_ITEM, FIRST_ITEM + 7))
    assert len({split.checksum for split in splits}) == 5


def test_user_of_held_out_items_alone_is_cold_start() -> None:
    dataset = dataset_of(*[[0, 1, 2, 3, 4]] * 5, *[[item, 0, 1] for item in range(5)])
    split = make_split(dataset, SplitConfig("cold-start-items"))
    assert split.held_out_item_V is not None
    (cold,) = np.flatnonzero(split.held_out_item_V) - FIRST_ITEM
    assert split.cold_start_user_rows(dataset).tolist() == [UNKNOWN, 6 + cold]
    assert split.test.is_cold_start_C.tolist() == [user == 6 + cold for user in split.test.user_C]


def test_too_few_items_for_the_folds_are_refused() -> None:
    with pytest.raises(
        DataError,
        match="'cold-start-items' needs 5 items with 5 events, one for each fold; it has 4: take",
    ):
        make_split(dataset_of(*[[0, 1, 2, 3]] * 5, [4, 5, 6]), SplitConfig("cold-start-items"))


def test_training_events_without_held_out_items_are_one_range() -> None:
    dataset = dataset_of(*[[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]] * 5, ratings=[[1, 2, 3, 4, 5]] * 10)
    split = make_split(dataset, SplitConfig("cold-start-items"))
    warm, view = without_held_out_items(dataset, split)
    trained = training_events(dataset, split)
    trained_without = training_events(warm, view)
    assert split.cold_start_item_rows(dataset)[0] not in warm.item_N
    for name in ("item_N", "rating_N", "time_N"):
        assert (
            getattr(warm, name)[trained_without].tolist()
            == getattr(dataset, name)[trained].tolist()
        )
    same = make_split(dataset, SplitConfig())
    assert without_held_out_items(dataset, same) == (dataset, same)


def test_case_batches_keep_the_order() -> None:
    cases = leave_one_out(dataset_of([0, 1, 2], [0, 1, 2], [0, 1, 2])).test
    assert [piece.user_C.tolist() for piece in cases.batches(2)] == [[1, 2], [3]]
