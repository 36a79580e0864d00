"""What Lightning asks of us: one training step, one validation step, the optimiser, and the data.

The loop itself, precision, accumulation, clipping, checkpoints and devices are Lightning's; losses are in `losses`,
and what a run leaves behind in `fit`.

Legend: B users, V item rows, M values an item may have, R rating levels.
"""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset
from torchmetrics import MeanSquaredError

from bert4rec.config import RunConfig, TrainingConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split
from bert4rec.data.training_batches import EpochOrder, TrainingBatches
from bert4rec.evaluation.evaluate import true_ratings
from bert4rec.evaluation.metrics import summarise
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.ranking import target_rank
from bert4rec.training.cuda_graphs import GraphedStep, uses_cuda_graphs
from bert4rec.training.distillation import Teacher
from bert4rec.training.losses import Losses, multi_task_loss

MONITORED = "validation/ndcg@10"
"""What chooses the best checkpoint and stops training: on validation, over all of its users."""

USERS_IN_PIECE = 256

RARE = (0.9, 0.9999)
"""Decays of Adam's moments for rows that few batches touch."""

ValidationBatch = tuple[Histories, Tensor, Tensor]
"""Histories, the item row `[B]` that each is followed by, and the rating `[B]` it got, NaN where it has none."""


class TrainingModule(pl.LightningModule):
    """A network in training."""

    def __init__(
        self,
        network: Bert4Rec,
        run: RunConfig,
        dataset: PreparedDataset,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network, self.config, self.teacher = network, run, teacher
        tables = value_tables(dataset)
        self.multi_valued = list(tables)
        for name, table_VM in tables.items():
            self.register_buffer(f"table_of_{name}", table_VM, persistent=False)
        self.register_buffer(
            "level_R", torch.from_numpy(dataset.rating_levels).float(), persistent=False
        )
        self.rating_rmse = MeanSquaredError(squared=False)
        self.scorer: NetworkScorer | None = None
        self.captured: GraphedStep | None = None

    def transfer_batch_to_device(
        self, batch: Batch | ValidationBatch, device: torch.device, dataloader_idx: int
    ) -> Batch | ValidationBatch:
        """Training batches move as one; histories stay, their scorer moves what it reads."""
        return batch.to(device, non_blocking=True) if isinstance(batch, Batch) else batch

    def on_fit_start(self) -> None:
        """Bring the teacher to the device of the one who learns."""
        if self.teacher is not None:
            self.teacher.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The weighted loss; each part is logged by its task's name."""
        if self.captured is None and uses_cuda_graphs(self.config, self.device):
            self.captured = GraphedStep(self.network, self.losses_of, batch)
        losses = self.losses_of(batch) if self.captured is None else self.captured(batch)
        parts = {
            f"train/{task}": loss.detach()
            for task, loss in {**losses.parts, "loss": losses.total}.items()
        }
        self.log_dict(parts, on_step=False, on_epoch=True, batch_size=batch.events, sync_dist=True)
        return losses.total

    def losses_of(self, batch: Batch) -> Losses:
        """What the answers to a batch cost."""
        tables = {name: self.get_buffer(f"table_of_{name}") for name in self.multi_valued}
        training = self.config.training
        return multi_task_loss(
            self.network(batch),
            batch,
            training.task_weights,
            tables,
            exclude_seen=training.exclude_seen,
            soft_targets=self.teacher.taught(batch) if self.teacher is not None else None,
            rating_factor_l2=training.rating_factor_l2,
        )

    def validation_step(self, asked: ValidationBatch, batch_idx: int) -> None:
        """The metrics of one piece of the validation users, scored as the product scores."""
        if (
            self.scorer is None
        ):  # the weights that validate, the averaged ones where there are any, are in place by now
            self.scorer = NetworkScorer(self.network, self.config)
        histories, target_B, rating_B = asked
        rank_B = target_rank(self.scorer, histories, target_B)
        metrics: dict[str, Any] = {
            f"validation/{name}": value for name, value in summarise(rank_B).items()
        }
        if self.scorer.predicts_ratings:  # every device takes part, one without ratings too: in the end they add up what they have
            rated_B = ~rating_B.isnan()
            expected_B = (
                self.scorer.rating_distribution(histories, target_B) * self.get_buffer("level_R")
            ).sum(1)
            self.rating_rmse.update(
                expected_B[rated_B.to(expected_B.device)], rating_B[rated_B].to(expected_B.device)
            )
            metrics["validation/rating_rmse"] = self.rating_rmse
        self.log_dict(metrics, batch_size=len(rank_B), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Forget the item vectors of the weights that were validated."""
        self.scorer = None

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW that decays matrices only, and learning rates that warm up and then fall."""
        training = self.config.training
        optimizer = torch.optim.AdamW(
            parameter_groups(self.network, training),
            lr=training.learning_rate,
            betas=(0.9, training.adam_beta2),
            fused=training.precision
            != "16-mixed",  # gradient scaling and clipping need the steps apart
        )
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_share(training, step, total)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clips the gradients' norm; of fused optimisers too, which Lightning refuses though in bf16 nothing scales."""
        if gradient_clip_val:
            learned = [
                parameter for group in optimizer.param_groups for parameter in group["params"]
            ]
            torch.nn.utils.clip_grad_norm_(learned, gradient_clip_val)


def parameter_groups(network: Bert4Rec, training: TrainingConfig) -> list[dict[str, Any]]:
    """Matrices decay, vectors do not; the rating head's factors have a penalty, a rate and a memory of their own.

    A user's row meets its ratings once an epoch. With a second moment that has faded by then each meeting would be a
    step of one size, however much or little there is to learn.
    """
    head = network.rating_head
    factors = [] if head is None or head.factors is None else list(head.factors.parameters())
    own = set(factors)
    shared = [
        parameter
        for parameter in network.parameters()
        if parameter.requires_grad and parameter not in own
    ]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in shared if p.dim() > 1], "weight_decay": training.weight_decay},
        {"params": [p for p in shared if p.dim() <= 1], "weight_decay": 0.0},
    ]
    if factors:
        groups.append(
            {
                "params": factors,
                "weight_decay": 0.0,
                "lr": training.rating_learning_rate,
                "betas": RARE,
            }
        )
    return groups


def learning_rate_share(training: TrainingConfig, step: int, total: int) -> float:
    """The share of the peak learning rate at an optimiser step, from 0 on."""
    warmup = min(training.warmup_steps, total // 10)
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    lowest = 0.01
    falling = {"constant": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[
        training.schedule
    ]
    return lowest + (1 - lowest) * falling


class TrainingData(pl.LightningDataModule):
    """The batches of every device: training in the order of the epoch, validation dealt out in pieces."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, run: RunConfig, first_epoch: int = 0
    ) -> None:
        super().__init__()
        self.dataset, self.split, self.run, self.first_epoch = dataset, split, run, first_epoch

    @property
    def _devices(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def train_dataloader(self) -> DataLoader[Batch]:
        """The batches of this device."""
        training = self.run.training
        rank, devices = self._devices
        fixed_shape = self.trainer is not None and uses_cuda_graphs(
            self.run, self.trainer.strategy.root_device
        )
        batches = TrainingBatches(
            self.dataset, self.split, self.run.model, training, devices, fixed_shape
        )
        # A resumed loop starts loading processes before it tells them the epoch that it goes on with.
        batches.start_epoch(self.first_epoch)
        return DataLoader(
            batches,
            batch_size=None,
            sampler=EpochOrder(batches, rank),
            num_workers=training.num_workers,
            pin_memory=training.pin_memory,
        )

    def val_dataloader(self) -> DataLoader[ValidationBatch]:
        """The pieces of the validation users of this device."""
        rank, devices = self._devices
        pieces = ValidationPieces(self.dataset, self.split, devices)
        return DataLoader(pieces, batch_size=None, sampler=range(rank, len(pieces), devices))


class ValidationPieces(Dataset[ValidationBatch]):
    """Piece number → the histories of a few validation users and the item that each is asked for."""

    def __init__(self, dataset: PreparedDataset, split: Split, devices: int) -> None:
        self.dataset = dataset
        users = len(split.validation)
        count = min(users, max(devices, -(-users // USERS_IN_PIECE)))
        self.pieces = [split.validation[rows] for rows in np.array_split(np.arange(users), count)]

    def __len__(self) -> int:
        return len(self.pieces)

    def __getitem__(self, number: int) -> ValidationBatch:
        """One piece."""
        cases = self.pieces[number]
        target_B = torch.from_numpy(self.dataset.item_N[cases.target_C].astype(np.int64))
        rating_B = torch.from_numpy(true_ratings(self.dataset, cases)).float()
        return cases.histories(self.dataset, request_time=True), target_B, rating_B


def value_tables(dataset: PreparedDataset) -> dict[str, Tensor]:
    """The multi-valued item features, `[V, M]` by name: from them the coming events' genres are read."""
    return {
        name: torch.tensor(np.asarray(table), dtype=torch.long)
        for name, (feature, table) in dataset.item_features.items()
        if feature.kind is Kind.MULTI
    }
