"""Lightning module: the training step, the validation step and the optimiser of a network.

The loop, precision, gradient accumulation, checkpoints and devices belong to Lightning. Losses are
computed by `losses`, data loaders by `data_module`.

Legend: B sequences, V item rows, M values of an item, R rating levels.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.optim import Optimizer
from torchmetrics import MeanSquaredError

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.data.histories import Histories
from bert4rec.evaluation.metrics import mean_rank_metrics
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.ranking import target_rank
from bert4rec.training.cuda_graphs import GraphedStep, uses_cuda_graphs
from bert4rec.training.data_module import ValidationBatch
from bert4rec.training.distillation import Teacher
from bert4rec.training.losses import Losses, multi_task_loss
from bert4rec.training.optimiser import clip_gradients, make_optimiser, make_schedule

MONITORED = "validation/ndcg@10"
"""Metric of early stopping and of the best checkpoint, over all validation users."""


class TrainingModule(pl.LightningModule):
    """Network in training, with its settings and its teacher, if any."""

    def __init__(
        self,
        network: Bert4Rec,
        config: RunConfig,
        dataset: PreparedDataset,
        teacher: Teacher | None = None,
    ) -> None:
        super().__init__()
        self.network, self.config, self.teacher = network, config, teacher
        tables = value_tables(dataset)
        self.multi_valued = list(tables)
        for name, table_VM in tables.items():
            self.register_buffer(f"table_of_{name}", table_VM, persistent=False)
        level_R = torch.from_numpy(dataset.rating_levels).float()
        self.register_buffer("level_R", level_R, persistent=False)
        self.rating_rmse = MeanSquaredError(squared=False)
        self.scorer: NetworkScorer | None = None
        self.graphed_step: GraphedStep | None = None

    def transfer_batch_to_device(
        self, batch: Batch | ValidationBatch, device: torch.device, dataloader_idx: int
    ) -> Batch | ValidationBatch:
        """Move training batches; histories stay, the scorer moves what it needs."""
        return batch.to(device, non_blocking=True) if isinstance(batch, Batch) else batch

    def on_fit_start(self) -> None:
        """Move the teacher to the device of its student."""
        if self.teacher is not None:
            self.teacher.to(self.device)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Weighted loss of a batch; the loss of each task is logged by its name."""
        if self.graphed_step is None and uses_cuda_graphs(self.config, self.device):
            self.graphed_step = GraphedStep(self.network, self.compute_losses, batch)
        step = self.compute_losses if self.graphed_step is None else self.graphed_step
        losses = step(batch)
        named = {**losses.parts, "loss": losses.total}
        logged = {f"train/{name}": loss.detach() for name, loss in named.items()}
        self.log_dict(logged, on_step=False, on_epoch=True, batch_size=batch.events, sync_dist=True)
        return losses.total

    def compute_losses(self, batch: Batch) -> Losses:
        """Losses of the tasks for a batch."""
        training = self.config.training
        tables = {name: self.get_buffer(f"table_of_{name}") for name in self.multi_valued}
        soft_targets = None if self.teacher is None else self.teacher.soft_targets(batch)
        return multi_task_loss(
            self.network(batch),
            batch,
            training.task_weights,
            tables,
            exclude_seen=training.exclude_seen,
            soft_targets=soft_targets,
            rating_factor_l2=training.rating_factor_l2,
        )

    def validation_step(self, batch: ValidationBatch, batch_idx: int) -> None:
        """Log the metrics of one validation batch, scored as the engine scores."""
        histories, target_B, rating_B = batch
        # Made here, not earlier: an average of the weights, if any, is in place by now.
        self.scorer = self.scorer or NetworkScorer(self.network, self.config)
        rank_B = target_rank(self.scorer, histories, target_B)
        metrics: Mapping[str, Any] = mean_rank_metrics(rank_B)
        if self.scorer.predicts_ratings:
            # On every device, even without ratings: the devices add up their errors at the end.
            self._update_rmse(self.scorer, histories, target_B, rating_B)
            metrics = {**metrics, "rating_rmse": self.rating_rmse}
        logged = {f"validation/{name}": value for name, value in metrics.items()}
        self.log_dict(logged, batch_size=len(target_B), sync_dist=True)

    def _update_rmse(
        self, scorer: NetworkScorer, histories: Histories, target_B: Tensor, rating_B: Tensor
    ) -> None:
        """Add the errors of the expected ratings of the targets that have a rating."""
        probability_BR = scorer.rating_distribution(histories, target_B)
        expected_B = (probability_BR * self.get_buffer("level_R")).sum(1)
        device, rated_B = expected_B.device, ~rating_B.isnan()
        self.rating_rmse.update(expected_B[rated_B.to(device)], rating_B[rated_B].to(device))

    def on_validation_epoch_end(self) -> None:
        """Drop the scorer, whose item embeddings are those of this epoch's weights."""
        self.scorer = None

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """AdamW and its learning rate schedule, by optimiser step."""
        training = self.config.training
        optimiser = make_optimiser(self.network, training)
        schedule = make_schedule(
            optimiser, training, total=int(self.trainer.estimated_stepping_batches)
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip the gradients by norm.

        Lightning refuses to clip for fused optimisers, for fear of unscaled gradients; only
        16-mixed scales them, and its optimiser is not fused.
        """
        if gradient_clip_val:
            clip_gradients(optimizer, gradient_clip_val)


def value_tables(dataset: PreparedDataset) -> dict[str, Tensor]:
    """Multi-valued item features `[V, M]` by name, targets of the user-preference task."""
    return {
        name: torch.tensor(np.asarray(table), dtype=torch.long)
        for name, (feature, table) in dataset.item_features.items()
        if feature.kind is Kind.MULTI
    }
