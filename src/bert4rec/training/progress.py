"""What a run tells of itself: an estimate after its first steps, a line an epoch, and the figures it leaves behind.

The record travels with the checkpoints, so that a run that was resumed reports all of its epochs.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback, RichProgressBar

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.presets import read_preset
from bert4rec.training.cost import arithmetic
from bert4rec.training.module import MONITORED, TrainingModule

try:
    import resource
except ImportError:  # Windows has none
    resource = None  # type: ignore[assignment]

WARMING_STEPS = 3
"""The first few steps, which warm up, are not timed."""
TIMED_STEPS, TIMED_SECONDS = 15, 20.0
"""After so many steps or seconds more a run says how long it will take; an epoch that is over sooner says it itself."""
LONG_SECONDS = 3600.0


class Progress(Callback):
    """Times the epochs and reports them, one line each."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, run: RunConfig, log: Callable[[str], None]
    ) -> None:
        self.dataset, self.split, self.run, self.log_line = dataset, split, run, log
        self.epochs: list[dict[str, Any]] = []
        self.steps, self.told = 0, False

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far: what a checkpoint keeps."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
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
        """Count events; after the first steps say what is to come."""
        self.events += batch.events * trainer.world_size
        self.trained = time.perf_counter()
        self.steps += 1
        if self.steps == WARMING_STEPS:
            self.warm = self.trained
        timed, in_first_epoch = self.steps - WARMING_STEPS, self.steps == batch_idx + 1
        if timed < 1 or self.told or not in_first_epoch:
            return
        seconds = self.trained - self.warm
        if timed >= TIMED_STEPS or seconds >= TIMED_SECONDS:
            self.told = True
            self._estimate(trainer, seconds / timed)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the epoch's figures and log them."""
        figures = {name: float(value) for name, value in trainer.callback_metrics.items()}
        seconds = time.perf_counter() - self.started
        self.epochs.append(
            {
                "epoch": trainer.current_epoch + 1,
                "seconds": seconds,
                "events_per_second": self.events / max(self.trained - self.started, 1e-9),
                "losses": {
                    name.removeprefix("train/"): figures[name]
                    for name in figures
                    if name.startswith("train/")
                },
                "validation": {
                    name.removeprefix("validation/"): figures[name]
                    for name in figures
                    if name.startswith("validation/")
                    and not math.isnan(figures[name])  # nobody has rated
                },
            }
        )
        if trainer.is_global_zero:
            self._say(trainer, self._line(trainer))

    def _line(self, trainer: pl.Trainer) -> str:
        last, best = self.epochs[-1], self.best
        losses = "  ".join(f"{task} {loss:.3f}" for task, loss in last["losses"].items())
        shown = [
            name for name in ("rating_rmse", "hit@10", "ndcg@10") if name in last["validation"]
        ]
        metrics = "  ".join(f"{name} {last['validation'][name]:.4f}" for name in shown)
        mean = sum(epoch["seconds"] for epoch in self.epochs) / len(self.epochs)
        left = mean * ((trainer.max_epochs or 0) - last["epoch"])
        mark = " *" if best is last else ""
        return (
            f"epoch {last['epoch']:>3}/{trainer.max_epochs}  {losses}  {metrics}{mark}  "
            f"{last['events_per_second']:,.0f} events/s  {duration(last['seconds'])}, {duration(left)} left at most"
        )

    def _estimate(self, trainer: pl.Trainer, seconds_a_step: float) -> None:
        if not trainer.is_global_zero:
            return
        epoch = seconds_a_step * trainer.num_training_batches
        total = epoch * (trainer.max_epochs or 0)
        where = f"{trainer.strategy.root_device.type}, {torch.get_num_threads()} threads"
        self._say(
            trainer,
            f"about {duration(epoch)} an epoch on this device ({where}), {duration(total)} for all "
            f"{trainer.max_epochs}, validation not counted",
        )
        if total > LONG_SECONDS:
            self._suggest_small(trainer, epoch, total)

    def _suggest_small(self, trainer: pl.Trainer, epoch: float, total: float) -> None:
        """Name the small preset where it takes less than half of the time, by its arithmetic."""
        small = RunConfig.from_dict(read_preset("small"))
        work = arithmetic(self.dataset, self.split, self.run).multiply_adds
        small_work = arithmetic(self.dataset, self.split, small).multiply_adds
        small_epoch = small_work / work * epoch
        small_total = small_epoch * small.training.max_epochs
        if small_total < total / 2:
            self._say(
                trainer,
                f"that is over an hour: --preset small would take about {duration(small_epoch)} "
                f"an epoch, {duration(small_total)} for all {small.training.max_epochs}",
            )

    def _say(self, trainer: pl.Trainer, line: str) -> None:
        bar = trainer.progress_bar_callback
        if bar is not None:
            bar.print(line)
        else:
            self.log_line(line)

    @property
    def best(self) -> dict[str, Any]:
        """The epoch whose weights are kept."""
        return max(
            self.epochs,
            key=lambda epoch: epoch["validation"][MONITORED.removeprefix("validation/")],
        )

    def summary(self, module: TrainingModule, device: torch.device) -> dict[str, Any]:
        """The figures of the whole run on this device, as stored in `training.json`."""
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
    """Lightning's bar, counting epochs as the lines do: from 1."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> dict[str, Any]:
        """None: what they are at the end of an epoch is in its line."""
        return {}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"epoch {current_epoch + 1:>3}/{self.trainer.max_epochs}"


class Reseed(Callback):
    """The random numbers of an epoch depend on the seed and the epoch alone, so a resumed run draws the same ones."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Start the epoch's random numbers, at its first batch.

        At the epoch's start would be too soon: then the loop draws one for its loader, but not when it was resumed.
        """
        if batch_idx == 0:
            seed_epoch(self.seed, trainer.current_epoch, trainer.global_rank)


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed dropout and whatever else torch draws in an epoch, on every device."""
    mixed = (seed * 1_000_003 + epoch) * 1_009 + rank
    torch.manual_seed(mixed % 2**63)


def peak_memory_mb(device: torch.device) -> float:
    """The most memory this process has held on the device so far, in MiB; 0 where the system does not tell."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    if (
        device.type == "mps"
    ):  # keeps no peak, but what it took from the system it gives back to nobody else
        return torch.mps.driver_allocated_memory() / 2**20
    if resource is None:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def megabytes(number: float) -> str:
    """An amount of memory in words; 0 is what is not known."""
    return f"{number:,.0f} MB" if number else "unknown"


def duration(seconds: float) -> str:
    """Seconds in words: `45 s`, `12 min`, `3.5 h`."""
    if seconds < 100:
        return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
