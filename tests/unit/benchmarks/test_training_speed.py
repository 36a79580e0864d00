"""Counts and record of the training benchmark; speed itself is not asserted."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.ids import FIRST_ITEM
from small_worlds import dataset_of, leave_one_out


@pytest.fixture
def training_speed(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("training_speed")


@pytest.fixture
def three_users() -> PreparedDataset:
    """Users of 3, 5 and 9 events: 1, 3 and 7 train, and a window holds 1, 3 and 5 of them."""
    return dataset_of([0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5, 0, 1, 2])


@pytest.fixture
def small(training_speed: ModuleType) -> RunConfig:
    preset = training_speed.preset()
    return replace(preset, model=replace(preset.model, seq_length=4, hidden_size=8, num_layers=1))


def measured(training_speed: ModuleType, folder: Path, output: Path, *flags: str) -> Any:
    sizes = ["--rounds", "2", "--seconds", "0.1"]
    training_speed.main([*sizes, "--data", str(folder), "--output", str(output), *flags])
    return json.loads(output.read_text())


def test_preset_has_the_sizes_of_its_peer(training_speed: ModuleType) -> None:
    run = training_speed.preset()
    assert (run.model.hidden_size, run.model.num_layers, run.model.seq_length) == (64, 2, 200)
    assert (run.training.batch_size, run.training.windows, run.training.accelerator) == (
        128,
        "last",
        "cpu",
    )


def test_without_peers_there_is_a_table_and_a_record(
    training_speed: ModuleType,
    world_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    document = measured(training_speed, world_folder, tmp_path / "out.json", "--no_peers")
    assert len(document["rounds"]) == 2
    assert document["seeds"] == [42, 43]
    rates = [
        sum(e for e, _ in one["ours"]) / sum(s for _, s in one["ours"])
        for one in document["rounds"]
    ]
    assert document["events_per_second"]["ours"]["min"] == pytest.approx(min(rates))
    assert document["ratio"] is None
    assert document["limit"]["times_limit"] > 1
    printed = capsys.readouterr().out
    assert "bert4rec sasrec" in printed
    assert "limit: " in printed


def test_ratio_is_computed_round_by_round(
    training_speed: ModuleType,
    world_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def train(peer: Any, seconds: float, seed: int) -> list[tuple[int, float]]:
        peer.description = {"versions": {"rectools": "0.0"}, "events_per_epoch": 10}
        return [(seed, 1.0), (seed, 1.0)]

    monkeypatch.setattr(training_speed, "PEERS_PYTHON", Path(sys.executable))
    monkeypatch.setattr(training_speed.Peer, "train", train)
    document = measured(training_speed, world_folder, tmp_path / "out.json")
    ours = [training_speed.rate(one["ours"]) for one in document["rounds"]]
    assert document["ratio"]["max"] == pytest.approx(max(ours[0] / 42, ours[1] / 43))
    assert document["events_per_second"]["peer"] == {"median": 42.5, "min": 42, "max": 43}
    assert "RecTools 0.0 SASRec" in capsys.readouterr().out


def test_missing_peers_are_refused_before_training(
    training_speed: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(training_speed, "PEERS_PYTHON", tmp_path / "python")
    with pytest.raises(SystemExit):
        training_speed.main([])
    assert "make peers" in capsys.readouterr().err


def test_event_is_a_position_with_a_target(
    training_speed: ModuleType, three_users: PreparedDataset, small: RunConfig, tmp_path: Path
) -> None:
    split = leave_one_out(three_users)
    with training_speed.quiet_lightning():
        steps = training_speed.train_ours(three_users, split, small, 0.05, 1, tmp_path)
    assert {events for events, _ in steps} == {1 + 3 + 5}
    # RecTools needs an input before each target: users lose their first event.
    assert training_speed.peer_workload(three_users, split, small) == (2, 2 + 4)


def test_peer_gets_the_training_events_in_order(
    training_speed: ModuleType, three_users: PreparedDataset, tmp_path: Path
) -> None:
    training_speed.write_events(three_users, leave_one_out(three_users), tmp_path / "events.npz")
    with np.load(tmp_path / "events.npz", allow_pickle=False) as arrays:
        assert arrays["user_N"].tolist() == [1] * 1 + [2] * 3 + [3] * 7
        assert (arrays["item_N"] - FIRST_ITEM).tolist() == [0, 0, 1, 2, 0, 1, 2, 3, 4, 5, 0]


def test_warm_up_steps_are_not_timed(
    training_speed: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopwatch = importlib.import_module("peers.stopwatch")
    ends = iter([0.0, 9.0, 18.0, 20.0, 23.0])
    monkeypatch.setattr(stopwatch.time, "perf_counter", lambda: next(ends))
    watch = stopwatch.Stopwatch(seconds=5.0)
    assert [watch.step(events) for events in (1, 2, 3, 4)] == [False, False, False, True]
    assert watch.steps == [(3, 2.0), (4, 3.0)]
    assert training_speed.rate(watch.steps) == 7 / 5
