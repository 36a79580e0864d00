"""`Predictions`: output of a network for one training batch.

Legend: S supervised tokens, N those with a rating, B sequences, D width, V item rows,
R rating levels, I cold-start items.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True)
class Predictions:
    """Predictions of the heads for one batch.

    Item scores stay a product of query vectors and output item embeddings: all of them are never in
    memory at once.
    """

    output_VD: Tensor
    """Output item embeddings."""
    bias_V: Tensor | None
    """Item biases; None for a cosine head."""
    cold_item_I: Tensor | None = None
    """Rows of cold-start items, which are no candidates in training."""
    causal_SD: Tensor | None = None
    """Query vectors of the next-item scores."""
    masked_SD: Tensor | None = None
    """Query vectors of the masked-item scores."""
    preference_BD: Tensor | None = None
    """Query vectors of the upcoming-item scores."""
    values: Mapping[str, Tensor] | None = None
    """Logits over the upcoming events' feature values, by feature."""
    rating_NR: Tensor | None = None
    """Logits over the rating levels, for the supervised tokens that have a rating."""
    rating_factor_square_norm: Tensor | None = None
    """Mean squared norm of the rating factors behind these logits."""
