"""The dataset inside a model folder: tensors for `model.safetensors`, plain values for JSON.

Files are read and written by `artefact`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.consistency import check_dataset, check_names
from bert4rec.data.dataset import PreparedDataset, Vocabularies

_MANIFEST_KEYS = ("name", "checksum", "features_checksum", "num_items", "has_times", "ties")


def dataset_tensors(dataset: PreparedDataset) -> dict[str, Tensor]:
    """Histories and feature tables by array name."""
    arrays = dataset.arrays()
    return {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}


def dataset_metadata(dataset: PreparedDataset) -> dict[str, Any]:
    """Raw ids, titles, rating levels and features as plain values."""
    return {
        **{key: dataset.manifest[key] for key in _MANIFEST_KEYS},
        "items": list(dataset.items.ids),
        "users": list(dataset.users.ids),
        "titles": None if dataset.titles is None else list(dataset.titles),
        "rating_levels": dataset.rating_levels.tolist(),
        "item_features": [asdict(feature) for feature, _ in dataset.item_features.values()],
        "user_features": [asdict(feature) for feature, _ in dataset.user_features.values()],
    }


def dataset_from(metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> PreparedDataset:
    """Dataset in memory, from what `dataset_metadata` and `dataset_tensors` returned.

    Raises:
        KeyError, TypeError, ValueError: The two are not of one dataset.
    """
    arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
    items, users, titles = metadata["items"], metadata["users"], metadata["titles"]
    check_names(items, users, titles, metadata["num_items"], len(arrays["user_start"]) - 2)
    vocabularies = Vocabularies.from_lists(items, users, titles)
    dataset = PreparedDataset.from_arrays(metadata, arrays, vocabularies=vocabularies)
    check_dataset(dataset)
    return dataset
