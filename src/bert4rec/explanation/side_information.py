"""Ablation of side information: histories with one piece of user or request information hidden.

How a scorer's figures change is left to `variants.score_item`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.ids import NO_TIME, UNKNOWN


def with_stored_features(history: Histories, dataset: PreparedDataset) -> Histories:
    """History with the user's stored features given, so that each can be hidden alone."""
    stored = dataset.user_feature_values(history.user_B)
    return replace(history, user_features={**stored, **history.user_features})


def without_side_information(history: Histories) -> dict[str, Histories]:
    """Variants of one user's history, each without one known piece of information, by its name.

    Pieces are the user id, every user feature of the history, and the time of the request.
    """
    variants = {}
    if history.user_B[0] != UNKNOWN:
        variants["user_id"] = replace(history, user_B=np.array([UNKNOWN]))
    for name, value in history.user_features.items():
        unknown = _unknown_like(value)
        if not np.array_equal(value, unknown, equal_nan=value.dtype.kind == "f"):
            features = {**history.user_features, name: unknown}
            variants[name] = replace(history, user_features=features)
    if history.request_time_B[0] != NO_TIME:
        variants["request_time"] = history.without_request_time()
    return variants


def _unknown_like(value: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.full_like(value, np.nan if value.dtype.kind == "f" else UNKNOWN)
