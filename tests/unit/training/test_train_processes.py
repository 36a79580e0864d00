"""Runs in processes of their own: killed ones, and several at once."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.training.train import train
from small_runs import last_checkpoint, run_of, same_weights, steps

SCRIPT = """
import json
import sys

import torch

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.training.train import train

if __name__ == "__main__":
    data, output, settings, threads = sys.argv[1:]
    torch.set_num_threads(int(threads))
    train(PreparedDataset.open(data), RunConfig.from_dict(json.loads(settings)), output)
"""


def started(tmp_path: Path, data: Path, run: RunConfig) -> tuple[subprocess.Popen[str], Path]:
    """The process, and the folder it trains into."""
    script, output = tmp_path / "script.py", tmp_path / "run"
    script.write_text(SCRIPT)
    words = [
        sys.executable,
        script,
        data,
        output,
        json.dumps(run.to_dict()),
        torch.get_num_threads(),
    ]
    return subprocess.Popen(
        list(map(str, words)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    ), output


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, f"ended too early: {process.communicate()[0]}"
        assert time.monotonic() < end, f"{path} did not appear"
        time.sleep(0.005)


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_weights_of_one_that_never_was(
    world_folder: Path, tmp_path: Path
) -> None:
    run = run_of(
        max_epochs=12, patience=12, ema_decay=0.9, gradient_accumulation_steps=3, windows="sliding"
    )
    process, output = started(tmp_path, world_folder, run)
    wait_for(output / "training" / "last.ckpt", process)
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not (
        output / "training" / "training.json"
    ).exists()  # the run was in the middle of its epochs
    done = last_checkpoint(output)["epoch"] + 1
    assert done < run.training.max_epochs
    dataset = PreparedDataset.open(world_folder)
    logged: list[str] = []
    train(dataset, run, output, resume=True, log=logged.append)
    assert next(line for line in logged if line.startswith("epoch")).split()[1] == f"{done + 1}/12"
    whole = train(dataset, run, tmp_path / "whole", log=lambda line: None)
    assert same_weights(output, whole)


@pytest.mark.slow
def test_two_processes_train_one_model_on_half_of_the_users_each(
    world_folder: Path, tmp_path: Path
) -> None:
    process, output = started(tmp_path, world_folder, run_of(devices=2))
    logged = process.communicate(timeout=300)[0]
    assert process.returncode == 0, logged
    assert steps(output) == 3 * 2  # 80 users in batches of 20, two at a time
    lines = [line for line in logged.splitlines() if line.startswith("epoch")]
    assert [line.split()[1] for line in lines] == ["1/3", "2/3", "3/3"]  # one of them speaks
    history = json.loads((output / "training.json").read_text())["history"]
    best = max(epoch["validation"]["ndcg@10"] for epoch in history)
    reports = json.loads((output / "metrics.json").read_text())
    assert reports["validation_request_time_on"]["metrics"]["ndcg@10"]["value"] == pytest.approx(
        best, abs=1e-6
    )
