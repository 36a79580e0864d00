"""Batches of one fixed shape, which CUDA graphs need: every sequence gets the same number of slots.

Padding is supervised with PAD and NO_RATING, which no loss counts. No real token attends to it.

Legend: B sequences, T slots of all of them, S supervised tokens.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from bert4rec.data.batches import Batch, Supervised, UpcomingEvents
from bert4rec.data.sequences import Sequences
from bert4rec.ids import NO_RATING, NO_TIME, PAD, UNKNOWN


def pad_to_fixed_shape(batch: Batch, batch_size: int, seq_length: int) -> Batch:
    """The batch padded to `batch_size` sequences of the most slots that any batch may have.

    A causal sequence gets `seq_length` + 1 slots, a masked one `seq_length`.
    """
    causal, masked, upcoming = batch.causal, batch.masked, batch.upcoming
    if upcoming is not None:
        if causal is not None:
            slot_T = _slots(causal.sequences, seq_length + 1)
        else:
            assert masked is not None
            slot_T = _slots(masked.sequences, seq_length)
        upcoming = UpcomingEvents(
            token_B=_padded(slot_T[upcoming.token_B], batch_size, fill=0),
            item_BA=_padded(upcoming.item_BA, batch_size, fill=PAD),
        )
    if causal is not None:
        causal = _padded_supervised(causal, batch_size, seq_length + 1)
    if masked is not None:
        masked = _padded_supervised(masked, batch_size, seq_length)
    return replace(batch, causal=causal, masked=masked, upcoming=upcoming)


def _slots(sequences: Sequences, slots: int) -> Tensor:
    """Slot of each token, where every sequence has `slots` of them."""
    return sequences.row_T * slots + sequences.position_T


def _padded_supervised(supervised: Supervised, batch_size: int, slots: int) -> Supervised:
    """Supervised sequences with `slots` slots each; every slot counts as supervised."""
    every_T = torch.arange(batch_size * slots)
    slot_T = _slots(supervised.sequences, slots)
    slot_S = slot_T[supervised.token_S]
    return Supervised(
        sequences=_padded_sequences(supervised.sequences, batch_size, slots),
        token_S=every_T,
        item_S=_scattered(supervised.item_S, slot_S, len(every_T), fill=PAD),
        rating_S=_scattered(supervised.rating_S, slot_S, len(every_T), fill=NO_RATING),
        rated_N=every_T,
    )


def _padded_sequences(sequences: Sequences, batch_size: int, slots: int) -> Sequences:
    every_T = torch.arange(batch_size * slots)
    slot_T = _slots(sequences, slots)

    def scattered(value_T: Tensor, fill: int) -> Tensor:
        return _scattered(value_T, slot_T, len(every_T), fill)

    user_features = {
        name: _padded(value_B, batch_size, fill=UNKNOWN)
        for name, value_B in sequences.user_features.items()
    }
    return Sequences(
        item_T=scattered(sequences.item_T, PAD),
        time_T=scattered(sequences.time_T, NO_TIME),
        rating_T=scattered(sequences.rating_T, NO_RATING),
        request_time_T=scattered(sequences.request_time_T, NO_TIME),
        position_T=every_T % slots,
        row_T=every_T // slots,
        user_B=_padded(sequences.user_B, batch_size, fill=UNKNOWN),
        length_B=_padded(sequences.length_B, batch_size, fill=0),
        lengths=(slots,) * batch_size,
        user_features=user_features,
    )


def _scattered(value_S: Tensor, slot_S: Tensor, slots: int, fill: int) -> Tensor:
    """The values at their slots, `fill` in all others."""
    return value_S.new_full((slots,), fill).index_copy(0, slot_S, value_S)


def _padded(value_B: Tensor, batch_size: int, fill: int) -> Tensor:
    """The values followed by `fill` for the sequences that were added."""
    added = batch_size - len(value_B)
    return torch.cat([value_B, value_B.new_full((added, *value_B.shape[1:]), fill)])
