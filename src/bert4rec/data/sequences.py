"""Histories to the token sequences that the network reads, packed end to end without padding.

Training and serving make their sequences here, so that serving reads exactly what training read.
Windows, masks and targets are drawn in `training_batches`.

- A causal sequence is `MASK, e_1, …, e_n`: a start token, then the events. The state of each token
  predicts the next event.
- A masked sequence is the events, some replaced by MASK. The state of a MASK predicts the event at
  its position.

Legend: B sequences, N events of all of them end to end, T tokens of all of them end to end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bert4rec.data.arrays import Ints, offsets, range_indices
from bert4rec.data.histories import Histories
from bert4rec.data.tensor_record import TensorRecord
from bert4rec.ids import MASK, NO_RATING, NO_TIME


@dataclass(frozen=True)
class Sequences(TensorRecord):
    """B packed token sequences: the input of the network."""

    item_T: Tensor
    """Item rows; MASK where the item is to be predicted."""
    time_T: Tensor
    """Event times in seconds (int64); NO_TIME where unknown."""
    rating_T: Tensor
    """Rating rows; NO_RATING where unknown or hidden."""
    request_time_T: Tensor
    """Request time of each token's prediction; NO_TIME where unknown."""
    position_T: Tensor
    """Position in the sequence, from 0."""
    row_T: Tensor
    """Index of the token's sequence, from 0 to B − 1."""
    user_B: Tensor
    """User rows; UNKNOWN for cold-start users."""
    length_B: Tensor
    """Tokens of each sequence."""
    lengths: tuple[int, ...]
    """Slots of each sequence: its tokens, and behind them any padding (see `padding`)."""
    user_features: Mapping[str, Tensor] = field(default_factory=dict)
    """Value rows `[B]` by feature name; they replace the stored ones of `user_B`."""

    @property
    def last_B(self) -> Tensor:
        """Token index of each sequence's last token."""
        slots_B = torch.tensor(self.lengths)
        first_B = slots_B.cumsum(0) - slots_B
        return first_B.to(self.item_T.device) + self.length_B - 1


def causal_sequences(histories: Histories, seq_length: int) -> Sequences:
    """Causal sequences of a start token and the last `seq_length` events of each history.

    A token's request time is the time of the next event; the last token's is that of the request.
    If the time of the request is unknown, every token's is: in training as in serving.
    """
    recent = last_events(histories, seq_length)
    start_B = recent.start_B1[:-1]
    length_B = recent.length_B + 1
    time_T = np.insert(recent.time_N, start_B, NO_TIME)
    next_time_T = _next_times(time_T, length_B, recent.request_time_B)
    is_timed_T = np.repeat(recent.request_time_B != NO_TIME, length_B)
    return pack_sequences(
        recent,
        length_B,
        item_T=np.insert(recent.item_N, start_B, MASK),
        time_T=time_T,
        rating_T=np.insert(recent.rating_N, start_B, NO_RATING),
        request_time_T=np.where(is_timed_T, next_time_T, NO_TIME),
    )


def masked_sequences(histories: Histories, seq_length: int) -> Sequences:
    """Masked sequences of the last `seq_length` − 1 events and a MASK at the request time."""
    recent = last_events(histories, seq_length - 1)
    end_B = recent.start_B1[1:]
    time_T = np.insert(recent.time_N, end_B, recent.request_time_B)
    return pack_sequences(
        recent,
        recent.length_B + 1,
        item_T=np.insert(recent.item_N, end_B, MASK),
        time_T=time_T,
        rating_T=np.insert(recent.rating_N, end_B, NO_RATING),
        request_time_T=time_T,
    )


def last_events(histories: Histories, count: int) -> Histories:
    """Histories cut to their `count` most recent events."""
    if not len(histories) or histories.length_B.max() <= count:
        return histories
    length_B = np.minimum(histories.length_B, count)
    kept_N = range_indices(histories.start_B1[1:] - length_B, length_B)
    return replace(
        histories,
        start_B1=offsets(length_B),
        item_N=histories.item_N[kept_N],
        time_N=histories.time_N[kept_N],
        rating_N=histories.rating_N[kept_N],
    )


def _next_times(time_T: Ints, length_B: Ints, request_time_B: Ints) -> Ints:
    """Time of the following token; the last token of a sequence takes the request's."""
    next_T = np.empty_like(time_T, dtype=np.int64)
    next_T[:-1] = time_T[1:]
    next_T[np.cumsum(length_B) - 1] = request_time_B
    return next_T


def pack_sequences(histories: Histories, length_B: Ints, **token_arrays: Ints) -> Sequences:
    """Sequences of the given token arrays, with the users of the histories.

    Args:
        histories: Source of the users; their events are not read.
        length_B: Tokens of each sequence.
        token_arrays: `item_T`, `time_T`, `rating_T` and `request_time_T`.
    """
    start_B = np.cumsum(length_B) - length_B
    user_B, user_features = user_tensors(histories)
    return Sequences(
        **{name: int64_tensor(array) for name, array in token_arrays.items()},
        position_T=int64_tensor(np.arange(length_B.sum()) - np.repeat(start_B, length_B)),
        row_T=int64_tensor(np.repeat(np.arange(len(length_B)), length_B)),
        user_B=user_B,
        length_B=int64_tensor(length_B),
        lengths=tuple(length_B.tolist()),
        user_features=user_features,
    )


def user_tensors(histories: Histories) -> tuple[Tensor, dict[str, Tensor]]:
    """User rows `[B]`, and the features given with the request `[B]` by name."""
    features = {name: _feature_tensor(value) for name, value in histories.user_features.items()}
    return int64_tensor(histories.user_B), features


def _feature_tensor(value_B: NDArray[Any]) -> Tensor:
    """Value rows as int64, numeric values as float32."""
    if value_B.dtype.kind == "f":
        return torch.from_numpy(value_B.astype(np.float32))
    return int64_tensor(value_B)


def int64_tensor(array: NDArray[Any]) -> Tensor:
    """The array as an int64 tensor."""
    return torch.from_numpy(np.ascontiguousarray(array, dtype=np.int64))
