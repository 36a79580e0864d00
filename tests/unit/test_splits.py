from __future__ import annotations

import numpy as np
import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Cases, make_split, training_counts, training_events
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME, UNKNOWN
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


def long_histories(users: int) -> PreparedDataset:
    """Of every third user 19 events, else 21; the item of an event is its place."""
    gender = [1 + user % 2 for user in range(users)]
    return dataset_of(*(range(19 if user % 3 == 0 else 21) for user in range(users)), num_items=21, gender=gender)


def test_of_cold_users_nothing_trains_and_the_20th_event_is_asked_for() -> None:
    dataset = long_histories(30)
    folds = [make_split(dataset, SplitConfig("cold-users", fold=fold)) for fold in range(5)]
    for fold, split in enumerate(folds):
        for past, target in asked(dataset, split.test).values():
            assert (past, target) == (list(range(19)), 19)
        cold = {*split.validation.user_C.tolist(), *split.test.user_C.tolist()}
        trained = np.searchsorted(dataset.start_U1, training_events(dataset, split), side="right") - 1
        assert set(trained.tolist()) == set(range(FIRST_USER, dataset.user_rows)) - cold
        assert np.array_equal(split.validation.user_C, folds[(fold + 1) % 5].test.user_C)
    everybody = np.concatenate([split.test.user_C for split in folds])
    assert sorted(everybody.tolist()) == [user + FIRST_USER for user in range(30) if user % 3]
    assert len({split.checksum for split in folds}) == 5


@pytest.mark.parametrize("shots", [0, 1, 19, 50])
def test_no_more_than_the_last_events_are_visible(shots: int) -> None:
    dataset = long_histories(15)
    test = make_split(dataset, SplitConfig("cold-users")).test.with_shots(shots)
    assert len(test)
    for past, target in asked(dataset, test).values():
        assert (past, target) == (list(range(19))[19 - min(shots, 19) :], 19)


def test_cold_users_are_asked_without_an_id_and_with_their_features() -> None:
    dataset = long_histories(15)
    test = make_split(dataset, SplitConfig("cold-users")).test
    for piece in test.pieces(2):
        histories = piece.histories(dataset, request_time=True)
        assert (histories.user_B == UNKNOWN).all()
        assert histories.user_features["gender"].tolist() == (1 + (piece.user_C - FIRST_USER) % 2).tolist()
        assert (histories.without_user_features().user_features["gender"] == UNKNOWN).all()


def test_cold_users_need_histories_of_twenty_events_and_a_fold_that_exists() -> None:
    with pytest.raises(DataError, match="needs users with 20 events"):
        make_split(dataset_of(range(19), range(19)), SplitConfig("cold-users"))
    with pytest.raises(ConfigError, match="fold is 5: it must be from 0 to 4"):
        SplitConfig("cold-users", fold=5)
    with pytest.raises(ConfigError, match="0 but for split cold-users"):
        SplitConfig("leave-one-out", fold=1)


def test_pieces_are_the_cases_in_order() -> None:
    cases = leave_one_out(dataset_of([0, 1, 2], [0, 1, 2], [0, 1, 2])).test
    assert [piece.user_C.tolist() for piece in cases.pieces(2)] == [[1, 2], [3]]
