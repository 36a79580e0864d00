"""Several runs at once, each in its own process, and their outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import yaml

from bert4rec.data.dataset import PreparedDataset
from bert4rec.training import train as fit
from small_runs import RUN, run_of, same_weights


@pytest.fixture(scope="module")
def script(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("side_by_side")


def plan(folder: Path, *entries: dict[str, object]) -> list[str]:
    """The words for a plan of runs of the small preset."""
    (folder / "tiny.yaml").write_text(yaml.safe_dump(RUN.to_dict()))
    (folder / "plan.yaml").write_text(
        yaml.safe_dump([{"preset": str(folder / "tiny.yaml"), **e} for e in entries])
    )
    return ["--plan", str(folder / "plan.yaml"), "--output", str(folder / "runs")]


def test_runs_leave_what_the_plan_asks_for(
    script: ModuleType, world: PreparedDataset, world_folder: Path, tmp_path: Path
) -> None:
    words = plan(
        tmp_path,
        {"name": "later", "seed": 5, "task_weights.rating_prediction": 0.0},
        {"name": "asked", "seed": 5, "leaves": "answers"},
    )
    with pytest.raises(SystemExit) as end:
        script.main(["--data", str(world_folder), "--together", "2", *words])
    runs = tmp_path / "runs"
    assert end.value.code is False, [
        (runs / f"{name}.log").read_text() for name in ("later", "asked")
    ]

    later, alone = runs / "later", tmp_path / "alone"
    assert not (later / "config.json").exists()
    run = run_of(seed=5, task_weights={**RUN.to_dict()["task_weights"], "rating_prediction": 0.0})
    fit.train(world, run, later, resume=True, log=lambda line: None)  # finishes it
    fit.train(world, run, alone, log=lambda line: None)
    assert same_weights(later, alone)

    assert len(list((runs / "asked").glob("answers-*.npz"))) == 1
    assert not (runs / "asked" / "model.safetensors").exists()


def test_runs_stopped_in_time_are_reported(
    script: ModuleType, world_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = plan(tmp_path, {"name": "late"}, {"name": "never"})
    with pytest.raises(SystemExit) as end:
        script.main(["--data", str(world_folder), "--together", "1", "--seconds", "0", *words])
    assert end.value.code is True
    assert "late: exit code -1, never started" in capsys.readouterr().out


def test_plan_changes_one_task_weight_of_a_preset(script: ModuleType) -> None:
    before = {"seed": 1, "task_weights": {"next_item": 1.0, "rating_prediction": 0.3}}
    after = script.with_settings(before, {"seed": 2, "task_weights.rating_prediction": 0.0})
    assert after == {"seed": 2, "task_weights": {"next_item": 1.0, "rating_prediction": 0.0}}
    assert before["task_weights"]["rating_prediction"] == 0.3
