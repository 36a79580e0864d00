"""Training windows of one user, checked by hand. Items are written 0, 1, 2, …"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bert4rec.config import RunConfig, SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.windows import (
    COLD_START_LENGTH,
    COLD_START_RANGE,
    Windows,
    training_windows,
    with_cold_start_windows,
)
from bert4rec.errors import ConfigError
from small_networks import settings
from small_worlds import dataset_of, one_user


def run_of(**changes: Any) -> RunConfig:
    return settings(**{"seq_length": 4, "batch_size": 1000, **changes})


def windows_of(dataset: PreparedDataset, epoch: int = 0, **changes: Any) -> Windows:
    run = run_of(**changes)
    return training_windows(
        dataset, make_split(dataset, SplitConfig()), run.model, run.training, epoch
    )


def ranges_of(windows: Windows) -> list[tuple[int, int]]:
    return list(zip(windows.start_W.tolist(), windows.stop_W.tolist(), strict=True))


def test_sliding_windows_step_back_by_half_a_length() -> None:
    windows = windows_of(
        one_user(12), windows="sliding"
    )  # 10 events train; inputs 4 and, one further, the targets
    assert ranges_of(windows) == [(5, 10), (3, 8), (1, 6), (0, 5)]


def test_stride_that_skips_events_is_refused() -> None:
    settings(seq_length=4, window_stride=5)
    with pytest.raises(ConfigError, match="window_stride 6 is above seq_length 4"):
        settings(seq_length=4, window_stride=6)


def test_sliding_windows_step_back_by_the_given_stride() -> None:
    assert ranges_of(windows_of(one_user(12), window_stride=4)) == [(5, 10), (1, 6), (0, 5)]
    assert ranges_of(windows_of(one_user(12), window_stride=5)) == [(5, 10), (0, 5)]


def test_short_history_is_one_window() -> None:
    for kind in ("sliding", "random", "last"):
        assert ranges_of(windows_of(one_user(4), windows=kind)) == [(0, 2)]


def test_last_window_holds_the_most_recent_events_in_every_epoch() -> None:
    for epoch in range(3):
        assert ranges_of(windows_of(one_user(12), epoch, windows="last")) == [(5, 10)]


def test_random_windows_reach_every_offset_one_per_epoch() -> None:
    drawn = [ranges_of(windows_of(one_user(12), epoch, windows="random")) for epoch in range(60)]
    assert all(len(windows) == 1 for windows in drawn)
    assert {windows[0] for windows in drawn} == {(first, first + 5) for first in range(6)}


def test_random_windows_depend_on_seed_and_epoch_alone() -> None:
    def drawn(seed: int) -> list[list[tuple[int, int]]]:
        return [
            ranges_of(windows_of(one_user(12), epoch, windows="random", seed=seed))
            for epoch in range(20)
        ]

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_user_with_one_training_event_has_a_window() -> None:
    windows = windows_of(dataset_of([0, 1, 2], [3]))
    assert (windows.user_W.tolist(), ranges_of(windows)) == ([1, 2], [(0, 1), (3, 4)])


def cold_start_windows_of(dataset: PreparedDataset, windows: int, **changes: Any) -> Windows:
    """Windows of user 0 as a cold-start user."""
    run = run_of(windows="last", cold_start_windows=windows, **changes)
    split, random = make_split(dataset, SplitConfig()), np.random.default_rng(0)
    known = training_windows(dataset, split, run.model, run.training, epoch=0)
    joined = with_cold_start_windows(known, dataset, split, run.model, run.training, random)
    return joined.take(np.flatnonzero(joined.is_cold_start_W))


def test_cold_start_windows_begin_anywhere_and_have_any_length() -> None:
    drawn = set(ranges_of(cold_start_windows_of(one_user(12), windows=2000, seq_length=3)))
    assert drawn == {
        (first, stop) for first in range(10) for stop in range(first + 1, min(first + 4, 10) + 1)
    }


def test_cold_start_windows_begin_early_in_a_long_history() -> None:
    start_W = cold_start_windows_of(one_user(202), windows=4000, seq_length=3).start_W
    assert sorted(set(start_W.tolist())) == list(range(COLD_START_RANGE))


def test_short_cold_start_windows_are_as_frequent_as_long_ones() -> None:
    windows = cold_start_windows_of(one_user(4002), windows=4000, seq_length=100)
    length_W = windows.stop_W - windows.start_W
    shares = [np.mean((low <= length_W) & (length_W < 2 * low)) for low in (1, 2, 4, 8, 16)]
    assert shares == pytest.approx([1 / np.log2(COLD_START_LENGTH + 1)] * 5, abs=0.03)
