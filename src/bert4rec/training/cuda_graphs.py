"""CUDA-graph capture of the training step.

A small network keeps a GPU busy for a fraction of the time that its kernels take to be launched.
Forward and backward pass are captured once as CUDA graphs, and replayed on each batch by one
launch. That needs tensors of fixed shapes, so batches are padded to rectangles
(docs/decisions/0012).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.training.losses import Losses


def uses_cuda_graphs(config: RunConfig, device: torch.device) -> bool:
    """True if steps are captured: on one GPU, in 32-true, with windows of similar length."""
    training = config.training
    one_gpu = device.type == "cuda" and training.devices == 1
    plain = training.precision == "32-true" and not config.model.gradient_checkpointing
    # Padded to rectangles, short windows would take as long as long ones.
    similar_lengths = not training.cold_start_windows
    return training.cuda_graphs and one_gpu and plain and similar_lengths


class GraphedStep:
    """`compute_losses`, captured on the first batch; later ones have tensors of its shapes."""

    def __init__(
        self, network: nn.Module, compute_losses: Callable[[Batch], Losses], first: Batch
    ) -> None:
        self.step = _Step(network, compute_losses, first)
        tensors = tuple(tensor.clone() for tensor in first.tensors())
        self.replay: Callable[..., Any] = torch.cuda.make_graphed_callables(
            self.step, tensors, allow_unused_input=True
        )

    def __call__(self, batch: Batch) -> Losses:
        """Losses of a batch; the next call overwrites them and their gradients."""
        total, *parts = self.replay(*batch.tensors())
        return Losses(total, dict(zip(self.step.tasks, parts, strict=True)))


class _Step(nn.Module):
    """A step from tensors to tensors, the form that can be captured."""

    def __init__(
        self, network: nn.Module, compute_losses: Callable[[Batch], Losses], template: Batch
    ) -> None:
        super().__init__()
        self.network, self.compute_losses, self.template = network, compute_losses, template
        self.tasks: list[str] = []

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """Total loss, then the loss of each task."""
        remaining = iter(tensors)
        losses = self.compute_losses(self.template.map(lambda _: next(remaining)))
        self.tasks = list(losses.parts)
        return losses.total, *(part.detach() for part in losses.parts.values())
