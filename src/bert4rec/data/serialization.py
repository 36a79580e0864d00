"""A dataset inside a model folder: tensors by name, and plain values for JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.prepared import Feature, Names, PreparedDataset


def tensors_of(dataset: PreparedDataset) -> dict[str, Tensor]:
    """Histories and feature tables, by row number."""
    arrays = {
        "user_start": dataset.start_U1,
        "event_item": dataset.item_N,
        "event_time": dataset.time_N,
        "event_rating": dataset.rating_N,
    }
    for owner, features in (("item", dataset.item_features), ("user", dataset.user_features)):
        arrays |= {
            f"{owner}_feature_{number}": table
            for number, (_, table) in enumerate(features.values())
        }
    return {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}


def metadata_of(dataset: PreparedDataset) -> dict[str, Any]:
    """Raw ids, titles, and what feature values mean: plain values."""
    manifest = {
        key: dataset.manifest[key] for key in ("name", "checksum", "num_items", "has_times")
    }
    return {
        **manifest,
        "ties": dataset.ties,
        "items": list(dataset.items.ids),
        "users": list(dataset.users.ids),
        "titles": None if dataset.titles is None else list(dataset.titles),
        "rating_levels": dataset.rating_levels.tolist(),
        "item_features": [asdict(feature) for feature, _ in dataset.item_features.values()],
        "user_features": [asdict(feature) for feature, _ in dataset.user_features.values()],
    }


def dataset_from(metadata: Mapping[str, Any], data: Mapping[str, Tensor]) -> PreparedDataset:
    """The dataset, in memory. Raises KeyError, TypeError or ValueError where the two are not of one dataset."""
    arrays = {name: tensor.numpy() for name, tensor in data.items()}
    features = {
        owner: {
            entry["name"]: (Feature.from_dict(entry), arrays[f"{owner}_feature_{number}"])
            for number, entry in enumerate(metadata[f"{owner}_features"])
        }
        for owner in ("item", "user")
    }
    return PreparedDataset(
        folder=None,
        manifest=metadata,
        start_U1=arrays["user_start"],
        item_N=arrays["event_item"],
        time_N=arrays["event_time"],
        rating_N=arrays["event_rating"],
        rating_levels=np.asarray(metadata["rating_levels"], dtype=np.float64),
        item_features=features["item"],
        user_features=features["user"],
        given_names=Names.of(metadata["items"], metadata["users"], metadata["titles"]),
    )
