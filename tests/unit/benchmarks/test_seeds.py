"""Mean over the seeds of one configuration; the metrics themselves are not asserted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.training import train as fit
from small_runs import run_of
from small_worlds import leave_one_out

ROWS = ("request_time_on", "request_time_off")


@pytest.fixture(scope="module")
def seeds(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("seeds")


@pytest.fixture(scope="module")
def script(
    seeds: ModuleType,
    world: PreparedDataset,
    world_folder: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> SimpleNamespace:
    """Two seeds beside one of them, and beside a model that never reads the time."""
    folder = tmp_path_factory.mktemp("seeds")

    def trained(name: str, **changes: Any) -> Path:
        return fit.train(
            world, run_of(max_epochs=2, **changes), folder / name, log=lambda line: None
        )

    one, two, timeless = (
        trained("one", seed=1),
        trained("two", seed=2),
        trained("timeless", request_time="never"),
    )
    words = [
        "--data",
        world_folder,
        "--name",
        "tiny",
        "--runs",
        one,
        two,
        "--output",
        folder / "out.json",
    ]
    seeds.main([*map(str, words), "--against", f"itself={one}", f"timeless={timeless}"])
    record = json.loads((folder / "out.json").read_text())
    return SimpleNamespace(record=record, one=one, two=two, timeless=timeless)


def test_row_is_the_mean_over_seeds(script: SimpleNamespace, world: PreparedDataset) -> None:
    assert [run["seed"] for run in script.record["seeds"]] == [1, 2]
    assert script.record["protocol"]["users"] == len(leave_one_out(world).test)
    for row in ROWS:
        found = script.record["rows"][row]
        for metric in ("ndcg@10", "hit@10"):
            reached = [_metrics(folder, row)[metric] for folder in (script.one, script.two)]
            assert found["metrics"][metric]["value"] == pytest.approx(np.mean(reached), rel=1e-6)
            assert found["deviation"][metric] == pytest.approx(np.std(reached, ddof=1), abs=1e-9)
            estimate = found["metrics"][metric]
            assert estimate["low"] < estimate["value"] < estimate["high"]


def _metrics(folder: Path, row: str) -> dict[str, float]:
    metrics = json.loads((folder / "metrics.json").read_text())[f"test_{row}"]["metrics"]
    return {name: estimate["value"] for name, estimate in metrics.items()}


def test_each_user_is_paired_across_models(script: SimpleNamespace) -> None:
    pairs = {(pair["other"], pair["row"]): pair for pair in script.record["against"]}
    assert set(pairs) == {(other, row) for other in ("itself", "timeless") for row in ROWS}
    for (other, row), pair in pairs.items():
        mine = script.record["rows"][row]["metrics"]["hit@10"]["value"]
        asked = script.one if other == "itself" else script.timeless
        its = _metrics(asked, row if other == "itself" else "request_time_off")["hit@10"]
        assert pair["difference"]["hit@10"]["value"] == pytest.approx(mine - its)
        assert pair["relative"]["hit@10"] == pytest.approx(mine / its - 1)
        assert 0 < pair["p_value"]["hit@10"] <= 1


def test_runs_that_differ_in_more_than_their_seed_are_refused(
    seeds: ModuleType, script: SimpleNamespace
) -> None:
    with pytest.raises(
        SystemExit, match=r"seeds: error: .*timeless was trained with .*request_time"
    ):
        seeds.one_configuration([script.one, script.timeless])
