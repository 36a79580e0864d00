"""Several runs at once on one device, each in its own process: a small network leaves a GPU idle.

    python benchmarks/side_by_side.py --data prepared/ml-1m --plan plan.yaml --output runs \\
        --seconds 500

The plan is a YAML list of runs. A run has a `name`, and may have
- `preset`: a preset's name or a YAML file; without it the defaults;
- `data`: a prepared folder in place of `--data`;
- any settings that differ;
- `leaves`: `training` (default) leaves the best weights, and `bert4rec train --resume` evaluates
  and saves them, there or on another machine; `answers` leaves ranks and errors without weights.

Runs that are not finished in time are stopped, and keep their last epoch for `--resume`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import yaml

from answers import answers
from bert4rec.artefact import DATA_FILE, WEIGHTS_FILE
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.training.checkpoints import read_checkpoint
from bert4rec.training.run_directory import BEST, LAST
from bert4rec.training.train import train
from records import make_parser
from runs import settings_of

ENTRY_KEYS = ("name", "preset", "data", "leaves")
"""Keys of a plan's entry that are no settings."""
GRACE = 20.0
"""Seconds that a run has to stop after an interrupt."""


def main(words: Sequence[str] | None = None) -> None:
    """Start the runs of the plan, or execute one of them (`--only`)."""
    args = parse(words)
    plan = {entry["name"]: entry for entry in yaml.safe_load(args.plan.read_text(encoding="utf-8"))}
    if args.only:
        entry = plan[args.only]
        one_run(Path(entry.get("data", args.data)), entry, args.output / args.only)
        return
    args.output.mkdir(parents=True, exist_ok=True)
    codes = run_all(args, list(plan), time.monotonic() + args.seconds)
    for name, code in codes.items():
        outcome = "done" if code == 0 else f"exit code {code}"
        print(f"{name}: {outcome}, {last_line(args.output / f'{name}.log')}")
    raise SystemExit(any(codes.values()))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument("--plan", type=Path, required=True, help="The runs, as YAML.")
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        help="The folder of the runs, each in a folder of its name.",
    )
    parser.add_argument(
        "--together", type=int, default=os.cpu_count(), help="Runs at once (default: one a core)."
    )
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="Time after which all are stopped."
    )
    parser.add_argument("--only", help="Execute this run, in this process.")
    return parser.parse_args(words)


def run_all(args: argparse.Namespace, names: Sequence[str], end: float) -> dict[str, int]:
    """Exit codes of all runs, -1 for those never started; the next starts when one ends."""
    waiting = list(names)
    running: dict[str, subprocess.Popen[bytes]] = {}
    codes: dict[str, int] = {}
    while waiting or running:
        while waiting and len(running) < args.together and time.monotonic() < end:
            name = waiting.pop(0)
            running[name] = start(args, name)
        if time.monotonic() >= end:
            codes |= dict.fromkeys(waiting, -1)
            waiting.clear()
            stop(running.values())
        time.sleep(0.2)
        for name in [name for name, process in running.items() if process.poll() is not None]:
            codes[name] = running.pop(name).returncode
    return codes


def start(args: argparse.Namespace, name: str) -> subprocess.Popen[bytes]:
    """Process of one run, on one thread, with its output in a log."""
    words = [
        f"--data={args.data}",
        f"--plan={args.plan}",
        f"--output={args.output}",
        f"--only={name}",
    ]
    with (args.output / f"{name}.log").open("wb") as log:
        return subprocess.Popen(
            [sys.executable, "-u", __file__, *words],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
        )


def stop(processes: Iterable[subprocess.Popen[bytes]]) -> None:
    """Interrupt all processes, and kill those that still run after the grace period."""
    for process in processes:
        process.send_signal(signal.SIGINT)
    end = time.monotonic() + GRACE
    for process in processes:
        try:
            process.wait(max(0.1, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def one_run(data: Path, entry: Mapping[str, Any], output: Path) -> None:
    """Train one run, and leave its best weights or its answers."""
    run = run_of(entry)
    dataset = PreparedDataset.open(data)
    leaves_answers = entry.get("leaves", "training") == "answers"
    train(dataset, run, output, resume=True, subsets=(), finish=leaves_answers)
    if leaves_answers:
        device = "cuda" if torch.cuda.is_available() else "cpu"
        answers(output, dataset, make_split(dataset, run.split), device)
        for name in (WEIGHTS_FILE, DATA_FILE):
            (output / name).unlink()
    else:
        keep_weights_alone(output / "training")


def run_of(entry: Mapping[str, Any]) -> RunConfig:
    """Configuration of one entry of the plan."""
    settings = {name: value for name, value in entry.items() if name not in ENTRY_KEYS}
    preset = settings_of(Path(entry["preset"])).to_dict() if "preset" in entry else {}
    return RunConfig.from_dict(with_settings(preset, settings))


def with_settings(before: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Preset with other settings; a task's weight may be named `task_weights.NAME`."""
    after = {**before, **{name: value for name, value in settings.items() if "." not in name}}
    for name, value in settings.items():
        if "." in name:
            group, _, task = name.partition(".")
            after[group] = {**after.get(group, {}), task: value}
    return after


def keep_weights_alone(training: Path) -> None:
    """Reduce a trained run to the weights that finishing it needs, a third of the size."""
    best = read_checkpoint(training / BEST)
    torch.save({"state_dict": best["state_dict"]}, training / BEST)
    (training / LAST).unlink(missing_ok=True)
    shutil.rmtree(training / "log", ignore_errors=True)


def last_line(log: Path) -> str:
    """Last line of a run's log, cut to 200 characters."""
    if not log.is_file():
        return "never started"
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:200] if lines else "never started"


if __name__ == "__main__":
    main()
