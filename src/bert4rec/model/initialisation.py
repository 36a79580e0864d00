"""Weights before the first training step. Legend: V item rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bert4rec.ids import PAD

if TYPE_CHECKING:
    from bert4rec.model.network import Bert4Rec

STD = 0.02
"""Standard deviation of BERT's initial weights (Devlin et al. 2019)."""


def initialise(network: Bert4Rec) -> None:
    """Draw the weights whose scale the layers themselves do not set.

    Projections that add to the residual stream start small, so that deep networks are stable.
    """
    for name, parameter in network.named_parameters():
        if name.endswith("project_out.weight"):
            nn.init.normal_(parameter, std=STD)
        elif name.endswith("bias") and parameter.dim() == 1 and "norm" not in name:
            nn.init.zeros_(parameter)
    for temporal in (network.temporal, network.request):
        for table in temporal.children() if temporal is not None else ():
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, std=STD)
    if network.rating is not None:
        nn.init.normal_(network.rating.weight, std=STD)
    with torch.no_grad():  # PAD fills up batches of fixed shape
        network.item.weight[PAD] = 0


@torch.no_grad()
def init_item_bias(network: Bert4Rec, count_V: Tensor) -> None:
    """Set the item biases, if there are any, to the log-frequency of each item in training.

    Logarithms are centred over the items that occur. An item that never occurs has bias 0.
    """
    if network.item_head.bias_V is None:
        return
    occurs_V = count_V > 0
    log_V = count_V.clamp(min=1).log()
    network.item_head.bias_V.copy_((log_V - log_V[occurs_V].mean()) * occurs_V)
