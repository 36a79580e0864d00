"""Systems of others, run in their own environment (`make peers`), one process a measurement."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from records import ROOT

PEERS_PYTHON = ROOT / ".venv-peers" / "bin" / "python"
"""Interpreter of the environment that `make peers` creates."""
SCRIPTS = ROOT / "benchmarks" / "peers"
MISSING = (
    "the peers' environment .venv-peers is missing: 'make peers' creates it, --no_peers skips them"
)


def run_peer(
    script: str, python: Path = PEERS_PYTHON, threads: int | None = None, **flags: object
) -> dict[str, Any]:
    """Run a script of `benchmarks/peers` and return the JSON object on its last line.

    Raises SystemExit with the script's stderr where it fails.
    """
    command = [str(python), str(SCRIPTS / script)]
    command += [f"--{name}={value}" for name, value in flags.items()]
    environment = dict(os.environ)
    if threads is not None:
        environment |= {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise SystemExit(f"{script} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))
