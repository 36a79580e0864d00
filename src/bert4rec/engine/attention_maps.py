"""Attention maps of one history, with names for their positions and user tokens.

Legend: H attention heads, L positions, J user tokens, N events.
"""

from __future__ import annotations

import numpy as np

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.engine.answers import AttentionMaps
from bert4rec.engine.raw_values import name_of
from bert4rec.model.scorer import NetworkScorer


def attention_maps(
    scorer: NetworkScorer, dataset: PreparedDataset, history: Histories
) -> AttentionMaps:
    """Attention weights of the first scoring pass over one history."""
    weights = scorer.attention_weights(history)
    layers = [weight_1HLL[0].cpu().numpy() for weight_1HLL in weights["layers"]]
    positions = _position_names(scorer, dataset, history, layers[0].shape[-1])
    if "user" not in weights:
        return AttentionMaps(positions, layers, [], np.empty((0, 0), dtype=np.float32))
    tokens = ["user id", *dataset.user_features, "request"]
    user_HJ = weights["user"][0][-1].T.cpu().numpy()
    return AttentionMaps(positions, layers, tokens, user_HJ)


def _position_names(
    scorer: NetworkScorer, dataset: PreparedDataset, history: Histories, count: int
) -> list[str]:
    """Names of the positions of a pass: the last events, and the start or the request token."""
    read_N = history.item_N[len(history.item_N) - (count - 1) :]
    events = [name_of(dataset, item) for item in read_N.tolist()]
    is_causal = scorer.passes[0] == "causal"
    return ["start", *events] if is_causal else [*events, "request"]
