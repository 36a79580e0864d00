"""Attention mask and learned attention bias: what is added to attention scores before the softmax.

Which queries and keys are computed together is left to `attention_plan`.

Legend: T tokens, B sequences, H heads, Q query positions, L key positions, Z buckets.
In one rectangle `t` of the tokens and `b` of the sequences.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.data.sequences import Sequences
from bert4rec.model.packing import PaddedRectangle
from bert4rec.model.temporal import HALF_OCTAVES, half_octave

MASKED_SCORE = -1e4
"""Score of a masked key: its softmax and its SiLU are exactly 0."""

_UNKNOWN = -1


class AttentionBias(nn.Module):
    """Learned biases by distance in events, and by the time from an event to the request.

    The time bias is HSTU's relative time bias (Zhai et al. 2024, section 4), in half-octave buckets
    of request time minus event time. A query token without a request time uses its own time, and
    buckets of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.max_length = config.seq_length + 1
        distances, times, H = 2 * self.max_length, 4 * HALF_OCTAVES, config.num_heads
        self.distance_ZH = (
            nn.Parameter(torch.zeros(distances, H)) if config.relative_position else None
        )
        self.time_ZH = nn.Parameter(torch.zeros(times, H)) if config.relative_time else None

    @property
    def is_active(self) -> bool:
        """True if the configuration has either bias."""
        return self.distance_ZH is not None or self.time_ZH is not None

    def forward(
        self, sequences: Sequences, rectangle: PaddedRectangle, query_bQ: Tensor, num_keys: int
    ) -> Tensor | None:
        """Bias `[b or 1, H, Q, L]` of query positions and the first `num_keys` key positions.

        None if the configuration has no bias.
        """
        biases = []
        if self.distance_ZH is not None:
            biases.append(_by_bucket(self.distance_ZH, self._distances(query_bQ, num_keys)))
        if self.time_ZH is not None:
            buckets = _time_buckets(sequences, rectangle, query_bQ, num_keys)
            biases.append(_by_bucket(self.time_ZH, buckets))
        return sum(biases[1:], biases[0]) if biases else None

    def _distances(self, query_bQ: Tensor, num_keys: int) -> Tensor:
        """Row of the distance table for each query and key, `[b, Q, L]`."""
        key_L = torch.arange(num_keys, device=query_bQ.device)
        longest = self.max_length - 1
        return (query_bQ[:, :, None] - key_L).clamp(-longest, longest) + self.max_length


def masked_bias(
    sequences: Sequences,
    rectangle: PaddedRectangle,
    query_bQ: Tensor,
    num_keys: int,
    causal: bool,
    bias: AttentionBias,
) -> Tensor:
    """The learned bias, or zeros, and MASKED_SCORE where the mask hides the key.

    `[b or 1, H or 1, Q or 1, L]`: axes along which it does not vary have length 1.
    """
    mask = attention_mask(query_bQ, num_keys, sequences.length_B[rectangle.rows], causal)
    learned = bias(sequences, rectangle, query_bQ, num_keys)
    if learned is None:
        learned = torch.zeros(mask.shape, device=mask.device)
    return learned.masked_fill(~mask, MASKED_SCORE)


def attention_mask(query_bQ: Tensor, num_keys: int, length_b: Tensor, causal: bool) -> Tensor:
    """True where a query may attend to a key: `[b, 1, Q, L]`; Q is 1 of a masked pass."""
    key_L = torch.arange(num_keys, device=length_b.device)
    if causal:  # padding comes after every token, out of reach of a causal query
        return (query_bQ[:, :, None] >= key_L)[:, None]
    return (key_L < length_b[:, None])[:, None, None]


def visible_keys(sequences: Sequences, causal: bool) -> Tensor:
    """Number of keys that each token may attend to, `[T]`."""
    if causal:
        return sequences.position_T + 1
    return sequences.length_B.clamp(min=1)[sequences.row_T]


def _by_bucket(table_ZH: Tensor, bucket_bQL: Tensor) -> Tensor:
    """Bias `[b, H, Q, L]` of each bucket."""
    if bucket_bQL.device.type == "cpu":
        return _select_bias(table_ZH, bucket_bQL)
    return _gather_bias(table_ZH, bucket_bQL)


def _select_bias(table_ZH: Tensor, bucket_bQL: Tensor) -> Tensor:
    """Variant for a CPU: gradients of a selection add up far faster than those of an embedding."""
    bias_HbQL = table_ZH.T.index_select(1, bucket_bQL.flatten()).unflatten(1, bucket_bQL.shape)
    return bias_HbQL.transpose(0, 1).contiguous()


def _gather_bias(table_ZH: Tensor, bucket_bQL: Tensor) -> Tensor:
    """Variant for a GPU: gradients add up in a table per query first, so few threads wait."""
    b, Q, L = bucket_bQL.shape
    Z, H = table_ZH.shape
    table_bHQZ = table_ZH.T[None, :, None].expand(b, H, Q, Z)
    return table_bHQZ.gather(3, bucket_bQL[:, None].expand(b, H, Q, L))


def _time_buckets(
    sequences: Sequences, rectangle: PaddedRectangle, query_bQ: Tensor, num_keys: int
) -> Tensor:
    """Row of the time table for each query and key, `[b, Q, L]`.

    Row 0 is unknown; half-octaves into the past and then into the future follow. Queries without a
    request time have the second half of the table.
    """
    time_t = sequences.time_T[rectangle.tokens]
    request_t = sequences.request_time_T[rectangle.tokens]
    query_bQ = query_bQ.expand(rectangle.shape[0], -1)
    own_or_request_t = torch.where(request_t < 0, time_t, request_t)
    query_time_bQ = rectangle.pad_values(own_or_request_t, _UNKNOWN).gather(1, query_bQ)
    key_time_bL = rectangle.pad_values(time_t, _UNKNOWN)[:, :num_keys]
    without_request_bQ = rectangle.pad_values((request_t < 0).long(), 0).gather(1, query_bQ)
    difference_bQL = query_time_bQ[:, :, None] - key_time_bL[:, None, :]
    bucket_bQL = half_octave(difference_bQL.abs()) + HALF_OCTAVES * (difference_bQL < 0)
    known_bQL = (query_time_bQ >= 0)[:, :, None] & (key_time_bL >= 0)[:, None, :]
    return bucket_bQL * known_bQL + 2 * HALF_OCTAVES * without_request_bQ[:, :, None]
