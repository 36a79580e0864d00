"""Data loaders of training and validation, for every device.

Training batches are drawn by `data.training_batches`.

Legend: B sequences of a validation batch, C validation users, N events.
"""

from __future__ import annotations

import math

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split
from bert4rec.data.training_batches import EpochOrder, TrainingBatches
from bert4rec.evaluation.evaluate import true_ratings
from bert4rec.training.cuda_graphs import uses_cuda_graphs

VALIDATION_BATCH_SIZE = 256

ValidationBatch = tuple[Histories, Tensor, Tensor]
"""Histories, target item rows `[B]`, and ratings of the targets `[B]`, NaN where unrated."""


class TrainingDataModule(pl.LightningDataModule):
    """Loaders of one run; each device gets every n-th batch."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, config: RunConfig, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self.dataset, self.split, self.config, self.first_epoch = (
            dataset,
            split,
            config,
            first_epoch,
        )

    def train_dataloader(self) -> DataLoader[Batch]:
        """Training batches of this device, in the order of the epoch."""
        training = self.config.training
        rank, devices = self._devices()
        batches = TrainingBatches(
            self.dataset, self.split, self.config.model, training, devices, self._fixed_shape()
        )
        # A resumed loop starts its worker processes before it tells them the epoch.
        batches.start_epoch(self.first_epoch)
        return DataLoader(
            batches,
            batch_size=None,
            sampler=EpochOrder(batches, rank),
            num_workers=training.num_workers,
            pin_memory=training.pin_memory,
        )

    def val_dataloader(self) -> DataLoader[ValidationBatch]:
        """Validation batches of this device."""
        rank, devices = self._devices()
        batches = ValidationBatches(self.dataset, self.split, devices)
        return DataLoader(batches, batch_size=None, sampler=range(rank, len(batches), devices))

    def _devices(self) -> tuple[int, int]:
        """Number of this device, and number of devices."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def _fixed_shape(self) -> bool:
        """True if all batches need the same shape, for CUDA graphs."""
        if self.trainer is None:
            return False
        return uses_cuda_graphs(self.config, self.trainer.strategy.root_device)


class ValidationBatches(Dataset[ValidationBatch]):
    """Batches of the validation users, at least one for each device."""

    def __init__(self, dataset: PreparedDataset, split: Split, devices: int) -> None:
        self.dataset = dataset
        users = len(split.validation)
        count = min(users, max(devices, math.ceil(users / VALIDATION_BATCH_SIZE)))
        parts = np.array_split(np.arange(users), count)
        self.batches = [split.validation[index_C] for index_C in parts]

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> ValidationBatch:
        """One batch; the request time is that of the target."""
        cases = self.batches[number]
        target_B = torch.from_numpy(self.dataset.item_N[cases.target_C].astype(np.int64))
        rating_B = torch.from_numpy(true_ratings(self.dataset, cases)).float()
        return cases.histories(self.dataset, request_time=True), target_B, rating_B
