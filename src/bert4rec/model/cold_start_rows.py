"""Rows of cold-start users and items: which weights they have, their reset, and their scores.

Legend: V item rows, I cold-start items, X cold-start users.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from bert4rec.ids import FIRST_ITEM, UNKNOWN

if TYPE_CHECKING:
    from bert4rec.model.network import Bert4Rec

USER_ROW_WEIGHTS = ("user.user.weight", "rating_head.factors.user.weight")
"""Weights with one row per user."""
ITEM_ROW_WEIGHTS = ("item.weight", "item_head.bias_V", "rating_head.factors.item.weight")
"""Weights with one row per item."""
COLD_ITEM_PENALTY = "cold_item_penalty"
"""Buffer that holds what is subtracted from the scores of cold-start items."""


@torch.no_grad()
def reset_cold_start_rows(network: Bert4Rec, user_X: Tensor, item_I: Tensor) -> None:
    """Make cold-start users and items of rows that have no training event.

    Users' rows become those of the unknown user. Items' rows become zero, so that metadata alone
    places them, and they are no candidates in training. A network that cannot place cold-start
    items keeps their rows, and learns from their absence among the targets to rank them low.
    """
    weights, device = dict(network.named_parameters()), network.item.weight.device
    for name in USER_ROW_WEIGHTS:
        if name in weights:
            weights[name][user_X.to(device)] = weights[name][UNKNOWN].clone()
    if not network.places_cold_start_items or not len(item_I):
        return
    network.cold_item_I = item_I.to(device)
    for name in ITEM_ROW_WEIGHTS:
        if name in weights:
            weights[name][network.cold_item_I] = 0


def is_cold_start_item(network: Bert4Rec) -> Tensor:
    """True for item rows `[V]` without an id embedding: their row of the item table is zero."""
    return (network.item.weight == 0).all(1)


def score_offset(network: Bert4Rec) -> Tensor | None:
    """Score offset of each item row, `[V]`: its item bias, less the penalty of a cold-start item.

    None where nothing is added.
    """
    bias_V = network.item_head.bias_V
    is_cold_V = is_cold_start_item(network)
    if not network.places_cold_start_items or not is_cold_V[FIRST_ITEM:].any():
        return bias_V
    penalty_V = is_cold_V * network.get_buffer(COLD_ITEM_PENALTY)
    return -penalty_V if bias_V is None else bias_V - penalty_V
