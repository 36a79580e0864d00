"""Packed sequences as padded rectangles, and back.

All of the network but attention works token by token on packed sequences, `[T, D]`. Attention needs
rectangles: neighbouring sequences of similar length share one, so that little of it is padding.
The attention mask and the learned bias are left to `attention_bias`.

Legend: T tokens of all sequences, B sequences, D width, L positions of a rectangle.
In one rectangle `t` of the tokens and `b` of the sequences.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bert4rec.data.sequences import Sequences

MIN_SEQUENCES = 4
"""A rectangle of fewer sequences is not closed early: its start costs more than its padding."""


@dataclass(frozen=True)
class RectangleLimits:
    """Sizes of rectangles and query blocks that suit a device.

    Smaller ones save the arithmetic of padding and masked scores; each costs a start of its own.
    """

    max_scores: int
    """Attention scores of one head in one rectangle; a single longer sequence may have more."""
    min_length_share: float
    """A sequence below this share of the longest one in its rectangle opens the next."""
    query_block_size: int
    """Query positions of a causal pass per block; keys after the block's last query are skipped."""


CPU_LIMITS = RectangleLimits(max_scores=2**20, min_length_share=0.8, query_block_size=64)
"""Arithmetic takes the time; 4 MiB of scores."""
GPU_LIMITS = RectangleLimits(max_scores=2**23, min_length_share=0.0, query_block_size=2**20)
"""Starting a kernel takes longer than computing the padding."""


def limits_for(device: torch.device) -> RectangleLimits:
    """Limits that suit the device."""
    return CPU_LIMITS if device.type == "cpu" else GPU_LIMITS


@dataclass(frozen=True)
class PaddedRectangle:
    """Neighbouring sequences laid out as `b` rows of `L` positions."""

    rows: slice
    """Its sequences among the B."""
    tokens: slice
    """Its tokens among the T."""
    shape: tuple[int, int]
    """`(b, L)`."""
    slot_t: Tensor
    """Index of each token in the flattened rectangle."""

    def pad(self, x_tD: Tensor) -> Tensor:
        """Tokens of the rectangle as `[b, L, D]`, zeros in the padding."""
        b, L = self.shape
        if len(x_tD) < b * L:
            padding = x_tD.new_zeros(b * L, x_tD.shape[1])
            x_tD = padding.index_copy(0, self.slot_t, x_tD)
        return x_tD.view(b, L, -1)

    def pad_values(self, value_t: Tensor, padding: int) -> Tensor:
        """One value per token as `[b, L]`."""
        b, L = self.shape
        return value_t.new_full((b * L,), padding).index_copy(0, self.slot_t, value_t).view(b, L)

    def unpad(self, x_bLD: Tensor) -> Tensor:
        """Tokens of a rectangle, packed again: `[t, D]`."""
        b, L = self.shape
        x_tD = x_bLD.reshape(b * L, -1)
        return x_tD if len(self.slot_t) == b * L else x_tD[self.slot_t]


def padded_rectangles(
    sequences: Sequences, limits: RectangleLimits = CPU_LIMITS
) -> list[PaddedRectangle]:
    """Rectangles of the sequences, in their order. Sort by length for the least padding."""
    rectangles, row, token = [], 0, 0
    while row < len(sequences.lengths):
        stop = _end_of_rectangle(sequences.lengths, row, limits)
        lengths = sequences.lengths[row:stop]
        L = max(lengths)
        tokens = slice(token, token + sum(lengths))
        slot_t = (sequences.row_T[tokens] - row) * L + sequences.position_T[tokens]
        rectangles.append(PaddedRectangle(slice(row, stop), tokens, (len(lengths), L), slot_t))
        row, token = stop, tokens.stop
    return rectangles


def _end_of_rectangle(lengths: Sequence[int], first: int, limits: RectangleLimits) -> int:
    longest = lengths[first]
    for stop in range(first + 1, len(lengths)):
        length, size = lengths[stop], stop - first
        longest = max(longest, length)
        too_large = (size + 1) * longest * longest > limits.max_scores
        too_short = size >= MIN_SEQUENCES and length < limits.min_length_share * longest
        if too_large or too_short:
            return stop
    return len(lengths)
