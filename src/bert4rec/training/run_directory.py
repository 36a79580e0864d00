"""Output directory of a run: its files while it trains, and what may be done with existing ones.

| file | content |
|---|---|
| `training/run.json` | identity of the run: settings and checksums of events, features and split |
| `training/last.ckpt`, `best.ckpt` | state to resume from, and the best weights so far |
| `training/warm_start/` | warm-start model, applied to this data without training |
| `training/training.json` | figures of the finished training |
| `comparison.json` | differences to the warm-start model, by row |

The files of the model folder itself are written last, by `artefact`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from bert4rec import artefact
from bert4rec.errors import UsageError
from bert4rec.files import write_atomically
from bert4rec.locks import holds_files

BEST, LAST = "best.ckpt", "last.ckpt"

LEFT_OUT = "users_without_validation"
"""Key of `run.json`: user rows whose validation event trained the warm-start model."""

NO_EFFECT = ("num_workers", "pin_memory", "logger", "use_wandb", "accelerator", "cuda_graphs")
"""Settings that may change on resume: the weights stay the same up to rounding."""

REASONS = {"max_epochs": " (the learning rate was planned for it)"}
"""Reason why a setting must not change on resume, where it is not obvious."""

Plan = Literal["new", "resume", "complete", "follow"]
"""Next step of a run in its directory; on several devices all processes but the first follow."""


@dataclass(frozen=True)
class RunDirectory:
    """Paths below the output of a run."""

    output: Path

    @property
    def training(self) -> Path:
        """Folder of checkpoints and logs."""
        return self.output / "training"

    @property
    def identity(self) -> Path:
        """Settings and checksums; a run is resumed only with the same ones."""
        return self.training / "run.json"

    @property
    def last(self) -> Path:
        """Checkpoint of the last full epoch."""
        return self.training / LAST

    @property
    def best(self) -> Path:
        """Checkpoint of the best epoch so far."""
        return self.training / BEST

    @property
    def warm_start(self) -> Path:
        """Model folder of the warm-start model."""
        return self.training / "warm_start"

    @property
    def figures(self) -> Path:
        """Figures of the training; the file exists once training is over."""
        return self.training / "training.json"

    @property
    def comparison(self) -> Path:
        """Comparison with the warm-start model."""
        return self.output / "comparison.json"

    @property
    def config(self) -> Path:
        """File of the model folder that is written last."""
        return self.output / artefact.CONFIG_FILE


def plan_run(
    directory: RunDirectory, identity: dict[str, Any], resume: bool, overwrite: bool
) -> Plan:
    """Next step, from the files in the directory; changes nothing.

    Raises UsageError if the directory holds something else, another run, or an unfinished run
    without `resume`.
    """
    output, stored = directory.output, read_identity(directory)
    only_a_model = artefact.is_model_folder(output) and not directory.training.exists()
    replaceable = stored is not None or (overwrite and only_a_model)
    if not replaceable and holds_files(output):
        purpose = "be replaced" if overwrite else "go on"
        raise UsageError(
            f"{output}: holds something that is no run that can {purpose}; choose another --output"
        )
    started = (directory.last, directory.figures, directory.config)
    if overwrite or stored is None or not any(path.is_file() for path in started):
        return "new"
    _refuse_other_run(output, stored, identity)
    if directory.config.is_file():
        return "complete"
    if not resume:
        raise UsageError(
            f"{output}: holds an unfinished run; --resume goes on with it, --overwrite starts anew"
        )
    return "resume"


def create_directory(directory: RunDirectory, identity: dict[str, Any]) -> None:
    """Remove the files of an earlier run and store the identity of this one."""
    for path in (directory.config, directory.comparison):
        path.unlink(missing_ok=True)
    shutil.rmtree(directory.training, ignore_errors=True)
    directory.training.mkdir(parents=True, exist_ok=True)
    write_json(directory.identity, identity)


def read_identity(directory: RunDirectory) -> dict[str, Any] | None:
    """Identity of the run in the directory; None if there is none."""
    try:
        stored = json.loads(directory.identity.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(stored, dict) or not {"settings", "dataset", "split"} <= stored.keys():
        return None
    return stored


def _refuse_other_run(output: Path, stored: dict[str, Any], wanted: dict[str, Any]) -> None:
    for part in ("dataset", "split"):
        if stored[part] != wanted[part]:
            raise UsageError(
                f"{output}: was trained on another {part}; choose another --output or --overwrite"
            )
    before, now = stored.get("features"), wanted["features"]
    if before != now:
        raise UsageError(
            f"{output}: was trained with other features of the same events (features checksum "
            f"{before}, not {now}); choose another --output or --overwrite"
        )
    for difference in differing_settings(stored["settings"], wanted["settings"]):
        raise UsageError(
            f"{output}: was trained with {difference}; choose another --output or --overwrite"
        )


def differing_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """Differences that change the weights, each as `hidden_size 64, not 32`.

    Both are flat mappings as `RunConfig.to_dict` makes them.
    """
    for name, value in now.items():
        if name not in NO_EFFECT and before.get(name) != value:
            yield f"{name} {before.get(name)!r}, not {value!r}{REASONS.get(name, '')}"


def drop_checkpoints(directory: RunDirectory) -> None:
    """Delete the files that only an unfinished run needs."""
    for path in (directory.best, directory.last):
        path.unlink(missing_ok=True)
    shutil.rmtree(directory.warm_start, ignore_errors=True)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a file of a run, atomically."""
    write_atomically(path, json.dumps(content, indent=1).encode())
