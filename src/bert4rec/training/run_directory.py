"""The output of a run while it is one: what lies there, what is to become of it, and what it is resumed by.

    training/run.json        what is trained on what
    training/last.ckpt       everything that a run needs to go on; beside it best.ckpt, the best weights so far
    training/start/          the model that the run started from as it answers on this data
    training/training.json   the figures of the run: training is over

The model folder's own files come when all is done (`artefact`).
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from bert4rec import artefact
from bert4rec.errors import UsageError
from bert4rec.files import write_atomically
from bert4rec.locks import holds_files

RUN_FILE = "run.json"
"""What is trained on what, in `output/training/`: a run is resumed only with the same."""
LEFT_OUT = "users_without_validation"
"""In `run.json`: the rows of the users whose validation event trained what the run started from."""
FIGURES_FILE = "training.json"
"""The figures of the run, in `output/training/`; its presence means that training is over."""

START = "start"
"""In `output/training/`: the model that the run started from as it answers on this data, for the comparison."""

COMPARISON_FILE = "comparison.json"
"""How far the model is from the one that it started from, by row."""

BEST, LAST = "best.ckpt", "last.ckpt"
"""Checkpoints, in `output/training/`: the best weights so far, and everything that a run needs to go on."""

NO_EFFECT = ("num_workers", "pin_memory", "logger", "use_wandb", "accelerator", "cuda_graphs")
"""Settings that may differ when a run is resumed: they change no weight, but that devices round in their own ways."""

WHY_NOT = {"max_epochs": " (the learning rate was planned for it)"}
"""Where it is not plain why a setting may not differ."""

Plan = Literal["start anew", "go on", "leave", "follow"]
"""What becomes of the output; processes but the first follow."""


def plan_for(output: Path, identity: dict[str, Any], resume: bool, overwrite: bool) -> Plan:
    """What is to be done with what lies there. Touches nothing."""
    training = output / "training"
    known = read_identity(training / RUN_FILE)
    model_alone = artefact.is_model_folder(output) and not training.exists()
    if known is None and not (overwrite and model_alone) and holds_files(output):
        able = "be replaced" if overwrite else "go on"
        raise UsageError(
            f"{output}: holds something that is no run that can {able}; choose another --output"
        )
    kept = (training / LAST, training / FIGURES_FILE, output / artefact.CONFIG_FILE)
    worth_keeping = any(path.is_file() for path in kept)
    if overwrite or known is None or not worth_keeping:
        return "start anew"
    _same_run(output, known, identity)
    if (output / artefact.CONFIG_FILE).is_file():
        return "leave"
    if not resume:
        raise UsageError(
            f"{output}: holds an unfinished run; --resume goes on with it, --overwrite starts anew"
        )
    return "go on"


def start_folder(output: Path, identity: dict[str, Any]) -> None:
    """Makes the folder ready; what a run left goes."""
    training = output / "training"
    for name in (artefact.CONFIG_FILE, COMPARISON_FILE):
        (output / name).unlink(missing_ok=True)
    shutil.rmtree(training, ignore_errors=True)
    training.mkdir(parents=True, exist_ok=True)
    write_json(training / RUN_FILE, identity)


def read_identity(path: Path) -> dict[str, Any] | None:
    """What was trained on what; None where that was not written by a run."""
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (
        known
        if isinstance(known, dict) and {"settings", "dataset", "split"} <= known.keys()
        else None
    )


def _same_run(output: Path, known: dict[str, Any], wanted: dict[str, Any]) -> None:
    for part in ("dataset", "split"):
        if known.get(part) != wanted[part]:
            raise UsageError(
                f"{output}: was trained on another {part}; choose another --output or --overwrite"
            )
    for difference in differing_settings(known["settings"], wanted["settings"]):
        raise UsageError(
            f"{output}: was trained with {difference}; choose another --output or --overwrite"
        )


def differing_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences that change the weights, each as `hidden_size 64, not 32`.

    Both are flat mappings as `RunConfig.to_dict` makes them.
    """
    for name, value in now.items():
        if name not in NO_EFFECT and before.get(name) != value:
            yield f"{name} {before.get(name)!r}, not {value!r}{WHY_NOT.get(name, '')}"


def drop_checkpoints(folder: Path) -> None:
    """What the best one holds is in the model folder by now, and there is nothing left to go on with."""
    for name in (BEST, LAST):
        (folder / name).unlink(missing_ok=True)
    shutil.rmtree(folder / START, ignore_errors=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Writes a file of a run, whole or not at all."""
    write_atomically(path, json.dumps(content, indent=1).encode())
