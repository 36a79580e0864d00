"""Losses of the four tasks, and their weighted sum.

The softmax over the catalogue is computed by `cross_entropy`.

Legend: B sequences, S supervised tokens, N rated ones of these, A upcoming events, D width, R
rating levels, V item rows, M values of an item, X targets of a row.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.config import TaskWeights
from bert4rec.data.batches import Batch, Supervised
from bert4rec.ids import NO_RATING, PAD, UNKNOWN
from bert4rec.model.predictions import Predictions
from bert4rec.training.cross_entropy import SoftTargets, linear_cross_entropy, rows_with_target
from bert4rec.training.seen_items import SeenItems


@dataclass(frozen=True)
class Losses:
    """Loss of each computed task (nats), by its name, and their weighted sum."""

    total: Tensor
    parts: Mapping[str, Tensor]


def multi_task_loss(
    predictions: Predictions,
    batch: Batch,
    weights: TaskWeights,
    value_tables: Mapping[str, Tensor],
    exclude_seen: bool = False,
    soft_targets: Mapping[str, SoftTargets] | None = None,
    rating_factor_l2: float = 0.0,
) -> Losses:
    """Weighted sum over the tasks of their mean losses (nats). A task of weight 0 is absent.

    `value_tables` are the multi-valued item features, `[V, M]` by name: targets of the
    user-preference task. `exclude_seen` masks the items that a token has seen out of its softmax.
    `soft_targets` are a teacher's, by item task. `rating_factor_l2` is the L2 penalty of the rating
    factors, within the weight of the rating task. Cold-start items are masked out of every softmax.
    """
    soft_targets = soft_targets or {}
    parts = {}
    passes = {
        "item_prediction": (predictions.masked_SD, batch.masked),
        "next_item": (predictions.causal_SD, batch.causal),
    }
    for task, (query_SD, targets) in passes.items():
        if query_SD is not None and targets is not None:
            seen = None
            if exclude_seen:
                causal = task == "next_item"
                seen = SeenItems(targets.sequences, targets.token_S, causal)
            soft = soft_targets.get(task)
            parts[task] = _item_loss(query_SD, predictions, targets, seen, soft)
    rated = batch.causal or batch.masked
    if predictions.rating_NR is not None and rated is not None:
        parts["rating_prediction"] = _rating_loss(predictions.rating_NR, rated)
    if predictions.preference_BD is not None and batch.upcoming is not None:
        item_BA = batch.upcoming.item_BA
        parts["user_preference"] = _preference_loss(predictions, item_BA, value_tables)
    total = torch.stack([getattr(weights, task) * loss for task, loss in parts.items()]).sum()
    if predictions.rating_factor_square_norm is not None:
        penalty = weights.rating_prediction * rating_factor_l2
        total = total + penalty * predictions.rating_factor_square_norm
    return Losses(total, parts)


def _item_loss(
    query_SD: Tensor,
    predictions: Predictions,
    targets: Supervised,
    seen: SeenItems | None,
    soft: SoftTargets | None,
) -> Tensor:
    """Cross-entropy of the observed item, mixed with a teacher's distribution if given."""
    item_S1 = targets.item_S[:, None]
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


def _rating_loss(logit_NR: Tensor, targets: Supervised) -> Tensor:
    """Cross-entropy of the rating level, over the tokens with a rating."""
    level_N = targets.rating_S[targets.rated_N] - 1
    unrated = NO_RATING - 1
    # A batch without ratings has loss 0 and keeps the head in the graph: DDP waits for every
    # gradient.
    total = F.cross_entropy(logit_NR.float(), level_N, ignore_index=unrated, reduction="sum")
    return total / (level_N != unrated).sum().clamp(min=1)


def _preference_loss(
    predictions: Predictions, item_BA: Tensor, value_tables: Mapping[str, Tensor]
) -> Tensor:
    """Cross-entropy of the upcoming items and of their values of each feature, in equal shares.

    Only the preference head learns from it: states and item embeddings are detached
    (docs/decisions/0015).
    """
    assert predictions.preference_BD is not None
    share_BA = _equal_shares(item_BA != PAD)
    bias_V = predictions.bias_V
    loss = linear_cross_entropy(
        predictions.preference_BD,
        predictions.output_VD.detach(),
        None if bias_V is None else bias_V.detach(),
        item_BA,
        share_BA,
        cold_item_I=predictions.cold_item_I,
    )
    for name, logit_BX in (predictions.values or {}).items():
        value_BX = value_tables[name][item_BA].flatten(1)
        loss = loss + _value_loss(logit_BX, value_BX) / rows_with_target(share_BA)
    return loss


def _value_loss(logit_BX: Tensor, value_BX: Tensor) -> Tensor:
    """Summed cross-entropy of the known feature values of each row, in equal shares."""
    share_BX = _equal_shares(value_BX != UNKNOWN)
    column_BX = (value_BX - 1).clamp(min=0)  # UNKNOWN has no logit, and a share of 0
    log_probability_BX = logit_BX.float().log_softmax(1).gather(1, column_BX)
    return -(share_BX * log_probability_BX).sum()


def _equal_shares(counts_BX: Tensor) -> Tensor:
    """Equal shares of a row's true entries, which sum to 1, or to 0 where there are none."""
    count_BX = counts_BX.float()
    return count_BX / count_BX.sum(1, keepdim=True).clamp(min=1)
