"""Invariants of packing, rectangles and windows for any lengths."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4rec.config import ModelConfig, SplitConfig, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.sequences import causal_sequences, last_events, masked_sequences
from bert4rec.data.splits import make_split, training_events
from bert4rec.data.windows import training_windows
from bert4rec.ids import MASK
from bert4rec.model.packing import CPU_LIMITS, padded_rectangles
from small_networks import packed
from small_worlds import dataset_of

quick = settings(max_examples=100, deadline=None)
lengths = st.lists(st.integers(1, 12), min_size=1, max_size=12)
histories = st.lists(st.lists(st.integers(0, 9), max_size=12), min_size=1, max_size=6)


@given(lengths, st.sampled_from([1, 30, 10**6]))
@quick
def test_unpacking_inverts_packing(lengths: list[int], scores: int) -> None:
    sequences = packed(*lengths)
    rectangles = padded_rectangles(sequences, replace(CPU_LIMITS, max_scores=scores))
    x_TD = torch.arange(1.0, sum(lengths) + 1)[:, None].repeat(1, 3)
    assert torch.equal(
        torch.cat(
            [rectangle.unpad(rectangle.pad(x_TD[rectangle.tokens])) for rectangle in rectangles]
        ),
        x_TD,
    )
    assert [
        row for rectangle in rectangles for row in range(rectangle.rows.start, rectangle.rows.stop)
    ] == list(range(len(lengths)))
    for rectangle in rectangles:
        laid_bL = rectangle.pad(x_TD[rectangle.tokens])[..., 0]
        assert laid_bL.shape[1] == max(lengths[rectangle.rows])
        for row, length in enumerate(lengths[rectangle.rows]):
            assert (laid_bL[row, :length].diff() == 1).all()
            assert not laid_bL[row, length:].any()


@given(lengths, st.integers(10, 300))
@quick
def test_rectangle_stays_below_the_score_limit_except_for_one_sequence(
    lengths: list[int], most: int
) -> None:
    rectangles = padded_rectangles(packed(*lengths), replace(CPU_LIMITS, max_scores=most))
    assert all(
        rows == 1 or rows * places * places <= most
        for rows, places in (rectangle.shape for rectangle in rectangles)
    )


def whole(dataset: PreparedDataset) -> list[list[int]]:
    ends = dataset.start_U1[1:].tolist()
    return [dataset.item_N[first:last].tolist() for first, last in pairwise(ends)]


@given(histories, st.integers(1, 14))
@quick
def test_packed_sequences_hold_the_last_events_of_every_history(
    given_histories: list, seq_length: int
) -> None:
    dataset = dataset_of(*given_histories, num_items=10)
    users = np.arange(1, len(given_histories) + 1)
    asked = dataset.histories(users, np.asarray(dataset.start_U1)[users + 1])
    causal, masked = causal_sequences(asked, seq_length), masked_sequences(asked, seq_length)
    for row, history in enumerate(whole(dataset)):
        recent = history[-seq_length:]
        assert causal.item_T[causal.row_T == row].tolist() == [MASK, *recent]
        known = history[-(seq_length - 1) :] if seq_length > 1 else []
        assert masked.item_T[masked.row_T == row].tolist() == [*known, MASK]
    for read in (causal, masked):
        assert sum(read.lengths) == len(read.item_T)
        assert read.position_T[read.last_B].tolist() == [length - 1 for length in read.lengths]
        assert (read.item_T[read.last_B] == MASK).all() or read is causal


@given(histories, st.integers(0, 14))
@quick
def test_cutting_is_idempotent_and_longer_limits_change_nothing(
    given_histories: list, count: int
) -> None:
    dataset = dataset_of(*given_histories, num_items=10)
    users = np.arange(1, len(given_histories) + 1)
    asked = dataset.histories(users, np.asarray(dataset.start_U1)[users + 1])
    once = last_events(asked, count)
    assert last_events(once, count + 3).item_N.tolist() == once.item_N.tolist()
    assert (once.length_B == np.minimum(asked.length_B, count)).all()


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=6),
    st.integers(1, 9),
    st.integers(0, 9),
    st.sampled_from(["sliding", "random", "last"]),
    st.integers(0, 3),
)
@quick
def test_windows_are_contiguous_training_events_and_sliding_windows_cover_all(
    lengths: list[int], seq_length: int, stride: int, kind: str, epoch: int
) -> None:
    dataset = dataset_of(*(list(range(length)) for length in [*lengths, 3]))
    split = make_split(dataset, SplitConfig())
    model = ModelConfig(seq_length=seq_length)
    training = TrainingConfig(windows=kind, window_stride=min(stride, seq_length))  # type: ignore[arg-type]
    windows = training_windows(dataset, split, model, training, epoch)
    start_W, stop_W = windows.start_W, windows.stop_W
    assert (stop_W > start_W).all()
    assert (stop_W - start_W <= seq_length + 1).all()
    assert (start_W >= np.asarray(dataset.start_U1)[windows.user_W]).all()
    assert (stop_W <= np.asarray(split.train_stop_U)[windows.user_W]).all()
    events = training_events(dataset, split)
    trained_users = np.unique(np.searchsorted(dataset.start_U1, events, side="right") - 1)
    assert np.unique(windows.user_W).tolist() == trained_users.tolist()
    if kind == "sliding":
        covered = {
            event
            for start, stop in zip(start_W, stop_W, strict=True)
            for event in range(start, stop)
        }
        assert covered == set(events.tolist())
    else:
        assert len(windows) == len(trained_users)


@given(st.integers(2, 40), st.integers(1, 9), st.integers(1, 9))
@quick
def test_every_event_but_the_first_is_a_target_after_its_predecessor(
    length: int, seq_length: int, stride: int
) -> None:
    dataset = dataset_of(list(range(length + 2)))
    split = make_split(dataset, SplitConfig())
    training = TrainingConfig(window_stride=min(stride, seq_length))
    windows = training_windows(
        dataset, split, ModelConfig(seq_length=seq_length), training, epoch=0
    )
    with_history = {
        event
        for start, stop in zip(windows.start_W, windows.stop_W, strict=True)
        for event in range(start + 1, stop)
    }
    assert with_history == set(range(1, length))
