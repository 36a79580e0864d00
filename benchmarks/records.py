"""Records of benchmarks: machine, date and figures, as JSON in `benchmarks/results/`."""

from __future__ import annotations

import argparse
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import torch

from bert4rec.cli.output import console

ROOT = Path(__file__).parents[1]
OPENMP = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OMP_PROC_BIND")
"""Environment variables that decide how threads wait for each other.

Much of the speed of a shared machine depends on them (docs/decisions/0009).
"""


def make_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser whose help is the head of the script, laid out as written there."""
    return argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )


def add_output(parser: argparse.ArgumentParser) -> None:
    """Flag of the record's file."""
    parser.add_argument("--output", type=Path, help="The record; default: in benchmarks/results/.")


def head(benchmark: str) -> dict[str, Any]:
    """First entries of every record: the benchmark, the date and the machine."""
    return {"benchmark": benchmark, "date": date.today().isoformat(), "machine": machine()}


def machine() -> dict[str, Any]:
    """CPU by the kernel's name for it, cores, torch's threads and OpenMP's variables."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "environment": {name: os.environ[name] for name in OPENMP if name in os.environ},
    }


def _cpu() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text(encoding="utf-8").splitlines() if known.is_file() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, "unknown")


def results_file(name: str) -> Path:
    """Default file of a record: its name and the month."""
    return ROOT / "benchmarks" / "results" / f"{name}-{date.today():%Y-%m}.json"


def write(record: dict[str, Any], path: Path) -> None:
    """Write a record as JSON, and print where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    console().print(f"written: {path}")
