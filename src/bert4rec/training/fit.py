"""Lightning's training loop of one run, from the first epoch or a checkpoint to best weights."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from bert4rec.errors import DataError
from bert4rec.training.checkpoints import read_checkpoint
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.lightning_trainer import finish_loggers, make_callbacks, make_trainer
from bert4rec.training.module import TrainingModule
from bert4rec.training.progress import TrainingProgress
from bert4rec.training.run_directory import write_json
from bert4rec.training.training_run import TrainingRun


def fit(run: TrainingRun, module: TrainingModule) -> dict[str, Any] | None:
    """Train to the end and load the best weights into the module.

    Returns the figures of the training, as stored in `training.json`; None in all processes but the
    first.
    """
    path = run.directory.figures
    if path.is_file():
        figures: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    else:
        progress = TrainingProgress(run.dataset, run.split, run.config, run.log)
        trainer = _train(run, module, progress)
        if not trainer.is_global_zero:
            return None
        figures = progress.summary(module, trainer.strategy.root_device)
        write_json(path, figures)
    module.load_state_dict(_checkpoint(run.directory.best, module)["state_dict"])
    return figures


def _train(run: TrainingRun, module: TrainingModule, progress: TrainingProgress) -> pl.Trainer:
    """Run the loop, from the last checkpoint if there is one."""
    training, folder, last = run.config.training, run.directory.training, run.directory.last
    resumed = last.is_file()
    with _quiet_lightning():
        callbacks = [progress, *make_callbacks(training, folder)]
        trainer = make_trainer(training, folder, callbacks)
        for logger in trainer.loggers:
            logger.log_hyperparams(run.config.to_dict())
        first_epoch = int(_checkpoint(last, module)["epoch"]) + 1 if resumed else 0
        module.train()  # Lightning keeps the mode it finds
        with finish_loggers(trainer.loggers):
            trainer.fit(
                module,
                datamodule=TrainingDataModule(run.dataset, run.split, run.config, first_epoch),
                ckpt_path=str(last) if resumed else None,
                weights_only=True,
            )
    return trainer


def _checkpoint(path: Path, module: TrainingModule) -> dict[str, Any]:
    """Content of a checkpoint. Raises DataError if its network has other parameters."""
    checkpoint = read_checkpoint(path)
    if checkpoint["state_dict"].keys() != module.state_dict().keys():
        raise DataError(
            f"{path}: begun by another version, its network has other parts; "
            "--overwrite trains anew"
        )
    return checkpoint


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice; `TrainingProgress` prints one line an epoch instead."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            yield
        finally:
            logger.setLevel(level)
