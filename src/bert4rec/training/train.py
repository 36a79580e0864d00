"""One run, from a prepared dataset and settings to a model folder.

While it trains, `output/training/` holds checkpoints and logs (`run_directory`). The files of the
model folder come last, so an unfinished run is never mistaken for a model.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, Subset, make_split
from bert4rec.errors import ConfigError
from bert4rec.locks import exclusive_folder
from bert4rec.log import Log
from bert4rec.model.scorer import scoring_passes
from bert4rec.training.distillation import Teacher, load_teacher
from bert4rec.training.finalise import finalise
from bert4rec.training.fit import fit
from bert4rec.training.initial_network import initial_network, save_warm_start
from bert4rec.training.module import TrainingModule
from bert4rec.training.run_directory import (
    LEFT_OUT,
    Plan,
    RunDirectory,
    create_directory,
    plan_run,
    read_identity,
)
from bert4rec.training.run_errors import run_errors
from bert4rec.training.training_run import TrainingRun
from bert4rec.training.warm_start import open_warm_start, without_validation_users


def train(
    dataset: PreparedDataset,
    config: RunConfig,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    subsets: Sequence[Subset] = ("validation", "test"),
    finish: bool = True,
    log: Log = print,
) -> Path:
    """Train, evaluate and save a model; returns the model folder `output`.

    The model is evaluated on the `subsets`; a search leaves the test out. Without `finish` the run
    ends when training does, and a call with `resume` does the rest, on another machine if need be.
    A complete folder of the same data and settings is left unchanged. `resume` continues an
    unfinished run from its last full epoch; on a CPU its weights equal those of an uninterrupted
    run. `overwrite` starts anew in the directory of a run.

    Raises ConfigError for settings that contradict the data or the device, UsageError if `output`
    holds something else, ArtefactError if it cannot be written, KeyboardInterrupt when interrupted;
    the last checkpoint is kept.
    """
    directory = RunDirectory(Path(output))
    with run_errors(directory, config.training), _lock(directory):
        _refuse_input_as_output(directory, config.training)
        split = make_split(dataset, config.split)
        identity = {
            "settings": config.to_dict(),
            "dataset": dataset.checksum,
            "features": dataset.features_checksum,
            "split": split.checksum,
        }
        plan = _plan(directory, identity, resume, overwrite)
        if plan == "complete":
            log(
                f"{output}: already trained with these settings on this data; "
                "--overwrite trains it again"
            )
            return directory.output
        _refuse_untrained_scoring(config)
        teacher = load_teacher(config, dataset, split)
        warm_start_model, fit_split = _warm_start(directory, plan, config, dataset, split)
        network, lines = initial_network(config, dataset, fit_split, warm_start_model)
        if plan == "new":
            create_directory(directory, {**identity, LEFT_OUT: _left_out(split, fit_split)})
            if warm_start_model is not None:
                save_warm_start(directory.warm_start, warm_start_model, dataset, fit_split)
        if plan != "follow":
            for line in [*lines, *_notes(config.training, split, fit_split, teacher)]:
                log(line)
        run = TrainingRun(config, dataset, fit_split, directory, log)
        module = TrainingModule(network, config, dataset, teacher)
        figures = fit(run, module)
        if figures is not None and finish:
            finalise(run, module.network, figures, subsets)
        return directory.output


def _refuse_untrained_scoring(config: RunConfig) -> None:
    """Raise ConfigError, before hours of training, if no trained task gives the scoring state."""
    scoring_passes(config)


def is_first_process() -> bool:
    """True in the process that writes files; on several devices there is one process for each."""
    ranks = (os.environ.get(name, "0") for name in ("LOCAL_RANK", "RANK"))
    return all(int(rank) == 0 for rank in ranks)


def _lock(directory: RunDirectory) -> AbstractContextManager[Any]:
    """Lock of the output against other runs, held by the first process."""
    return exclusive_folder(directory.output) if is_first_process() else nullcontext()


def _plan(directory: RunDirectory, identity: dict[str, Any], resume: bool, overwrite: bool) -> Plan:
    """Plan of the run; processes but the first follow, for the first one changes the files."""
    if not is_first_process():
        return "follow"
    return plan_run(directory, identity, resume, overwrite)


def _refuse_input_as_output(directory: RunDirectory, training: TrainingConfig) -> None:
    """Raise ConfigError if the output is a model folder that the run reads."""
    inputs = [("teacher", folder) for folder in training.teacher]
    if training.warm_start_from:
        inputs.insert(0, ("warm_start_from", training.warm_start_from))
    for setting, folder in inputs:
        if Path(folder).resolve() == directory.output.resolve():
            raise ConfigError(f"{setting} {folder} is the output as well; choose another --output")


def _warm_start(
    directory: RunDirectory, plan: Plan, config: RunConfig, dataset: PreparedDataset, split: Split
) -> tuple[Artefact | None, Split]:
    """Warm-start model, and the split without the validation users it was trained on.

    A resumed run has its weights in a checkpoint and its split in `run.json`.
    """
    resumed = plan == "resume" or (plan == "follow" and directory.last.is_file())
    if not resumed:
        return open_warm_start(config, dataset, split)
    stored = read_identity(directory) or {}
    return None, without_validation_users(split, stored.get(LEFT_OUT, []))


def _left_out(split: Split, fit_split: Split) -> list[int]:
    """Rows of the validation users that are left out."""
    rows: list[int] = np.setdiff1d(split.validation.user_C, fit_split.validation.user_C).tolist()
    return rows


def _notes(
    training: TrainingConfig, split: Split, fit_split: Split, teacher: Teacher | None
) -> list[str]:
    """Lines on left-out validation users and on teachers."""
    lines = []
    users = len(split.validation)
    left_out = users - len(fit_split.validation)
    if left_out:
        lines.append(
            f"left out of validation, for {training.warm_start_from} was trained on "
            f"the held-out event: {left_out:,} of {users:,} users"
        )
    if teacher is not None:
        lines.append(f"learns from {', '.join(training.teacher)}: {' and '.join(teacher.tasks)}")
    return lines
