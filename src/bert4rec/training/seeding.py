"""Random seeds of the epochs: a resumed run draws the same numbers as an uninterrupted one."""

from __future__ import annotations

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback

from bert4rec.data.batches import Batch


class SeedEpochs(Callback):
    """Seed each epoch by the run's seed and the number of the epoch alone (docs/decisions/0007)."""

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Seed at the first batch.

        The start of the epoch would be too early: the loop draws a number for its loader after it,
        but not in a resumed run.
        """
        if batch_idx == 0:
            seed_epoch(self.seed, trainer.current_epoch, trainer.global_rank)


def seed_epoch(seed: int, epoch: int, rank: int = 0) -> None:
    """Seed torch's generators (dropout, masks on the device) for one epoch on one device."""
    mixed = (seed * 1_000_003 + epoch) * 1_009 + rank
    torch.manual_seed(mixed % 2**63)
