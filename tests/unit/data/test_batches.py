"""What the network reads and what it is asked for, by hand. Items and users are written 0, 1, 2, …"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import RunConfig, SplitConfig
from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import Sequences, causal_sequences, masked_sequences
from bert4rec.data.splits import make_split, training_events
from bert4rec.data.training_batches import UPCOMING_EVENTS, EpochOrder, TrainingBatches
from bert4rec.data.windows import (
    COLD_START_LENGTH,
    COLD_START_RANGE,
    Windows,
    training_windows,
    with_cold_start_windows,
)
from bert4rec.errors import ConfigError
from bert4rec.ids import FIRST_ITEM, MASK, NO_RATING, NO_TIME, PAD, UNKNOWN
from small_networks import batch_of, batches_of, settings
from small_worlds import dataset_of

M, P = MASK - FIRST_ITEM, PAD - FIRST_ITEM


def items(item_T: Tensor) -> list[int]:
    return (item_T - FIRST_ITEM).tolist()


def run_of(**changes: Any) -> RunConfig:
    return settings(**{"seq_length": 4, "batch_size": 1000, **changes})


def one_user(events: int = 7, **more: Any) -> PreparedDataset:
    """Events 0, 1, …, at 100, 200, … seconds, rated 1, 2, …, 5, 1, …; all but two train."""
    places = range(events)
    return dataset_of(
        list(places),
        times=[[100 * (place + 1) for place in places]],
        ratings=[[1 + place % 5 for place in places]],
        **more,
    )


def windows_of(dataset: PreparedDataset, epoch: int = 0, **changes: Any) -> Windows:
    run = run_of(**changes)
    return training_windows(
        dataset, make_split(dataset, SplitConfig()), run.model, run.training, epoch
    )


def range_indices(windows: Windows) -> list[tuple[int, int]]:
    return list(zip(windows.start_W.tolist(), windows.stop_W.tolist(), strict=True))


# What is read of any history


def history(*given: int, request_time: int = 900) -> Histories:
    """One unknown user's events at 100, 200, … seconds, rated 5."""
    count = len(given)
    return Histories(
        user_B=np.array([UNKNOWN]),
        start_B1=np.array([0, count]),
        item_N=np.array(given, dtype=np.int64) + FIRST_ITEM,
        time_N=100 * (np.arange(count) + 1),
        rating_N=np.full(count, 5),
        request_time_B=np.array([request_time]),
    )


def test_a_causal_sequence_is_a_start_token_and_the_events() -> None:
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


def test_where_the_request_time_is_unknown_no_token_knows_when_it_is_asked() -> None:
    read = causal_sequences(history(7, 8, 9, request_time=NO_TIME), seq_length=4)
    assert read.request_time_T.tolist() == [NO_TIME] * 4
    assert read.time_T.tolist() == [NO_TIME, 100, 200, 300]


def test_a_masked_sequence_is_the_events_and_a_mask_at_the_time_of_the_request() -> None:
    read = masked_sequences(history(7, 8, 9), seq_length=4)
    assert items(read.item_T) == [7, 8, 9, M]
    assert read.time_T.tolist() == read.request_time_T.tolist() == [100, 200, 300, 900]
    assert read.rating_T.tolist() == [5, 5, 5, NO_RATING]


def test_only_the_most_recent_events_are_read() -> None:
    assert items(causal_sequences(history(5, 6, 7, 8, 9), seq_length=3).item_T) == [M, 7, 8, 9]
    assert items(masked_sequences(history(5, 6, 7, 8, 9), seq_length=3).item_T) == [8, 9, M]


def test_an_empty_history_is_a_single_token() -> None:
    for make in (causal_sequences, masked_sequences):
        read = make(history(), seq_length=3)
        assert (items(read.item_T), read.lengths, read.request_time_T.tolist()) == (
            [M],
            (1,),
            [900],
        )


def test_sequences_are_packed_one_after_another() -> None:
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


def test_times_of_this_century_are_whole_seconds() -> None:
    late = history(7, 8)
    late.time_N[:] = [1_700_000_001, 1_700_000_002]
    assert causal_sequences(late, seq_length=4).time_T.tolist() == [
        NO_TIME,
        1_700_000_001,
        1_700_000_002,
    ]


# Windows


def test_sliding_windows_go_back_from_the_last_training_event_by_half_a_length() -> None:
    windows = windows_of(
        one_user(12), windows="sliding"
    )  # 10 events train; inputs 4 and, one further, the targets
    assert range_indices(windows) == [(5, 10), (3, 8), (1, 6), (0, 5)]


def test_a_stride_that_skips_events_is_refused() -> None:
    settings(seq_length=4, window_stride=5)
    with pytest.raises(ConfigError, match="window_stride 6 is above seq_length 4"):
        settings(seq_length=4, window_stride=6)


def test_the_stride_can_be_chosen() -> None:
    assert range_indices(windows_of(one_user(12), window_stride=4)) == [(5, 10), (1, 6), (0, 5)]
    assert range_indices(windows_of(one_user(12), window_stride=5)) == [(5, 10), (0, 5)]


def test_a_short_history_is_one_window() -> None:
    for kind in ("sliding", "random", "last"):
        assert range_indices(windows_of(one_user(4), windows=kind)) == [(0, 2)]


def test_last_takes_the_most_recent_events_in_every_epoch() -> None:
    for epoch in range(3):
        assert range_indices(windows_of(one_user(12), epoch, windows="last")) == [(5, 10)]


def test_random_takes_one_window_a_user_and_epoch_and_every_offset_in_time() -> None:
    drawn = [
        range_indices(windows_of(one_user(12), epoch, windows="random")) for epoch in range(60)
    ]
    assert all(len(windows) == 1 for windows in drawn)
    assert {windows[0] for windows in drawn} == {(first, first + 5) for first in range(6)}


def test_random_windows_depend_on_the_seed_and_the_epoch_alone() -> None:
    def drawn(seed: int) -> list[list[tuple[int, int]]]:
        return [
            range_indices(windows_of(one_user(12), epoch, windows="random", seed=seed))
            for epoch in range(20)
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def strangers_of(dataset: PreparedDataset, windows: int, **changes: Any) -> Windows:
    """Windows of user 0 as if they were new."""
    run = run_of(windows="last", cold_start_windows=windows, **changes)
    split, random = make_split(dataset, SplitConfig()), np.random.default_rng(0)
    known = training_windows(dataset, split, run.model, run.training, epoch=0)
    joined = with_cold_start_windows(known, dataset, split, run.model, run.training, random)
    return joined.take(np.flatnonzero(joined.is_cold_start_W))


def test_windows_of_strangers_begin_at_any_training_event_and_are_of_any_length_up_to_the_longest() -> (
    None
):
    drawn = set(range_indices(strangers_of(one_user(12), windows=2000, seq_length=3)))
    assert drawn == {
        (first, stop) for first in range(10) for stop in range(first + 1, min(first + 4, 10) + 1)
    }


def test_windows_of_strangers_begin_early_in_a_long_history() -> None:
    start_W = strangers_of(one_user(202), windows=4000, seq_length=3).start_W
    assert sorted(set(start_W.tolist())) == list(range(COLD_START_RANGE))


def test_few_events_are_as_frequent_as_many_in_windows_of_strangers() -> None:
    windows = strangers_of(one_user(4002), windows=4000, seq_length=100)
    length_W = windows.stop_W - windows.start_W
    shares = [np.mean((low <= length_W) & (length_W < 2 * low)) for low in (1, 2, 4, 8, 16)]
    assert shares == pytest.approx([1 / np.log2(COLD_START_LENGTH + 1)] * 5, abs=0.03)


def test_each_window_brings_strangers_who_are_known_by_their_features_alone() -> None:
    dataset = dataset_of(range(7), range(7), gender=[1, 2])
    batch = batch_of(dataset, seq_length=4, batch_size=2, windows="last", cold_start_windows=3)
    assert batch.causal is not None
    assert batch.upcoming is not None
    read = batch.causal.sequences
    assert sorted(read.user_B.tolist()) == [UNKNOWN] * 6 + [1, 2]
    assert sorted(read.user_features["gender"].tolist()) == [1] * 4 + [2] * 4
    assert list(read.lengths) == sorted(read.lengths, reverse=True)
    assert len(batch.upcoming.token_B) == 8


def test_windows_stay_where_they_are_beside_those_of_strangers() -> None:
    many = dataset_of(*[range(12)] * 20)
    alone, joined = (batch_of(many, cold_start_windows=number).causal for number in (0, 2))
    assert alone is not None
    assert joined is not None
    known_B = joined.sequences.user_B != UNKNOWN
    assert joined.sequences.user_B[known_B].tolist() == alone.sequences.user_B.tolist()
    assert joined.sequences.length_B[known_B].tolist() == alone.sequences.length_B.tolist()


def test_a_user_with_one_training_event_takes_part() -> None:
    windows = windows_of(dataset_of([0, 1, 2], [3]))
    assert (windows.user_W.tolist(), range_indices(windows)) == ([1, 2], [(0, 1), (3, 4)])


# The causal reading


def causal_of(dataset: PreparedDataset, **changes: Any) -> Supervised:
    causal = batch_of(dataset, **{"seq_length": 4, **changes}).causal
    assert causal is not None
    return causal


def test_every_token_is_asked_for_the_event_after_it() -> None:
    causal = causal_of(one_user(), request_time="always")
    assert items(causal.sequences.item_T) == [M, 0, 1, 2, 3]
    assert causal.token_S.tolist() == [0, 1, 2, 3, 4]
    assert items(causal.item_S) == [0, 1, 2, 3, 4]
    assert causal.rating_S.tolist() == [1, 2, 3, 4, 5]
    assert causal.sequences.rating_T.tolist() == [NO_RATING, 1, 2, 3, 4]
    assert causal.sequences.request_time_T.tolist() == [
        100,
        200,
        300,
        400,
        500,
    ]  # when its event happened


def test_windows_further_back_start_in_the_middle_of_a_history() -> None:
    causal = causal_of(one_user(8), window_stride=1)  # 6 events train, in windows of 5
    of_row = [
        (items(causal.sequences.item_T[row]), items(causal.item_S[row]))
        for row in (slice(0, 5), slice(5, 10))
    ]
    assert sorted(of_row, key=str) == [
        ([M, 0, 1, 2, 3], [0, 1, 2, 3, 4]),
        ([M, 1, 2, 3, 4], [1, 2, 3, 4, 5]),
    ]


def test_events_run_forward_in_time(world: PreparedDataset) -> None:
    sequences = causal_of(world, request_time="always").sequences
    gap_T = sequences.time_T.diff()[sequences.position_T[1:] > 1]
    assert (gap_T > 0).all()
    assert (sequences.request_time_T > sequences.time_T).all()


@pytest.mark.parametrize(
    ("setting", "share"), [("never", 0.0), ("sometimes", 0.5), ("always", 1.0)]
)
def test_the_time_of_the_request_is_told_to_a_share_of_the_sequences(
    setting: str, share: float
) -> None:
    dataset = dataset_of(*[[0, 1, 2, 3]] * 400, times=[[100, 200, 300, 400]] * 400)
    causal, masked = reading(batch_of(dataset, request_time=setting))
    told_T = causal.sequences.request_time_T != NO_TIME
    of_row = [set(told_T[causal.sequences.row_T == row].tolist()) for row in range(400)]
    assert all(len(told) == 1 for told in of_row)  # a whole sequence or none of it
    assert np.mean([told == {True} for told in of_row]) == pytest.approx(share, abs=0.08)
    asked_T = masked.sequences.request_time_T[masked.token_S]
    assert (asked_T != NO_TIME).float().mean().item() == pytest.approx(share, abs=0.08)


def reading(batch: Batch) -> tuple[Supervised, Supervised]:
    assert batch.causal is not None
    assert batch.masked is not None
    return batch.causal, batch.masked


# The masked reading


def masked_of(dataset: PreparedDataset, **changes: Any) -> Supervised:
    masked = batch_of(dataset, **{"seq_length": 4, **changes}).masked
    assert masked is not None
    return masked


def test_a_masked_event_loses_its_item_and_rating_and_is_asked_for_them() -> None:
    masked = masked_of(one_user(), mask_probability=0.01, request_time="always")
    assert items(masked.sequences.item_T) == [1, 2, 3, M]  # the last 4 of 5 training events
    assert masked.sequences.rating_T.tolist() == [2, 3, 4, NO_RATING]
    assert (
        masked.sequences.time_T.tolist()
        == masked.sequences.request_time_T.tolist()
        == [200, 300, 400, 500]
    )
    assert (masked.token_S.tolist(), items(masked.item_S), masked.rating_S.tolist()) == (
        [3],
        [4],
        [5],
    )


def test_a_masked_event_keeps_its_time_only_where_the_request_time_is_told() -> None:
    masked = masked_of(one_user(), mask_probability=0.01, request_time="never")
    assert (
        masked.sequences.time_T.tolist()
        == masked.sequences.request_time_T.tolist()
        == [200, 300, 400, NO_TIME]
    )


def test_every_event_is_either_shown_or_asked_for(world: PreparedDataset) -> None:
    masked = masked_of(world, mask_probability=0.5, seq_length=8)
    hidden_T = masked.sequences.item_T == MASK
    assert hidden_T.nonzero().flatten().tolist() == masked.token_S.tolist()
    assert (masked.item_S >= FIRST_ITEM).all()
    assert (masked.sequences.rating_T[hidden_T] == NO_RATING).all()
    assert (masked.sequences.rating_T[~hidden_T] != NO_RATING).all()


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.6])
def test_masks_always_include_the_last_event_and_a_share_of_the_others(
    world: PreparedDataset, probability: float
) -> None:
    sequences = masked_of(world, mask_probability=probability, seq_length=8).sequences
    hidden_T = sequences.item_T == MASK
    assert hidden_T[sequences.last_B].all()
    hidden_T[sequences.last_B] = False
    others = len(hidden_T) - len(sequences.lengths)
    assert hidden_T.sum().item() / others == pytest.approx(probability, abs=0.04)


# The coming events


def upcoming_of(batch: Batch) -> UpcomingEvents:
    assert batch.upcoming is not None
    return batch.upcoming


@pytest.mark.parametrize("off", ["item_prediction", "next_item"])
def test_the_coming_events_are_the_one_asked_for_and_those_after_it_in_training(off: str) -> None:
    weights = {"item_prediction": 1.0, "next_item": 1.0, off: 0.0}
    met = set()
    for seed in range(20):
        batch = batch_of(
            one_user(), seq_length=4, task_weights=weights, seed=seed, mask_probability=0.5
        )
        read = batch.causal or batch.masked
        assert read is not None
        token = upcoming_of(batch).token_B[0]
        assert token in read.token_S
        asked = items(read.item_S[read.token_S == token])[0]
        left = list(range(asked, 5))  # 5 and 6 validate and test
        assert items(upcoming_of(batch).item_BA[0]) == left + [P] * (UPCOMING_EVENTS - len(left))
        met.add(asked)
    assert met == set(range(5)) if off == "item_prediction" else met == {4}


def test_what_is_to_come_is_nowhere_in_what_is_read() -> None:
    weights = {"item_prediction": 1.0, "next_item": 0.0}
    for seed in range(20):
        batch = batch_of(
            one_user(12),
            seq_length=4,
            windows="random",
            task_weights=weights,
            seed=seed,
            mask_probability=0.5,
        )
        assert batch.masked is not None
        assert not set(items(upcoming_of(batch).item_BA[0])) & set(
            items(batch.masked.sequences.item_T)
        ) - {P}


def test_one_looks_ahead_so_far_and_beyond_the_window() -> None:
    batch = batch_of(one_user(40), seq_length=4, windows="sliding")
    item_BA = torch.tensor([items(row) for row in upcoming_of(batch).item_BA])
    known_BC = item_BA != P
    assert item_BA.shape[1] == UPCOMING_EVENTS
    assert (known_BC.sum(1) == UPCOMING_EVENTS).any()
    assert (item_BA.diff(dim=1)[known_BC[:, 1:]] == 1).all()


# Batches and epochs


def same(first: Batch, second: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(first), tensors(second), strict=True))


def tensors(part: object) -> list[Tensor]:
    if isinstance(part, Tensor):
        return [part]
    return (
        [tensor for value in vars(part).values() for tensor in tensors(value)]
        if hasattr(part, "__dict__")
        else []
    )


def test_the_same_seed_epoch_and_number_give_the_same_batch_and_others_another(
    world: PreparedDataset,
) -> None:
    def batch(seed: int = 1, epoch: int = 0, number: int = 1) -> Batch:
        batches = batches_of(world, settings(seed=seed))
        batches.start_epoch(epoch)
        return batches[number]

    assert same(batch(), batch())
    for other in (batch(seed=2), batch(epoch=1), batch(number=2)):
        assert tensors(other)[0].tolist() != tensors(batch())[0].tolist()


def test_an_epoch_goes_over_every_window_once_in_batches_of_the_size_or_a_little_less(
    world: PreparedDataset,
) -> None:
    batches = batches_of(world, settings(batch_size=16, windows="last"))  # 80 users
    assert len(batches) == 5
    uneven = batches_of(world, settings(batch_size=30, windows="last"))
    assert [len(users_of(uneven[number])) for number in range(len(uneven))] == [27, 27, 26]
    users = [user for number in range(5) for user in users_of(batches[number])]
    assert sorted(users) == list(range(1, 81))


def users_of(batch: Batch) -> list[int]:
    assert batch.causal is not None
    return batch.causal.sequences.user_B.tolist()


def test_a_batch_larger_than_the_data_is_one_batch() -> None:
    assert len(batches_of(one_user(), run_of())) == 1


def test_longest_come_first_so_that_rectangles_are_full(world: PreparedDataset) -> None:
    batch = batches_of(world, settings(batch_size=16, windows="last"))[0]
    assert batch.causal is not None
    lengths = batch.causal.sequences.lengths
    assert list(lengths) == sorted(lengths, reverse=True)


def test_the_order_changes_from_epoch_to_epoch(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(windows="last"))
    first = users_of(batches[0])
    batches.start_epoch(1)
    assert users_of(batches[0]) != first


def test_several_devices_share_the_windows_and_none_is_seen_twice(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(batch_size=8, windows="last"), shards=2)
    assert len(batches) == 5
    shares = [
        [user for number in EpochOrder(batches, rank) for user in users_of(batches[number])]
        for rank in (0, 1)
    ]
    assert sorted(shares[0] + shares[1]) == list(range(1, 81))
    assert abs(len(shares[0]) - len(shares[1])) <= 1


def test_the_order_of_an_epoch_starts_it(world: PreparedDataset) -> None:
    batches = batches_of(world)
    EpochOrder(batches, 0).set_epoch(3)
    assert batches.epoch == 3


def test_events_are_counted_for_the_rate() -> None:
    assert batch_of(one_user(), seq_length=4).events == 5


def test_only_training_events_are_read_or_asked_for(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    trained = {(int(world.time_N[n]), int(world.item_N[n])) for n in training_events(world, split)}
    batches = TrainingBatches(
        world, split, settings().model, settings(request_time="always").training
    )
    for number in range(len(batches)):
        for read in reading(batches[number]):
            known_T = read.sequences.item_T != MASK
            pairs = zip(
                read.sequences.time_T[known_T].tolist(),
                read.sequences.item_T[known_T].tolist(),
                strict=True,
            )
            assert set(pairs) <= trained


def test_without_the_rating_task_nobody_is_asked_for_a_rating() -> None:
    off = {"rating_prediction": 0.0}
    assert causal_of(one_user(), task_weights=off).rating_S.tolist() == [NO_RATING] * 5


def test_what_nobody_learns_from_is_not_made() -> None:
    off = {"item_prediction": 0.0, "user_preference": 0.0}
    batch = batch_of(one_user(), task_weights=off)
    assert (batch.masked, batch.upcoming) == (None, None)


def test_a_batch_moves_as_one() -> None:
    moved = batch_of(one_user()).to("meta")
    assert {tensor.device.type for tensor in tensors(moved)} == {"meta"}
    assert isinstance(moved.causal.sequences, Sequences)  # type: ignore[union-attr]
    assert len(tensors(moved)) == len(tensors(batch_of(one_user())))


def test_of_cold_items_no_event_is_read_or_asked_for(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig("cold-start-items"))
    assert split.held_out_item_V is not None
    batches = TrainingBatches(world, split, settings().model, settings(batch_size=1000).training)
    assert batches.windows.user_W.max() < world.user_rows
    (batch,) = [batches[number] for number in range(len(batches))]
    assert batch.causal is not None
    assert batch.masked is not None
    assert batch.upcoming is not None
    shown = [*batch.causal.sequences.item_T, *batch.masked.sequences.item_T]
    asked = [*batch.causal.item_S, *batch.masked.item_S, *batch.upcoming.item_BA.flatten()]
    assert not split.held_out_item_V[torch.stack([*shown, *asked])].any()
    trained = {(int(world.time_N[n]), int(world.item_N[n])) for n in training_events(world, split)}
    read = batch.causal.sequences
    assert {
        (int(t), int(i)) for t, i in zip(read.time_T, read.item_T, strict=True) if i != MASK
    } <= trained
