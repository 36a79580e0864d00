"""Progress of a run: an early estimate of its time, one line per epoch, and its figures.

The figures of past epochs are kept in the checkpoints, so a resumed run reports all of its epochs.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.log import Log
from bert4rec.presets import read_preset
from bert4rec.training.arithmetic import arithmetic
from bert4rec.training.module import MONITORED, TrainingModule

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

UNTIMED_STEPS = 3
"""First steps, which are slower and not timed."""
TIMED_STEPS, TIMED_SECONDS = 15, 20.0
"""Steps or seconds of timing before the estimate; a shorter epoch needs none."""
LONG_SECONDS = 3600.0
"""Estimated time above which the small preset is suggested."""


class TrainingProgress(Callback):
    """Time the epochs and log one line for each."""

    def __init__(self, dataset: PreparedDataset, split: Split, config: RunConfig, log: Log) -> None:
        self.dataset, self.split, self.config, self.log_line = dataset, split, config, log
        self.epochs: list[dict[str, Any]] = []
        self.steps, self.estimated = 0, False

    def state_dict(self) -> dict[str, Any]:
        """Figures of the epochs so far, for a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the figures from a checkpoint."""
        self.epochs = list(state_dict["epochs"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.started, self.events = time.perf_counter(), 0
        self.trained = self.started

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Count events; estimate the time of the run once, in its first epoch."""
        self.events += batch.events * trainer.world_size
        self.trained = time.perf_counter()
        self.steps += 1
        if self.steps == UNTIMED_STEPS:
            self.timed_from = self.trained
        timed = self.steps - UNTIMED_STEPS
        in_first_epoch = self.steps == batch_idx + 1
        if timed < 1 or self.estimated or not in_first_epoch:
            return
        seconds = self.trained - self.timed_from
        if timed >= TIMED_STEPS or seconds >= TIMED_SECONDS:
            self.estimated = True
            self._estimate(trainer, seconds / timed)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Store the epoch's figures and log them."""
        metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
        validation = _of_phase(metrics, "validation/")
        epoch = {
            "epoch": trainer.current_epoch + 1,
            "seconds": time.perf_counter() - self.started,
            "events_per_second": self.events / max(self.trained - self.started, 1e-9),
            "losses": _of_phase(metrics, "train/"),
            # The RMSE is NaN if no validation target has a rating.
            "validation": {n: value for n, value in validation.items() if not math.isnan(value)},
        }
        self.epochs.append(epoch)
        if trainer.is_global_zero:
            self._print(trainer, self._line(trainer))

    def _line(self, trainer: pl.Trainer) -> str:
        """Line of the last epoch; a star marks the best one so far."""
        last = self.epochs[-1]
        losses = "  ".join(f"{task} {loss:.3f}" for task, loss in last["losses"].items())
        validation = last["validation"]
        names = [name for name in ("rating_rmse", "hit@10", "ndcg@10") if name in validation]
        metrics = "  ".join(f"{name} {validation[name]:.4f}" for name in names)
        mean = sum(epoch["seconds"] for epoch in self.epochs) / len(self.epochs)
        left = mean * ((trainer.max_epochs or 0) - last["epoch"])
        mark = " *" if self.best is last else ""
        return (
            f"epoch {last['epoch']:>3}/{trainer.max_epochs}  {losses}  {metrics}{mark}  "
            f"{last['events_per_second']:,.0f} events/s  {duration(last['seconds'])}, "
            f"{duration(left)} left at most"
        )

    def _estimate(self, trainer: pl.Trainer, seconds_a_step: float) -> None:
        """Log the estimated time of an epoch and of the run."""
        if not trainer.is_global_zero:
            return
        epoch = seconds_a_step * trainer.num_training_batches
        total = epoch * (trainer.max_epochs or 0)
        where = f"{trainer.strategy.root_device.type}, {torch.get_num_threads()} threads"
        self._print(
            trainer,
            f"about {duration(epoch)} an epoch on this device ({where}), {duration(total)} for all "
            f"{trainer.max_epochs}, validation not counted",
        )
        if total > LONG_SECONDS:
            self._suggest_small(trainer, epoch, total)

    def _suggest_small(self, trainer: pl.Trainer, epoch: float, total: float) -> None:
        """Suggest the small preset if, by its arithmetic, it takes less than half of the time."""
        small = RunConfig.from_dict(read_preset("small"))
        work = arithmetic(self.dataset, self.split, self.config).multiply_adds
        small_work = arithmetic(self.dataset, self.split, small).multiply_adds
        small_epoch = small_work / work * epoch
        small_total = small_epoch * small.training.max_epochs
        if small_total < total / 2:
            self._print(
                trainer,
                f"that is over an hour: --preset small would take about {duration(small_epoch)} "
                f"an epoch, {duration(small_total)} for all {small.training.max_epochs}",
            )

    def _print(self, trainer: pl.Trainer, line: str) -> None:
        """Print above the progress bar, or log where there is none."""
        bar = trainer.progress_bar_callback
        if bar is not None:
            bar.print(line)
        else:
            self.log_line(line)

    @property
    def best(self) -> dict[str, Any]:
        """Figures of the best epoch, whose weights are kept."""
        return max(
            self.epochs,
            key=lambda epoch: epoch["validation"][MONITORED.removeprefix("validation/")],
        )

    def summary(self, module: TrainingModule, device: torch.device) -> dict[str, Any]:
        """Figures of the complete training, as stored in `training.json`."""
        until_best = self.epochs[: self.best["epoch"]]
        rates = sorted(epoch["events_per_second"] for epoch in self.epochs)
        return {
            "epochs": len(self.epochs),
            "best_epoch": self.best["epoch"],
            "seconds": sum(epoch["seconds"] for epoch in self.epochs),
            "seconds_to_best": sum(epoch["seconds"] for epoch in until_best),
            "events_per_second": rates[len(rates) // 2],
            "peak_memory_mb": peak_memory_mb(device),
            "parameters": sum(parameter.numel() for parameter in module.network.parameters()),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "threads": torch.get_num_threads(),
            "history": self.epochs,
        }


class EpochBar(RichProgressBar):
    """Lightning's progress bar, with epochs counted from 1 as in the lines."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """No metrics; the epoch's line has them."""
        return {}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1:>3}/{self.trainer.max_epochs}"


def summary_line(figures: Mapping[str, Any]) -> str:
    """Line on a finished training: epochs, time, speed and memory."""
    best = f"best after epoch {figures['best_epoch']}, {duration(figures['seconds_to_best'])}"
    memory = f"peak memory {megabytes(figures['peak_memory_mb'])}"
    return (
        f"trained {figures['epochs']} epochs in {duration(figures['seconds'])} ({best}); "
        f"{figures['events_per_second']:,.0f} events/s, {memory}"
    )


def _of_phase(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Metrics with a prefix, named without it."""
    return {
        name.removeprefix(prefix): value
        for name, value in metrics.items()
        if name.startswith(prefix)
    }


def peak_memory_mb(device: torch.device) -> float:
    """Peak memory of this process on the device so far, in MiB; 0 if it is not reported."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if device.type == "mps":  # reports no peak, but its driver never gives memory back
        return torch.mps.driver_allocated_memory() / 2**20
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # bytes on macOS, KiB elsewhere


def megabytes(number: float) -> str:
    """Amount of memory as text; 0 is unknown."""
    return f"{number:,.0f} MB" if number else "unknown"


def duration(seconds: float) -> str:
    """Seconds as text: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
