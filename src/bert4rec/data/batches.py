"""`Batch`: the input and the targets of one training step. They are drawn in `training_batches`.

Legend: A upcoming events, B sequences, S supervised tokens, N rated ones of these.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from bert4rec.data.sequences import Sequences
from bert4rec.data.tensor_record import TensorRecord


@dataclass(frozen=True)
class Supervised(TensorRecord):
    """Sequences and the targets of some of their tokens."""

    sequences: Sequences
    token_S: Tensor
    """Token indices of the supervised tokens."""
    item_S: Tensor
    """Target items; PAD in padding."""
    rating_S: Tensor
    """Target ratings, as rating rows; NO_RATING where there is none."""
    rated_N: Tensor
    """Indices into S of the tokens with a target rating; in a padded batch, of all tokens."""


@dataclass(frozen=True)
class UpcomingEvents(TensorRecord):
    """Targets of the user-preference task: the next items of one token of every sequence."""

    token_B: Tensor
    """Token index of the token that looks ahead."""
    item_BA: Tensor
    """Items of the upcoming events; PAD where the training events end."""


@dataclass(frozen=True)
class Batch(TensorRecord):
    """One training step: a causal and a masked pass over the same windows.

    A part is None if its task is off.
    """

    causal: Supervised | None
    masked: Supervised | None
    upcoming: UpcomingEvents | None
    events: int
    """Number of real events, from which throughput is computed."""
