"""Runs of `bert4rec train`, each in a process of its own: model folders that are complete are not trained again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser

from bert4rec.cli.flags import make_parser, parse, run_config
from bert4rec.cli.train import add_flags
from bert4rec.config import RunConfig


def train(data: Path, config: Path, output: Path, flags: Sequence[str]) -> dict[str, Any]:
    """The figures of one run: its history, the best epoch, its cost. An unfinished run goes on where it was."""
    command = [
        sys.executable,
        "-m",
        "bert4rec.cli.main",
        "train",
        f"--data={data}",
        f"--config={config}",
    ]
    done = subprocess.run([*command, f"--output={output}", "--resume", *flags], check=False)
    if done.returncode:
        raise SystemExit(
            f"{output}: training stopped with exit code {done.returncode}; what is complete is kept"
        )
    return dict(json.loads((output / "training.json").read_text(encoding="utf-8")))


def settings_of(config: Path, flags: Sequence[str] = ()) -> RunConfig:
    """What `bert4rec train` makes of a preset and flags."""
    return run_config(parse(_parser(), ["--data=.", "--output=.", f"--config={config}", *flags]))


@cache
def _parser() -> ArgumentParser:
    parser = make_parser("bert4rec train", "")
    add_flags(parser)
    return parser
