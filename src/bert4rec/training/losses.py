"""What the answers cost: four tasks, one weighted sum.

The full softmax over the catalogue is most of a small model's arithmetic. `linear_cross_entropy` makes logits in pieces
that stay in the cache, takes loss and gradients from each piece while it is there, and never holds `[S, V]`.

Legend: S supervised tokens, N some or the rated ones of them, V item rows, X some of these, D width, C targets of a
token, R rating levels, B sequences, T tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.config import TaskWeights
from bert4rec.data.batches import Batch, Supervised
from bert4rec.data.sequences import Sequences
from bert4rec.ids import FIRST_ITEM, NO_RATING, PAD, UNKNOWN
from bert4rec.model.network import Predictions

LOG2_E = 1 / math.log(2)
"""Logits are made in units of log 2: powers of 2 take half as long as powers of e on a CPU."""
PIECE_BYTES = {"cpu": 2 * 2**20, "cuda": 256 * 2**20}
"""Logits in one piece: on a CPU about a core's share of the cache, on a GPU enough rows to fill it."""


@dataclass(frozen=True)
class Losses:
    """The parts, by task, and their weighted sum. A part that was not computed is absent."""

    total: Tensor
    parts: Mapping[str, Tensor]


@dataclass(frozen=True)
class Seen:
    """The items that are no candidates of each row of logits, its targets excepted: what its token sees.

    In a causal reading that is everything up to itself; else the whole window, but for what is hidden.
    """

    sequences: Sequences
    token_S: Tensor
    causal: bool

    def strike_out(self, logit_NV: Tensor, piece: slice) -> None:
        """Minus infinity for what the rows of a piece see, in place; V are the real items."""
        if logit_NV.device.type == "cpu":
            row_P, item_P = self.pairs(piece)
            logit_NV[row_P, item_P - FIRST_ITEM] = -torch.inf
        else:  # a GPU would wait for the number of pairs, and compares everything in less time
            logit_NV.masked_fill_(self.mask(piece, logit_NV.shape[1]), -torch.inf)

    def pairs(self, piece: slice) -> tuple[Tensor, Tensor]:
        """For a piece of the rows, row within the piece and item, each pair where something was seen."""
        tokens, token_N = self.sequences, self.token_S[piece]
        start_N = token_N - tokens.position_T[token_N]
        length_N = (
            tokens.position_T[token_N] + 1
            if self.causal
            else tokens.length_B[tokens.row_T[token_N]]
        )
        row_P = torch.repeat_interleave(length_N)
        shift_N = start_N - (length_N.cumsum(0) - length_N)
        item_P = tokens.item_T[torch.arange(len(row_P), device=row_P.device) + shift_N[row_P]]
        real_P = item_P >= FIRST_ITEM
        return row_P[real_P], item_P[real_P]

    def mask(self, piece: slice, items: int) -> Tensor:
        """For a piece of the rows, whether each real item was seen, `[N, V]`."""
        token_N = self.token_S[piece]
        first_NV = self._first_BV(items)[self.sequences.row_T[token_N]]
        return first_NV <= self._place_T[token_N, None]

    @property
    def _place_T(self) -> Tensor:
        """A token sees the items that first stand at this place or before."""
        return (
            self.sequences.position_T
            if self.causal
            else torch.zeros_like(self.sequences.position_T)
        )

    def _first_BV(self, items: int) -> Tensor:
        """The first place of every real item in each sequence, out of reach where it has none."""
        tokens, B = self.sequences, len(self.sequences.user_B)
        first_BV = tokens.item_T.new_full((B, FIRST_ITEM + items), torch.iinfo(torch.int64).max)
        slot_T = tokens.row_T * first_BV.shape[1] + tokens.item_T
        first_BV.view(-1).scatter_reduce_(0, slot_T, self._place_T, "amin")
        return first_BV[:, FIRST_ITEM:]


@dataclass(frozen=True)
class SoftTargets:
    """What a teacher says of each row: `weight` of what it must answer is `softmax(query @ key.T + bias)`."""

    query_SD: Tensor
    output_VD: Tensor
    bias_V: Tensor | None
    weight: float


def multi_task_loss(
    predictions: Predictions,
    batch: Batch,
    weights: TaskWeights,
    value_tables: Mapping[str, Tensor],
    exclude_seen: bool = False,
    taught: Mapping[str, SoftTargets] | None = None,
    rating_factor_l2: float = 0.0,
) -> Losses:
    """The weighted sum over the tasks of their mean losses (nats); what was not asked for has no part in it.

    `value_tables` are the multi-valued item features, `[V, M]` by name, from which coming genres are read.
    With `exclude_seen` the items that a token sees are no candidates of its item task. `taught` is what a teacher says,
    by item task. `rating_factor_l2` times the squares of the rating head's own vectors and biases is a part of the sum,
    in the weight of the rating task. New items are no candidates of any task.
    """
    parts, taught = {}, taught or {}
    if predictions.masked_SD is not None and batch.masked is not None:
        seen = (
            Seen(batch.masked.sequences, batch.masked.token_S, causal=False)
            if exclude_seen
            else None
        )
        parts["item_prediction"] = _item_loss(
            predictions.masked_SD, predictions, batch.masked, seen, taught.get("item_prediction")
        )
    if predictions.causal_SD is not None and batch.causal is not None:
        seen = (
            Seen(batch.causal.sequences, batch.causal.token_S, causal=True)
            if exclude_seen
            else None
        )
        parts["next_item"] = _item_loss(
            predictions.causal_SD, predictions, batch.causal, seen, taught.get("next_item")
        )
    read = batch.causal or batch.masked
    if predictions.rating_NR is not None and read is not None:
        parts["rating_prediction"] = _rating_loss(predictions.rating_NR, read)
    if predictions.preference_BD is not None and batch.upcoming is not None:
        parts["user_preference"] = _preference_loss(
            predictions, batch.upcoming.item_BA, value_tables
        )
    total = torch.stack([getattr(weights, task) * loss for task, loss in parts.items()]).sum()
    if predictions.rating_factor_square_norm is not None:
        total = (
            total
            + weights.rating_prediction * rating_factor_l2 * predictions.rating_factor_square_norm
        )
    return Losses(total, parts)


def _item_loss(
    query_SD: Tensor,
    predictions: Predictions,
    read: Supervised,
    seen: Seen | None,
    soft: SoftTargets | None,
) -> Tensor:
    """The event that happened is the target, or what a teacher leaves of it."""
    item_S1 = read.item_S[:, None]
    return linear_cross_entropy(
        query_SD,
        predictions.output_VD,
        predictions.bias_V,
        item_S1,
        (item_S1 != PAD).float(),
        seen,
        soft,
        predictions.cold_item_I,
    )


def _rating_loss(logit_NR: Tensor, read: Supervised) -> Tensor:
    level_N = read.rating_S[read.rated_N] - 1
    nothing = NO_RATING - 1
    # A batch without ratings costs nothing, yet keeps the head in the graph: DDP waits for every gradient.
    total = F.cross_entropy(logit_NR.float(), level_N, ignore_index=nothing, reduction="sum")
    return total / (level_N != nothing).sum().clamp(min=1)


def _preference_loss(
    predictions: Predictions, item_BA: Tensor, value_tables: Mapping[str, Tensor]
) -> Tensor:
    """The coming items, each an equal share of one target; and the coming events' values of each feature likewise.

    It teaches its own head alone: neither the states nor the items' vectors (decision 15).
    """
    assert predictions.preference_BD is not None
    share_BC = _shares((item_BA != PAD).float())
    output_VD, bias_V = predictions.output_VD.detach(), predictions.bias_V
    bias_V = None if bias_V is None else bias_V.detach()
    loss = linear_cross_entropy(
        predictions.preference_BD,
        output_VD,
        bias_V,
        item_BA,
        share_BC,
        cold_item_I=predictions.cold_item_I,
    )
    for name, logit_BV in (predictions.values or {}).items():
        value_BX = value_tables[name][item_BA].flatten(1)
        share_BX = _shares((value_BX != UNKNOWN).float())
        log_BX = logit_BV.float().log_softmax(1).gather(1, (value_BX - 1).clamp(min=0))
        loss = loss - (share_BX * log_BX).sum() / _count(share_BC)
    return loss


def _count(share_SX: Tensor) -> Tensor:
    """How many rows are asked for anything, at least 1."""
    return (share_SX.sum(1) > 0).sum().clamp(min=1)


def _shares(count_BX: Tensor) -> Tensor:
    """Rows that sum to 1, or to 0 where nothing counts."""
    return count_BX / count_BX.sum(1, keepdim=True).clamp(min=1)


def linear_cross_entropy(
    query_SD: Tensor,
    output_VD: Tensor,
    bias_V: Tensor | None,
    target_SC: Tensor,
    share_SC: Tensor,
    seen: Seen | None = None,
    soft: SoftTargets | None = None,
    cold_item_I: Tensor | None = None,
) -> Tensor:
    """The mean cross-entropy between `softmax(query @ key.T + bias)` over the real items and the targets.

    The shares `share_SC` of a row's targets sum to 1, or to 0 where it is asked for nothing: such rows do not count.
    `soft.weight` of the targets is what a teacher says instead (Hinton et al. 2015). PAD, MASK, what is `seen` and the
    new items `cold_item_I`, which are never targets, are no candidates, neither here nor to the teacher.
    """
    return _LinearCrossEntropy.apply(
        query_SD, output_VD, bias_V, target_SC, share_SC, seen, soft, cold_item_I
    )  # type: ignore[no-untyped-call]


class _LinearCrossEntropy(torch.autograd.Function):
    """Loss and all gradients in one walk over pieces of the rows: three matrix products in all, the least there is.

    A teacher costs a fourth, and like the student's its distribution exists for one piece only.
    """

    @staticmethod
    def forward(
        ctx: Any,
        query_SD: Tensor,
        output_VD: Tensor,
        bias_V: Tensor | None,
        target_SC: Tensor,
        share_SC: Tensor,
        seen: Seen | None,
        soft: SoftTargets | None,
        cold_item_I: Tensor | None,
    ) -> Tensor:
        S, device = len(query_SD), query_SD.device.type
        dtype = (
            torch.get_autocast_dtype(device)
            if torch.is_autocast_enabled(device)
            else query_SD.dtype
        )
        rows = max(
            16, PIECE_BYTES.get(device, PIECE_BYTES["cuda"]) // (4 * (len(output_VD) - FIRST_ITEM))
        )
        student = _Logits(query_SD, output_VD, bias_V, dtype, rows)
        teacher = (
            None
            if soft is None
            else _Logits(soft.query_SD, soft.output_VD, soft.bias_V, dtype, rows)
        )
        taught = 0.0 if soft is None else soft.weight
        query_SD, output_VD = query_SD.to(dtype), student.output_VD
        target_SC = (target_SC - FIRST_ITEM).clamp(min=0)
        cold_item_I = None if cold_item_I is None else cold_item_I - FIRST_ITEM
        query_learns, keys_learn, bias_learns = ctx.needs_input_grad[:3]
        grad_query_SD = torch.empty_like(query_SD) if query_learns else None
        grad_output_VD = torch.zeros_like(output_VD, dtype=torch.float32) if keys_learn else None
        grad_bias_V = torch.zeros(len(output_VD), device=output_VD.device) if bias_learns else None
        loss = torch.zeros((), device=query_SD.device)
        for first in range(0, S, rows):
            piece = slice(first, min(S, first + rows))
            logit_NV, target_NC = student.of(piece), target_SC[piece]
            weight_N1, share_NC = (
                share_SC[piece].sum(1, keepdim=True),
                share_SC[piece] * (1 - taught),
            )
            hit_N1 = (logit_NV.gather(1, target_NC) * share_NC).sum(1, keepdim=True)
            if teacher is not None:
                power_NV, total_N1, _ = _powers(
                    _candidates(teacher.of(piece), seen, cold_item_I, piece, target_NC)
                )
                soft_NV = power_NV.mul_(taught * weight_N1 / total_N1)
                hit_N1 += (logit_NV * soft_NV).sum(
                    1, keepdim=True
                )  # while all scores are finite: 0 · ∞ is none
            probability_NV, total_N1, top_N1 = _powers(
                _candidates(logit_NV, seen, cold_item_I, piece, target_NC)
            )
            loss += (weight_N1 * (total_N1.log2() + top_N1) - hit_N1).sum()
            if not any(ctx.needs_input_grad):
                continue
            grad_NV = probability_NV.mul_(weight_N1 / total_N1).scatter_add_(
                1, target_NC, -share_NC
            )
            if teacher is not None:
                grad_NV -= soft_NV
            if grad_bias_V is not None:
                grad_bias_V += grad_NV.sum(0)
            grad_NV = grad_NV.to(dtype)
            if grad_query_SD is not None:
                torch.mm(grad_NV, output_VD, out=grad_query_SD[piece])
            if grad_output_VD is not None:
                _add_product(grad_output_VD, grad_NV.T, query_SD[piece])
        count = _count(share_SC)
        ctx.save_for_backward(grad_query_SD, grad_output_VD, grad_bias_V, count)
        return loss / (LOG2_E * count)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query_SD, output_VD, bias_V, count = ctx.saved_tensors
        scale = grad / count
        reserved = (0, 0, FIRST_ITEM, 0)
        return (
            None if query_SD is None else query_SD.float() * scale,
            None if output_VD is None else F.pad(output_VD * scale, reserved),
            None if bias_V is None else F.pad(bias_V * scale, (FIRST_ITEM, 0)),
            None,
            None,
            None,
            None,
            None,
        )


class _Logits:
    """The logits of the real items in units of log 2, one piece of the rows at a time: the next overwrites the last."""

    def __init__(
        self,
        query_SD: Tensor,
        output_VD: Tensor,
        bias_V: Tensor | None,
        dtype: torch.dtype,
        rows: int,
    ) -> None:
        self.query_SD, self.output_VD = (
            query_SD.to(dtype) * LOG2_E,
            output_VD[FIRST_ITEM:].to(dtype),
        )
        self.bias_V = None if bias_V is None else bias_V[FIRST_ITEM:] * LOG2_E
        self.buffer_NV = self.query_SD.new_empty(min(rows, len(query_SD)), len(self.output_VD))

    def of(self, piece: slice) -> Tensor:
        """One piece `[N, V]`."""
        buffer_NV = self.buffer_NV[: piece.stop - piece.start]
        logit_NV = torch.mm(self.query_SD[piece], self.output_VD.T, out=buffer_NV).float()
        return logit_NV if self.bias_V is None else logit_NV.add_(self.bias_V)


def _candidates(
    logit_NV: Tensor, seen: Seen | None, cold_item_I: Tensor | None, piece: slice, target_NC: Tensor
) -> Tensor:
    """The same, in place: what was seen scores −∞ unless it is a target, and so does what is new."""
    if seen is not None:
        own_NC = logit_NV.gather(1, target_NC)
        seen.strike_out(logit_NV, piece)
        logit_NV.scatter_(1, target_NC, own_NC)
    return logit_NV if cold_item_I is None else logit_NV.index_fill_(1, cold_item_I, -torch.inf)


def _powers(logit_NV: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """A softmax before its division, in place: powers of 2 below each row's largest logit, their sums, the largest."""
    top_N1 = logit_NV.amax(1, keepdim=True)
    power_NV = logit_NV.sub_(top_N1).exp2_()
    return power_NV, power_NV.sum(1, keepdim=True), top_N1


def _add_product(total: Tensor, left: Tensor, right: Tensor) -> None:
    """`total += left @ right`, without the product in between where all have one type."""
    if left.dtype == total.dtype:
        total.addmm_(left, right)
    else:
        total += left @ right
