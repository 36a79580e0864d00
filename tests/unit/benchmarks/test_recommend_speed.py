"""Requests and record of the recommendation benchmark; speed itself is not asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset


@pytest.fixture
def recommend_speed(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("recommend_speed")


def test_without_peers_there_is_a_table_and_a_record(
    recommend_speed: ModuleType,
    world_folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    output = tmp_path / "out.json"
    sizes = ["--rounds", "2", "--repeats", "1", "--requests", "3"]
    recommend_speed.main(
        [*sizes, "--no_peers", "--data", str(world_folder), "--output", str(output)]
    )
    found = json.loads(output.read_text())
    assert [len(one["ours"]["one"]) for one in found["rounds"]] == [3, 3]
    rates = [found["users"] / one["ours"]["all_users"][0] for one in found["rounds"]]
    assert found["users_per_second"]["ours"]["max"] == pytest.approx(max(rates))
    assert found["ratio"] is None
    assert "bert4rec SASRec preset" in capsys.readouterr().out


def test_peer_gets_all_events_in_the_same_order(
    recommend_speed: ModuleType, world: PreparedDataset, tmp_path: Path
) -> None:
    recommend_speed.write_histories(world, tmp_path / "events.npz")
    with np.load(tmp_path / "events.npz") as arrays:
        assert arrays["item_N"].tolist() == world.item_N.tolist()
        assert (
            np.bincount(arrays["user_N"], minlength=world.user_rows).tolist()
            == np.diff(world.start_U1).tolist()
        )


def test_record_summarises_the_rounds(recommend_speed: ModuleType, world: PreparedDataset) -> None:
    peer = {"users": 80, "items": 24, "parameters": 1, "versions": {"rectools": "0"}}
    rounds = [
        {
            "ours": {"all_users": [1.0], "one": [0.001]},
            "peer": {**peer, "all_users": [4.0], "one": [0.010]},
        },
        {
            "ours": {"all_users": [1.0], "one": [0.003]},
            "peer": {**peer, "all_users": [2.0], "one": [0.020]},
        },
    ]
    found = recommend_speed.record_of(world, recommend_speed.preset(), rounds)
    assert found["ratio"] == {"median": 3.0, "min": 2.0, "max": 4.0}
    assert found["milliseconds_for_one"]["ours"]["p50"] == pytest.approx(2.0)
    assert found["users_per_second"]["peer"]["max"] == pytest.approx(len(world.users) / 2)


def test_zero_rounds_are_refused(
    recommend_speed: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        recommend_speed.main(["--data", "x", "--rounds", "0", "--no_peers"])
    assert "must be 1 or more" in capsys.readouterr().err
