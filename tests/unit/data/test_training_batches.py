"""Training batches: sequences and targets, checked by hand. Items are written 0, 1, 2, …"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import RunConfig, SplitConfig
from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split, training_events
from bert4rec.data.training_batches import UPCOMING_EVENTS, EpochOrder, TrainingBatches
from bert4rec.ids import FIRST_ITEM, MASK, NO_RATING, NO_TIME, PAD, UNKNOWN
from small_networks import batch_of, batches_of, settings
from small_worlds import dataset_of, one_user

M, P = MASK - FIRST_ITEM, PAD - FIRST_ITEM


def items(item_T: Tensor) -> list[int]:
    return (item_T - FIRST_ITEM).tolist()


def run_of(**changes: Any) -> RunConfig:
    return settings(**{"seq_length": 4, "batch_size": 1000, **changes})


# Causal pass


def causal_of(dataset: PreparedDataset, **changes: Any) -> Supervised:
    causal = batch_of(dataset, **{"seq_length": 4, **changes}).causal
    assert causal is not None
    return causal


def test_causal_token_predicts_the_next_event() -> None:
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


def test_earlier_windows_start_in_the_middle_of_a_history() -> None:
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


def passes(batch: Batch) -> tuple[Supervised, Supervised]:
    assert batch.causal is not None
    assert batch.masked is not None
    return batch.causal, batch.masked


@pytest.mark.parametrize(
    ("setting", "share"), [("never", 0.0), ("sometimes", 0.5), ("always", 1.0)]
)
def test_request_time_is_known_to_a_share_of_the_sequences(setting: str, share: float) -> None:
    dataset = dataset_of(*[[0, 1, 2, 3]] * 400, times=[[100, 200, 300, 400]] * 400)
    causal, masked = passes(batch_of(dataset, request_time=setting))
    is_known_T = causal.sequences.request_time_T != NO_TIME
    of_row = [set(is_known_T[causal.sequences.row_T == row].tolist()) for row in range(400)]
    assert all(len(known) == 1 for known in of_row)  # a complete sequence or none of it
    assert np.mean([known == {True} for known in of_row]) == pytest.approx(share, abs=0.08)
    request_time_S = masked.sequences.request_time_T[masked.token_S]
    assert (request_time_S != NO_TIME).float().mean().item() == pytest.approx(share, abs=0.08)


# Masked pass


def masked_of(dataset: PreparedDataset, **changes: Any) -> Supervised:
    masked = batch_of(dataset, **{"seq_length": 4, **changes}).masked
    assert masked is not None
    return masked


def test_masked_event_hides_its_item_and_rating_and_predicts_them() -> None:
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


def test_masked_event_hides_its_time_if_the_request_time_is_unknown() -> None:
    masked = masked_of(one_user(), mask_probability=0.01, request_time="never")
    assert (
        masked.sequences.time_T.tolist()
        == masked.sequences.request_time_T.tolist()
        == [200, 300, 400, NO_TIME]
    )


def test_every_event_is_either_visible_or_predicted(world: PreparedDataset) -> None:
    masked = masked_of(world, mask_probability=0.5, seq_length=8)
    hidden_T = masked.sequences.item_T == MASK
    assert hidden_T.nonzero().flatten().tolist() == masked.token_S.tolist()
    assert (masked.item_S >= FIRST_ITEM).all()
    assert (masked.sequences.rating_T[hidden_T] == NO_RATING).all()
    assert (masked.sequences.rating_T[~hidden_T] != NO_RATING).all()


@pytest.mark.parametrize("probability", [0.01, 0.2, 0.6])
def test_last_event_and_a_share_of_the_others_are_masked(
    world: PreparedDataset, probability: float
) -> None:
    sequences = masked_of(world, mask_probability=probability, seq_length=8).sequences
    hidden_T = sequences.item_T == MASK
    assert hidden_T[sequences.last_B].all()
    hidden_T[sequences.last_B] = False
    others = len(hidden_T) - len(sequences.lengths)
    assert hidden_T.sum().item() / others == pytest.approx(probability, abs=0.04)


# Cold-start windows


def test_cold_start_window_has_features_and_no_user_row() -> None:
    dataset = dataset_of(range(7), range(7), gender=[1, 2])
    batch = batch_of(dataset, seq_length=4, batch_size=2, windows="last", cold_start_windows=3)
    assert batch.causal is not None
    assert batch.upcoming is not None
    read = batch.causal.sequences
    assert sorted(read.user_B.tolist()) == [UNKNOWN] * 6 + [1, 2]
    assert sorted(read.user_features["gender"].tolist()) == [1] * 4 + [2] * 4
    assert list(read.lengths) == sorted(read.lengths, reverse=True)
    assert len(batch.upcoming.token_B) == 8


def test_cold_start_windows_leave_the_other_windows_unchanged() -> None:
    many = dataset_of(*[range(12)] * 20)
    alone, joined = (batch_of(many, cold_start_windows=number).causal for number in (0, 2))
    assert alone is not None
    assert joined is not None
    known_B = joined.sequences.user_B != UNKNOWN
    assert joined.sequences.user_B[known_B].tolist() == alone.sequences.user_B.tolist()
    assert joined.sequences.length_B[known_B].tolist() == alone.sequences.length_B.tolist()


# Upcoming events


def upcoming_of(batch: Batch) -> UpcomingEvents:
    assert batch.upcoming is not None
    return batch.upcoming


@pytest.mark.parametrize("off", ["item_prediction", "next_item"])
def test_upcoming_events_are_the_target_and_later_training_events(off: str) -> None:
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
        target = items(read.item_S[read.token_S == token])[0]
        left = list(range(target, 5))  # 5 and 6 validate and test
        assert items(upcoming_of(batch).item_BA[0]) == left + [P] * (UPCOMING_EVENTS - len(left))
        met.add(target)
    assert met == set(range(5)) if off == "item_prediction" else met == {4}


def test_upcoming_items_are_invisible_to_the_masked_pass() -> None:
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


def test_upcoming_events_reach_beyond_the_window() -> None:
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


def users_of(batch: Batch) -> list[int]:
    assert batch.causal is not None
    return batch.causal.sequences.user_B.tolist()


def test_batch_depends_on_seed_epoch_and_number_alone(
    world: PreparedDataset,
) -> None:
    def batch(seed: int = 1, epoch: int = 0, number: int = 1) -> Batch:
        batches = batches_of(world, settings(seed=seed))
        batches.start_epoch(epoch)
        return batches[number]

    assert same(batch(), batch())
    for other in (batch(seed=2), batch(epoch=1), batch(number=2)):
        assert tensors(other)[0].tolist() != tensors(batch())[0].tolist()


def test_epoch_holds_every_window_once_in_even_batches(
    world: PreparedDataset,
) -> None:
    batches = batches_of(world, settings(batch_size=16, windows="last"))  # 80 users
    assert len(batches) == 5
    uneven = batches_of(world, settings(batch_size=30, windows="last"))
    assert [len(users_of(uneven[number])) for number in range(len(uneven))] == [27, 27, 26]
    users = [user for number in range(5) for user in users_of(batches[number])]
    assert sorted(users) == list(range(1, 81))


def test_batch_size_above_the_data_makes_one_batch() -> None:
    assert len(batches_of(one_user(), run_of())) == 1


def test_longest_sequences_come_first(world: PreparedDataset) -> None:
    batch = batches_of(world, settings(batch_size=16, windows="last"))[0]
    assert batch.causal is not None
    lengths = batch.causal.sequences.lengths
    assert list(lengths) == sorted(lengths, reverse=True)


def test_order_changes_from_epoch_to_epoch(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(windows="last"))
    first = users_of(batches[0])
    batches.start_epoch(1)
    assert users_of(batches[0]) != first


def test_devices_share_the_windows_without_overlap(world: PreparedDataset) -> None:
    batches = batches_of(world, settings(batch_size=8, windows="last"), shards=2)
    assert len(batches) == 5
    shares = [
        [user for number in EpochOrder(batches, rank) for user in users_of(batches[number])]
        for rank in (0, 1)
    ]
    assert sorted(shares[0] + shares[1]) == list(range(1, 81))
    assert abs(len(shares[0]) - len(shares[1])) <= 1


def test_epoch_order_starts_the_epoch(world: PreparedDataset) -> None:
    batches = batches_of(world)
    EpochOrder(batches, 0).set_epoch(3)
    assert batches.epoch == 3


def test_batch_counts_its_events() -> None:
    assert batch_of(one_user(), seq_length=4).events == 5


def test_batches_hold_training_events_alone(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    trained = {(int(world.time_N[n]), int(world.item_N[n])) for n in training_events(world, split)}
    batches = TrainingBatches(
        world, split, settings().model, settings(request_time="always").training
    )
    for number in range(len(batches)):
        for read in passes(batches[number]):
            known_T = read.sequences.item_T != MASK
            pairs = zip(
                read.sequences.time_T[known_T].tolist(),
                read.sequences.item_T[known_T].tolist(),
                strict=True,
            )
            assert set(pairs) <= trained


def test_rating_targets_are_absent_without_the_rating_task() -> None:
    off = {"rating_prediction": 0.0}
    assert causal_of(one_user(), task_weights=off).rating_S.tolist() == [NO_RATING] * 5


def test_passes_of_disabled_tasks_are_absent() -> None:
    off = {"item_prediction": 0.0, "user_preference": 0.0}
    batch = batch_of(one_user(), task_weights=off)
    assert (batch.masked, batch.upcoming) == (None, None)


def test_batches_hold_no_event_of_held_out_items(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig("cold-start-items"))
    assert split.held_out_item_V is not None
    batches = TrainingBatches(world, split, settings().model, settings(batch_size=1000).training)
    assert batches.windows.user_W.max() < world.user_rows
    (batch,) = [batches[number] for number in range(len(batches))]
    assert batch.causal is not None
    assert batch.masked is not None
    assert batch.upcoming is not None
    visible = [*batch.causal.sequences.item_T, *batch.masked.sequences.item_T]
    targets = [*batch.causal.item_S, *batch.masked.item_S, *batch.upcoming.item_BA.flatten()]
    assert not split.held_out_item_V[torch.stack([*visible, *targets])].any()
    trained = {(int(world.time_N[n]), int(world.item_N[n])) for n in training_events(world, split)}
    read = batch.causal.sequences
    assert {
        (int(t), int(i)) for t, i in zip(read.time_T, read.item_T, strict=True) if i != MASK
    } <= trained
