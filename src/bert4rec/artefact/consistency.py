"""The check of a stored model before memory is taken: its description and its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from bert4rec.artefact.weights import without_feature_tables
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.model.network import Bert4Rec
from bert4rec.model.table_sizes import TableSizes

_IDENTITY = {"dataset": ("name", "checksum", "features_checksum"), "split": ("name", "checksum")}
_MOST_SPARE_BYTES = 2**28
"""Largest constant table of a network (positions) that its weights do not hold."""


def check_description(description: Mapping[str, Any]) -> None:
    """Raise ValueError for a description without the texts that identify data and split."""
    for group, names in _IDENTITY.items():
        content = description[group]
        if not isinstance(content, dict) or not all(type(content.get(n)) is str for n in names):
            raise ValueError(f"{group} must hold texts: {', '.join(names)}")


def check_weights(
    config: RunConfig, sizes: TableSizes, dataset: PreparedDataset, weights: Mapping[str, Tensor]
) -> None:
    """Raise ValueError where weights, settings and data are of different shapes.

    The network is laid out without memory, so that no setting can take more than the file holds.
    """
    if sizes != TableSizes.of(dataset):
        raise ValueError("table_sizes are not those of the data")
    model = config.model
    spare = 4 * model.seq_length * model.hidden_size
    if spare > _MOST_SPARE_BYTES or model.num_layers > len(weights):
        raise ValueError("the settings describe a larger network than the weights")
    with torch.device("meta"):
        network = Bert4Rec(model, sizes, config.training.task_weights)
    expected = without_feature_tables(network.state_dict())
    stored = without_feature_tables(weights)
    for name in sorted(expected.keys() ^ stored.keys()):
        where = "lack" if name in expected else "hold the unknown"
        raise ValueError(f"the weights {where} {name}")
    for name, tensor in stored.items():
        _check_tensor(name, tensor, expected[name])


def _check_tensor(name: str, stored: Tensor, expected: Tensor) -> None:
    if stored.shape != expected.shape:
        shapes = f"{tuple(stored.shape)}, not {tuple(expected.shape)}"
        raise ValueError(f"{name} has the shape {shapes}")
    if stored.is_floating_point() != expected.is_floating_point() or stored.is_complex():
        raise ValueError(f"{name} is of {stored.dtype}, not {expected.dtype}")
    if stored.is_floating_point() and not bool(torch.isfinite(stored.float()).all()):
        raise ValueError(f"{name} has a weight that is not finite")
