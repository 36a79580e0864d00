"""Fused linear layer and softmax cross-entropy over the catalogue, without `[S, V]` logits.

With scores z = query · outputᵀ + bias and a target distribution q whose rows sum to w (1, or 0 for
a row without a target), the loss over the n rows with a target is

    loss = 1/n Σ_s ( w_s log Σ_i exp z_si − Σ_i q_si z_si )

and its gradients, with g = (w softmax(z) − q) / n, are

    ∂query = g · output        ∂output = gᵀ · query        ∂bias = Σ_s g_s

The full softmax is most of a small model's arithmetic (docs/decisions/0004). One walk over pieces
of the rows computes z, the loss and all gradients, while a piece's logits are in the cache: three
matrix products in all, the least there is. A separate backward pass would compute z again, a
fourth. A teacher's scores cost one more product.

Targets are built by `losses`.

Legend: S supervised tokens, s those of one piece, V item rows, I real items (without PAD and MASK),
D width, X targets of a token.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.ids import FIRST_ITEM
from bert4rec.training.seen_items import SeenItems

LOG2_E = 1 / math.log(2)
"""Logits are in units of log 2: on a CPU, powers of 2 take half as long as powers of e."""
PIECE_BYTES = {"cpu": 2 * 2**20, "cuda": 256 * 2**20}
"""Size of a piece's logits: about a CPU core's share of the cache, or rows that fill a GPU."""
MIN_ROWS = 16
"""Rows in a piece, at least: with a huge catalogue, thinner matrix products would be slow."""


@dataclass(frozen=True)
class SoftTargets:
    """Distribution of a teacher for each row, and its weight in the target.

    The distribution is `softmax(query @ output.T + bias)`.

    Source: Hinton et al. 2015, Distilling the Knowledge in a Neural Network.
    """

    query_SD: Tensor
    output_VD: Tensor
    bias_V: Tensor | None
    weight: float


def linear_cross_entropy(
    query_SD: Tensor,
    output_VD: Tensor,
    bias_V: Tensor | None,
    target_SX: Tensor,
    share_SX: Tensor,
    seen: SeenItems | None = None,
    soft: SoftTargets | None = None,
    cold_item_I: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy (nats) of `softmax(query @ output.T + bias)` over the real items.

    The target of a row is its items `target_SX` with the shares `share_SX`, which sum to 1, or to 0
    in a row that does not count. With soft targets, `soft.weight` of it is the teacher's
    distribution instead. Seen items that are no targets, and the cold-start items `cold_item_I`,
    are masked out of the softmax of student and teacher.
    """
    return _LinearCrossEntropy.apply(  # type: ignore[no-untyped-call]
        query_SD, output_VD, bias_V, target_SX, share_SX, seen, soft, cold_item_I
    )


def rows_with_target(share_SX: Tensor) -> Tensor:
    """Number of rows with a target, at least 1."""
    return (share_SX.sum(1) > 0).sum().clamp(min=1)


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and gradients in one forward walk; the backward pass only scales the gradients."""

    @staticmethod
    def forward(
        ctx: Any,
        query_SD: Tensor,
        output_VD: Tensor,
        bias_V: Tensor | None,
        target_SX: Tensor,
        share_SX: Tensor,
        seen: SeenItems | None,
        soft: SoftTargets | None,
        cold_item_I: Tensor | None,
    ) -> Tensor:
        dtype = _product_dtype(query_SD)
        rows = _rows_in_piece(query_SD.device.type, len(output_VD) - FIRST_ITEM)
        student = _Logits(query_SD, output_VD, bias_V, dtype, rows)
        teacher = None
        if soft is not None:
            teacher = _Logits(soft.query_SD, soft.output_VD, soft.bias_V, dtype, rows)
        soft_weight = 0.0 if soft is None else soft.weight
        gradients = _Gradients(query_SD.to(dtype), student.output_ID, ctx.needs_input_grad)
        candidates = _Candidates(seen, cold_item_I)
        item_SX = (target_SX - FIRST_ITEM).clamp(min=0)  # PAD has a share of 0
        loss = torch.zeros((), device=query_SD.device)
        for piece in _pieces(len(query_SD), rows):
            logit_sI, item_sX = student.piece(piece), item_SX[piece]
            weight_s1 = share_SX[piece].sum(1, keepdim=True)
            share_sX = share_SX[piece] * (1 - soft_weight)
            target_logit_s1 = (logit_sI.gather(1, item_sX) * share_sX).sum(1, keepdim=True)
            if teacher is not None:
                teacher_sI = candidates.mask_(teacher.piece(piece), piece, item_sX)
                power_sI, total_s1, _ = _softmax_terms_(teacher_sI)
                soft_sI = power_sI.mul_(soft_weight * weight_s1 / total_s1)
                # Before the student's logits are masked: 0 · −∞ would be NaN.
                target_logit_s1 += (logit_sI * soft_sI).sum(1, keepdim=True)
            candidates.mask_(logit_sI, piece, item_sX)
            power_sI, total_s1, max_s1 = _softmax_terms_(logit_sI)
            loss += (weight_s1 * (total_s1.log2() + max_s1) - target_logit_s1).sum()
            if not gradients.needed:
                continue
            gradient_sI = power_sI.mul_(weight_s1 / total_s1)
            gradient_sI.scatter_add_(1, item_sX, -share_sX)
            if teacher is not None:
                gradient_sI -= soft_sI
            gradients.add(piece, gradient_sI)
        count = rows_with_target(share_SX)
        ctx.save_for_backward(*gradients.tensors, count)
        return loss / (LOG2_E * count)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query_SD, output_ID, bias_I, count = ctx.saved_tensors
        scale = grad / count
        return (
            None if query_SD is None else query_SD.float() * scale,
            None if output_ID is None else F.pad(output_ID * scale, (0, 0, FIRST_ITEM, 0)),
            None if bias_I is None else F.pad(bias_I * scale, (FIRST_ITEM, 0)),
            *[None] * 5,  # targets, shares and masks have no gradients
        )


class _Logits:
    """Logits of the real items, in units of log 2, one piece at a time in one buffer."""

    def __init__(
        self,
        query_SD: Tensor,
        output_VD: Tensor,
        bias_V: Tensor | None,
        dtype: torch.dtype,
        rows: int,
    ) -> None:
        self.query_SD = query_SD.to(dtype) * LOG2_E
        self.output_ID = output_VD[FIRST_ITEM:].to(dtype)
        self.bias_I = None if bias_V is None else bias_V[FIRST_ITEM:] * LOG2_E
        # A new tensor for each piece would leave the cache.
        self.buffer_sI = self.query_SD.new_empty(min(rows, len(query_SD)), len(self.output_ID))

    def piece(self, piece: slice) -> Tensor:
        """Logits `[s, I]`; the next piece overwrites them."""
        buffer_sI = self.buffer_sI[: piece.stop - piece.start]
        logit_sI = torch.mm(self.query_SD[piece], self.output_ID.T, out=buffer_sI).float()
        return logit_sI if self.bias_I is None else logit_sI.add_(self.bias_I)


class _Gradients:
    """Gradients of query, output and bias; an entry is None where none is needed."""

    def __init__(self, query_SD: Tensor, output_ID: Tensor, needed: Sequence[bool]) -> None:
        query_needed, output_needed, bias_needed = needed[:3]
        self.needed = any(needed)
        self.query_SD, self.output_ID = query_SD, output_ID
        self.grad_query_SD = torch.empty_like(query_SD) if query_needed else None
        self.grad_output_ID = None
        if output_needed:  # in fp32: a sum over all rows
            self.grad_output_ID = torch.zeros_like(output_ID, dtype=torch.float32)
        self.grad_bias_I = None
        if bias_needed:
            self.grad_bias_I = torch.zeros(len(output_ID), device=output_ID.device)

    @property
    def tensors(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients of query, output and bias, before their division by the number of rows."""
        return self.grad_query_SD, self.grad_output_ID, self.grad_bias_I

    def add(self, piece: slice, gradient_sI: Tensor) -> None:
        """Add the share of one piece, given the gradient of its logits."""
        if self.grad_bias_I is not None:
            self.grad_bias_I += gradient_sI.sum(0)
        gradient_sI = gradient_sI.to(self.query_SD.dtype)
        if self.grad_query_SD is not None:
            torch.mm(gradient_sI, self.output_ID, out=self.grad_query_SD[piece])
        if self.grad_output_ID is not None:
            _add_product(self.grad_output_ID, gradient_sI.T, self.query_SD[piece])


class _Candidates:
    """Items in the softmax of each row: all real items but the seen and the cold-start ones."""

    def __init__(self, seen: SeenItems | None, cold_item_I: Tensor | None) -> None:
        self.seen = seen
        self.cold_I = None if cold_item_I is None else cold_item_I - FIRST_ITEM

    def mask_(self, logit_sI: Tensor, piece: slice, item_sX: Tensor) -> Tensor:
        """Set the logits of other items to −∞, in place; a seen item that is a target stays."""
        if self.seen is not None:
            own_sX = logit_sI.gather(1, item_sX)
            self.seen.mask_out(logit_sI, piece)
            logit_sI.scatter_(1, item_sX, own_sX)
        if self.cold_I is not None:
            logit_sI.index_fill_(1, self.cold_I, -torch.inf)
        return logit_sI


def _product_dtype(query_SD: Tensor) -> torch.dtype:
    """Type of the matrix products: autocast's, where it is on."""
    device = query_SD.device.type
    on = torch.is_autocast_enabled(device)
    return torch.get_autocast_dtype(device) if on else query_SD.dtype


def _rows_in_piece(device: str, items: int) -> int:
    size = PIECE_BYTES.get(device, PIECE_BYTES["cuda"])
    return max(MIN_ROWS, size // (4 * items))


def _pieces(length: int, rows: int) -> Iterator[slice]:
    for first in range(0, length, rows):
        yield slice(first, min(length, first + rows))


def _softmax_terms_(logit_sI: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Powers of 2 (in place), their row sums and the row maxima, of logits in units of log 2.

    The maximum is subtracted first, so that large logits do not overflow. Powers over sums are the
    softmax.
    """
    max_s1 = logit_sI.amax(1, keepdim=True)
    power_sI = logit_sI.sub_(max_s1).exp2_()
    return power_sI, power_sI.sum(1, keepdim=True), max_s1


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """Add `left @ right` to `total`, without a temporary where all have one type."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
