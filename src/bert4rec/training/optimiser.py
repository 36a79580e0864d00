"""AdamW, its parameter groups, and the learning rate schedule."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import Parameter
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from bert4rec.config import TrainingConfig
from bert4rec.model.network import Bert4Rec

BETA1 = 0.9
"""Decay of Adam's first moment; the second moment's is the setting adam_beta2."""
SPARSE_BETAS = (0.9, 0.9999)
"""Adam's decays for the rating factors, whose rows are in few batches."""
LOWEST_FACTOR = 0.01
"""Learning rate at the end of the schedule, as a share of its peak."""


def make_optimiser(network: Bert4Rec, training: TrainingConfig) -> AdamW:
    """AdamW over the parameter groups of the network."""
    return AdamW(
        parameter_groups(network, training),
        lr=training.learning_rate,
        betas=(BETA1, training.adam_beta2),
        # Gradient scaling of 16-mixed needs unscaling, clipping and step apart.
        fused=training.precision != "16-mixed",
    )


def make_schedule(optimiser: AdamW, training: TrainingConfig, total: int) -> LambdaLR:
    """Learning rate schedule over `total` optimiser steps."""
    return LambdaLR(optimiser, lambda step: learning_rate_factor(training, step, total))


def parameter_groups(network: Bert4Rec, training: TrainingConfig) -> list[dict[str, Any]]:
    """Groups of matrices (with weight decay), of vectors (without), and of the rating factors.

    The rating factors have an L2 penalty in the loss, and a learning rate and a second moment of
    their own. A user's row is in one batch an epoch. If its second moment had decayed by then,
    every update would have the same size, whatever the gradient.
    """
    head = network.rating_head
    factors: list[Parameter] = []
    if head is not None and head.factors is not None:
        factors = list(head.factors.parameters())
    excluded = set(factors)
    learned = [p for p in network.parameters() if p.requires_grad and p not in excluded]
    matrices = [parameter for parameter in learned if parameter.dim() > 1]
    vectors = [parameter for parameter in learned if parameter.dim() <= 1]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": training.weight_decay},
        {"params": vectors, "weight_decay": 0.0},
    ]
    if factors:
        rating_group = {
            "params": factors,
            "weight_decay": 0.0,
            "lr": training.rating_learning_rate,
            "betas": SPARSE_BETAS,
        }
        groups.append(rating_group)
    return groups


def learning_rate_factor(training: TrainingConfig, step: int, total: int) -> float:
    """Learning rate of an optimiser step (from 0), as a share of its peak."""
    warmup = min(training.warmup_steps, total // 10)
    if step < warmup:
        return (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    decay = {
        "constant": 1.0,
        "linear": 1 - done,
        "cosine": (1 + math.cos(math.pi * done)) / 2,
    }
    return LOWEST_FACTOR + (1 - LOWEST_FACTOR) * decay[training.schedule]


def clip_gradients(optimiser: torch.optim.Optimizer, max_norm: float) -> None:
    """Scale the gradients of all groups down to a total norm of `max_norm`."""
    learned: list[Parameter] = []
    for group in optimiser.param_groups:
        learned += group["params"]
    torch.nn.utils.clip_grad_norm_(learned, max_norm)
