"""Runs of `bert4rec train`, each in its own process; complete runs are not repeated."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bert4rec.cli.flags import make_parser, parse, run_config
from bert4rec.cli.train import add_flags
from bert4rec.config import RunConfig


def train(data: Path, preset: Path, output: Path, flags: Sequence[str]) -> dict[str, Any]:
    """History, best epoch and cost of one run (`training.json`); an unfinished run is resumed.

    Raises SystemExit where training fails.
    """
    command = [sys.executable, "-m", "bert4rec", "train", f"--data={data}", preset_flag(preset)]
    done = subprocess.run([*command, f"--output={output}", "--resume", *flags], check=False)
    if done.returncode:
        raise SystemExit(
            f"{output}: training stopped with exit code {done.returncode}; what is complete is kept"
        )
    return dict(json.loads((output / "training.json").read_text(encoding="utf-8")))


def settings_of(preset: Path, flags: Sequence[str] = ()) -> RunConfig:
    """Settings that `bert4rec train` takes from a preset and flags."""
    parser = make_parser("bert4rec train", "")  # a parser of its own: a preset changes its defaults
    add_flags(parser)
    return run_config(parse(parser, ["--data=.", "--output=.", preset_flag(preset), *flags]))


def preset_flag(preset: Path) -> str:
    """Flag of `bert4rec train` for a preset's name or a YAML file of settings."""
    return f"--config={preset}" if preset.suffix else f"--preset={preset}"
