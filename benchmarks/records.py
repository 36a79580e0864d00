"""What every result says of itself, and where it is kept: `benchmarks/results/`, named by what and month."""

from __future__ import annotations

import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import torch

from bert4rec.cli.output import console

ROOT = Path(__file__).parents[1]
PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
"""Of the environment of the systems that benchmarks compare with: `make peers`."""
OPENMP = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND")
"""Environment variables that decide how threads wait for each other, hence much of the speed of a shared machine."""


def machine() -> dict[str, Any]:
    """The CPU as the kernel knows it, and what decides how much of it is used."""
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    return {
        "cpu": next(
            (line.partition(":")[2].strip() for line in lines if line.startswith("model name")),
            "unknown",
        ),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in OPENMP if name in os.environ},
    }


def results_file(what: str) -> Path:
    """The name says what, and when."""
    return ROOT / "benchmarks" / "results" / f"{what}-{date.today():%Y-%m}.json"


def write(document: dict[str, Any], path: Path) -> None:
    """The JSON file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    console().print(f"written: {path}")
