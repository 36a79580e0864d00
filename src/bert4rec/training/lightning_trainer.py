"""Lightning's trainer, with the callbacks, loggers and progress bar that the settings ask for."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
    ProgressBar,
    TQDMProgressBar,
    WeightAveraging,
)
from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from torch.optim.swa_utils import get_ema_multi_avg_fn

from bert4rec.config import TrainingConfig
from bert4rec.errors import ConfigError
from bert4rec.training.checkpoints import WholeCheckpoints
from bert4rec.training.module import MONITORED
from bert4rec.training.progress import EpochBar, Reseed
from bert4rec.training.run_directory import BEST, LAST


def make_trainer(training: TrainingConfig, folder: Path, callbacks: list[Callback]) -> pl.Trainer:
    """Lightning's trainer as the settings ask for it."""
    bar = _progress_bar()
    return pl.Trainer(
        accelerator=training.accelerator,
        devices=training.devices,
        strategy="ddp" if training.devices > 1 else "auto",
        precision=training.precision,
        max_epochs=training.max_epochs,
        accumulate_grad_batches=training.gradient_accumulation_steps,
        gradient_clip_val=training.max_grad_norm or None,
        callbacks=[*callbacks, *([bar] if bar else [])],
        plugins=[WholeCheckpoints()],
        enable_progress_bar=bar is not None,
        logger=_loggers(training, folder),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def callbacks_of(training: TrainingConfig, folder: Path) -> list[Callback]:
    """What reseeds each epoch, stops a run, keeps its checkpoints, and averages its weights."""
    callbacks: list[Callback] = [
        Reseed(training.seed),
        EarlyStopping(
            MONITORED, mode="max", patience=training.patience, check_on_train_epoch_end=True
        ),
        _checkpoint(folder / BEST, monitor=MONITORED, mode="max"),
        _checkpoint(
            folder / LAST
        ),  # of every epoch, and after the best one's, so that it knows of it
    ]
    if training.ema_decay:  # buffers are feature tables: row numbers, of which there is no average
        average = get_ema_multi_avg_fn(training.ema_decay)
        callbacks.append(WeightAveraging(use_buffers=False, multi_avg_fn=average))
    return callbacks


def _checkpoint(path: Path, **choice: Any) -> ModelCheckpoint:
    """Keeps one file, written at the end of epochs. Lightning's `save_last` would skip epochs that are not the best."""
    return ModelCheckpoint(
        path.parent,
        filename=path.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
        **choice,
    )


def _progress_bar() -> ProgressBar | None:
    """A bar on a terminal; the lines of `Progress` are enough for a log."""
    if not os.isatty(1):
        return None
    return EpochBar() if find_spec("rich") else TQDMProgressBar()


def _loggers(training: TrainingConfig, folder: Path) -> list[Logger]:
    """`metrics.csv`, and whatever else was asked for."""
    loggers: list[Logger] = [CSVLogger(folder, name="log")]
    if training.logger == "tensorboard":
        _need("tensorboard", "tensorboard")
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    if training.logger == "mlflow":
        store = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        _need(
            "mlflow", "mlflow", *(("sqlalchemy", "alembic") if store.startswith("sqlite:") else ())
        )
        loggers.append(MLFlowLogger("bert4rec", tracking_uri=store))
    if training.use_wandb:
        _need("wandb", "wandb")
        loggers.append(WandbLogger(project="bert4rec", save_dir=folder))
    return loggers


@contextmanager
def ending(loggers: Sequence[Logger]) -> Iterator[None]:
    """Weights & Biases ends a run with the process; the next run of this process would be logged into it."""
    try:
        yield
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()


def _need(extra: str, *modules: str) -> None:
    if any(find_spec(module) is None for module in modules):
        raise ConfigError(f"logging to {extra} needs it installed: pip install 'bert4rec[{extra}]'")
