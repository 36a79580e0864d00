"""A training step that a GPU replays: one launch in place of a thousand.

A small network keeps a GPU busy for a fraction of the time that its kernels take to be launched. Forward and backward
pass are recorded once, as CUDA graphs, and replayed with other numbers in the same tensors: batches are rectangles.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch
from bert4rec.training.losses import Losses


def uses_cuda_graphs(run: RunConfig, device: torch.device) -> bool:
    """Whether this run's steps can be recorded: one GPU, plain arithmetic, windows of about one length."""
    training = run.training
    plain = training.precision == "32-true" and not run.model.gradient_checkpointing
    alike = (
        not training.cold_start_windows
    )  # in rectangles, short windows would cost as much as long ones
    return (
        training.cuda_graphs and device.type == "cuda" and training.devices == 1 and plain and alike
    )


class GraphedStep:
    """`losses_of` a batch, recorded with the first one. All batches have tensors of its shapes."""

    def __init__(
        self, network: nn.Module, losses_of: Callable[[Batch], Losses], first: Batch
    ) -> None:
        self.step = _Step(network, losses_of, first)
        tensors = tuple(tensor.clone() for tensor in first.tensors())
        self.replay: Callable[..., Any] = torch.cuda.make_graphed_callables(
            self.step, tensors, allow_unused_input=True
        )

    def __call__(self, batch: Batch) -> Losses:
        """The losses; what comes of them can be differentiated once, before the next batch."""
        total, *parts = self.replay(*batch.tensors())
        return Losses(total, dict(zip(self.step.tasks, parts, strict=True)))


class _Step(nn.Module):
    """Tensors in, tensors out, as what is recorded has to be."""

    def __init__(
        self, network: nn.Module, losses_of: Callable[[Batch], Losses], like: Batch
    ) -> None:
        super().__init__()
        self.network, self.losses_of, self.like = network, losses_of, like
        self.tasks: list[str] = []

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        """The weighted sum, then each part."""
        given = iter(tensors)
        losses = self.losses_of(self.like.map(lambda _: next(given)))
        self.tasks = list(losses.parts)
        return losses.total, *(part.detach() for part in losses.parts.values())
