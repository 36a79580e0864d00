"""Trains RecTools' SASRec for some seconds and prints events and seconds of each step as JSON.

Runs in the peers' environment (`make peers`); `training_speed` starts it and reads the last line.
Of this repository only the stopwatch is imported.

Legend: N events.
"""

from __future__ import annotations

import argparse
import json
import logging
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytorch_lightning as pl
import torch
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import SASRecModel
from rectools.models.nn.item_net import IdEmbeddingsItemNet
from stopwatch import Stopwatch

PACKAGES = ("rectools", "torch", "pytorch-lightning", "numpy", "pandas")
EPOCHS = 1000
"""More epochs than any budget allows: the stopwatch ends a run."""


class Clock(pl.Callback):
    """Count the positions with a target, and stop the run when its time is over."""

    def __init__(self, seconds: float) -> None:
        self.watch = Stopwatch(seconds)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Count the step's events; a target of 0 is padding."""
        trainer.should_stop = self.watch.step(int((batch["y"] != 0).sum()))


def read_events(path: Path) -> Dataset:
    """Training events, one a row; the row number stands for the time, so that no ties arise."""
    with np.load(path, allow_pickle=False) as arrays:
        user_N, item_N = arrays["user_N"], arrays["item_N"]
    frame = pd.DataFrame({Columns.User: user_N, Columns.Item: item_N, Columns.Weight: 1.0})
    frame[Columns.Datetime] = pd.to_datetime(np.arange(len(frame)), unit="s")
    return Dataset.construct(frame)


def make_trainer(seconds: float) -> pl.Trainer:
    """RecTools' default trainer, on the CPU and with a clock, without logs and checkpoints."""
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=EPOCHS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Clock(seconds)],
    )


def make_model(args: argparse.Namespace) -> SASRecModel:
    """SASRec of the given size; other settings are RecTools' defaults. Nothing is held out."""
    return SASRecModel(
        n_blocks=args.num_layers,
        n_heads=args.num_heads,
        n_factors=args.hidden_size,
        session_max_len=args.seq_length,
        dropout_rate=args.dropout,
        batch_size=args.batch_size,
        lr=args.learning_rate,
        loss="softmax",
        item_net_block_types=(IdEmbeddingsItemNet,),
        dataloader_num_workers=0,
        get_trainer_func=make_trainer,
        get_trainer_func_kwargs={"seconds": args.seconds},
    )


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Train one round; return sizes, versions and steps."""
    torch.set_num_threads(args.threads)
    pl.seed_everything(args.seed)
    model = make_model(args)
    model.fit(read_events(args.events))
    targets = [
        len(session) - 1
        for session in model.data_preparator.get_dataloader_train().dataset.sessions
    ]
    (clock,) = (callback for callback in model.fit_trainer.callbacks if isinstance(callback, Clock))
    return {
        "users": len(targets),
        "events_per_epoch": sum(targets),
        "items": len(model.data_preparator.get_known_item_ids()),
        "parameters": sum(weight.numel() for weight in model.torch_model.parameters()),
        "threads": torch.get_num_threads(),
        "seed": args.seed,
        "versions": {package: version(package) for package in PACKAGES},
        "steps": clock.watch.steps,
    }


def parse() -> argparse.Namespace:
    """Parsed flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events", type=Path, required=True, help="A .npz file with user_N and item_N."
    )
    parser.add_argument(
        "--seconds", type=float, required=True, help="Training time, warm-up not counted."
    )
    parser.add_argument("--dropout", type=float, required=True)
    parser.add_argument("--learning_rate", type=float, required=True)
    for name in (
        "threads",
        "seed",
        "num_layers",
        "num_heads",
        "hidden_size",
        "seq_length",
        "batch_size",
    ):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(json.dumps(measure(parse())))
