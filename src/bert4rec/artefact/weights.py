"""Weights of a network as they are stored: with or without feature tables, in 32 or 16 bits."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from bert4rec.model.network import Bert4Rec

_FEATURE_TABLE = "table_O"
"""Last part of the names of feature tables, which are data."""


def stored_weights(network: Bert4Rec) -> dict[str, Tensor]:
    """Weights and buffers of a network on the CPU, by name."""
    state = network.state_dict()
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}


def without_feature_tables(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights that training changes, without the tables that hold data."""
    return {name: tensor for name, tensor in weights.items() if not _is_feature_table(name)}


def feature_tables(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tables that hold data."""
    return {name: tensor for name, tensor in weights.items() if _is_feature_table(name)}


def in_half_precision(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights in 16 bits; integers stay as they are."""
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def round_to_half_precision(network: Bert4Rec) -> None:
    """Round a network's weights to 16 bits, in place; feature tables stay as they are."""
    weights = without_feature_tables(stored_weights(network))
    network.load_state_dict(in_half_precision(weights), strict=False)


def _is_feature_table(name: str) -> bool:
    return name.endswith(_FEATURE_TABLE)
