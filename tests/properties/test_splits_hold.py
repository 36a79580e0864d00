"""Invariants of every split for any histories."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.errors import DataError
from small_worlds import dataset_of

events = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40)), min_size=1, max_size=8)
users = st.lists(events, min_size=1, max_size=8)
rules = st.sampled_from(["leave-one-out", "global-temporal"])
quick = settings(max_examples=150, deadline=None)


lengths = st.builds(
    list.__add__,
    st.lists(st.integers(20, 26), min_size=5, max_size=10),
    st.lists(st.integers(1, 19), max_size=6),
).flatmap(st.permutations)
"""Users of a world, enough of whom have a 20th event."""


def world(histories: list[list[tuple[int, int]]]) -> PreparedDataset:
    return dataset_of(
        *([item for item, _ in history] for history in histories),
        num_items=7,
        times=[[time for _, time in history] for history in histories],
    )


def split_of(dataset: PreparedDataset, rule: str) -> Split:
    try:
        return make_split(dataset, SplitConfig(rule, test_share=0.3))  # type: ignore[arg-type]
    except DataError:
        assume(False)
        raise


@given(users, rules)
@quick
def test_no_target_trains_and_every_case_has_its_complete_history(
    histories: list, rule: str
) -> None:
    dataset = world(histories)
    split = split_of(dataset, rule)
    trained = set(training_events(dataset, split).tolist())
    for cases in (split.validation, split.test):
        assert not trained & set(cases.target_C.tolist())
        assert (cases.start_C == dataset.start_U1[cases.user_C]).all()
        assert (cases.target_C > cases.start_C).all()
        assert (cases.target_C < dataset.start_U1[cases.user_C + 1]).all()
        assert (np.diff(cases.user_C) > 0).all()
    both = np.isin(split.validation.user_C, split.test.user_C)
    test_target = dict(zip(split.test.user_C.tolist(), split.test.target_C.tolist(), strict=True))
    for user, target in zip(
        split.validation.user_C[both].tolist(), split.validation.target_C[both], strict=True
    ):
        assert target < test_target[user]


@given(lengths, st.integers(0, 4))
@quick
def test_cold_start_users_never_train_and_each_user_is_held_out_once(
    lengths: list, fold: int
) -> None:
    dataset = world([[(place % 7, place) for place in range(length)] for length in lengths])
    splits = [
        make_split(dataset, SplitConfig("cold-start-users", fold=number)) for number in range(5)
    ]
    split = splits[fold]
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))
    trains = set(user_N[training_events(dataset, split)].tolist())
    for cases in (split.validation, split.test):
        assert cases.is_cold_start_C.all()
        assert not trains & set(cases.user_C.tolist())
        assert (cases.target_C - dataset.start_U1[cases.user_C] == 19).all()
        assert (cases.start_C == dataset.start_U1[cases.user_C]).all()
        assert (np.diff(cases.user_C) > 0).all()
    assert not set(split.validation.user_C.tolist()) & set(split.test.user_C.tolist())
    others = (
        set(range(1, dataset.user_rows))
        - set(split.validation.user_C.tolist())
        - set(split.test.user_C.tolist())
    )
    assert trains == others
    assert len(training_events(dataset, split)) == sum(
        lengths[user - 1] for user in others
    )  # all their events
    tested = [user for each in splits for user in each.test.user_C.tolist()]
    assert sorted(tested) == [user for user, length in enumerate(lengths, 1) if length >= 20]
    assert len({each.checksum for each in splits}) == 5


@given(st.lists(st.permutations(range(7)), min_size=5, max_size=8), st.integers(0, 4))
@quick
def test_cold_start_items_never_train_and_each_item_is_held_out_once(
    histories: list, fold: int
) -> None:
    dataset = world(
        [[(item, place) for place, item in enumerate(history)] for history in histories]
    )
    splits = [
        make_split(dataset, SplitConfig("cold-start-items", fold=number)) for number in range(5)
    ]
    everything, split = make_split(dataset, SplitConfig()), splits[fold]
    whole = training_events(dataset, everything)
    assert (
        training_events(dataset, split).tolist()
        == whole[~split.held_out_item_V[dataset.item_N[whole]]].tolist()
    )
    assert split.test.target_C.tolist() == everything.test.target_C.tolist()
    assert set(split.validation.target_C) <= set(everything.validation.target_C)
    assert not split.held_out_item_V[dataset.item_N[split.validation.target_C]].any()
    assert np.sum([each.held_out_item_V for each in splits], axis=0).tolist() == [0, 0, *[1] * 7]


@given(users)
@quick
def test_global_temporal_split_trains_only_on_older_events(histories: list) -> None:
    dataset = world(histories)
    split = split_of(dataset, "global-temporal")
    newest = max(dataset.time_N[training_events(dataset, split)].tolist(), default=-1)
    for cases in (split.validation, split.test):
        assert (dataset.time_N[cases.target_C] > newest).all()
    last_validated = max(dataset.time_N[split.validation.target_C].tolist(), default=-1)
    assert (dataset.time_N[split.test.target_C] > last_validated).all()


@given(users, rules, st.data())
@quick
def test_checksum_changes_with_the_events_and_only_with_them(
    histories: list, rule: str, data: st.DataObject
) -> None:
    split = split_of(world(histories), rule)
    assert split.checksum == split_of(world(histories), rule).checksum
    user = data.draw(st.integers(0, len(histories) - 1))
    place = data.draw(st.integers(0, len(histories[user]) - 1))
    item, time = histories[user][place]
    other = [list(history) for history in histories]
    other[user][place] = ((item + 1) % 7, time)
    assert split.checksum != split_of(world(other), rule).checksum
