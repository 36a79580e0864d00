"""Lightning trainer of the settings, with its callbacks, loggers and progress bar."""

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
from bert4rec.training.checkpoints import AtomicCheckpoints
from bert4rec.training.module import MONITORED
from bert4rec.training.progress import EpochBar
from bert4rec.training.run_directory import BEST, LAST
from bert4rec.training.seeding import SeedEpochs


def make_trainer(training: TrainingConfig, folder: Path, callbacks: list[Callback]) -> pl.Trainer:
    """Lightning trainer of the settings; it writes into `folder`."""
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
        plugins=[AtomicCheckpoints()],
        enable_progress_bar=bar is not None,
        logger=_loggers(training, folder),
        log_every_n_steps=10,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_model_summary=False,
        default_root_dir=folder,
    )


def make_callbacks(training: TrainingConfig, folder: Path) -> list[Callback]:
    """Callbacks for seeds, early stopping, checkpoints and weight averaging."""
    callbacks: list[Callback] = [
        SeedEpochs(training.seed),
        EarlyStopping(
            MONITORED, mode="max", patience=training.patience, check_on_train_epoch_end=True
        ),
        _checkpoint(folder / BEST, monitor=MONITORED, mode="max"),
        # Of every epoch, and after the best one's: it stores the state of that callback.
        _checkpoint(folder / LAST),
    ]
    if training.ema_decay:  # without the buffers: feature tables of row numbers have no average
        average = get_ema_multi_avg_fn(training.ema_decay)
        callbacks.append(WeightAveraging(use_buffers=False, multi_avg_fn=average))
    return callbacks


def _checkpoint(path: Path, **choice: Any) -> ModelCheckpoint:
    """One checkpoint, replaced at the end of epochs.

    Lightning's own `save_last` skips epochs without a new best.
    """
    return ModelCheckpoint(
        path.parent,
        filename=path.stem,
        save_on_train_epoch_end=True,
        enable_version_counter=False,
        **choice,
    )


def _progress_bar() -> ProgressBar | None:
    """Progress bar on a terminal; in a log file, the lines of `TrainingProgress` are enough."""
    if not os.isatty(1):
        return None
    return EpochBar() if find_spec("rich") else TQDMProgressBar()


def _loggers(training: TrainingConfig, folder: Path) -> list[Logger]:
    """Logger of `metrics.csv`, and those of the settings."""
    loggers: list[Logger] = [CSVLogger(folder, name="log")]
    if training.logger == "tensorboard":
        _need("tensorboard", "tensorboard")
        loggers.append(TensorBoardLogger(folder, name="tensorboard"))
    if training.logger == "mlflow":
        store = os.environ.get("MLFLOW_TRACKING_URI", f"sqlite:///{folder.resolve()}/mlflow.db")
        needs_sql = store.startswith("sqlite:")
        _need("mlflow", "mlflow", *(("sqlalchemy", "alembic") if needs_sql else ()))
        loggers.append(MLFlowLogger("bert4rec", tracking_uri=store))
    if training.use_wandb:
        _need("wandb", "wandb")
        loggers.append(WandbLogger(project="bert4rec", save_dir=folder))
    return loggers


@contextmanager
def finish_loggers(loggers: Sequence[Logger]) -> Iterator[None]:
    """End the run of Weights & Biases.

    It would end with the process otherwise, and take in the next run.
    """
    try:
        yield
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()


def _need(extra: str, *modules: str) -> None:
    """Raise ConfigError if a module of an extra is not installed."""
    if any(find_spec(module) is None for module in modules):
        raise ConfigError(f"logging to {extra} needs it installed: pip install 'bert4rec[{extra}]'")
