"""Attention plan: rectangles, query blocks, masks and biases of a pass, shared by all layers.

The arithmetic of attention is left to `attention`.

Legend: T tokens, B sequences, D width, H heads, Q query positions, L key positions,
X query tokens: all of them, or the last of each sequence.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from bert4rec.data.sequences import Sequences
from bert4rec.model.attention_bias import AttentionBias, masked_bias, visible_keys
from bert4rec.model.packing import PaddedRectangle, RectangleLimits, limits_for, padded_rectangles


@dataclass(frozen=True)
class QueryBlock:
    """Query positions of one rectangle that are computed together."""

    queries: slice
    num_keys: int
    """Key positions from the first that any of the queries may attend to; others are skipped."""
    bias: Tensor
    """`[b or 1, H or 1, Q or 1, L]`, added to the scores; MASKED_SCORE where a key is masked."""


@dataclass
class AttentionPlan:
    """Everything that the attention of every layer needs to know of the sequences."""

    rectangles: list[PaddedRectangle]
    blocks: list[list[QueryBlock]]
    """Query blocks of each rectangle."""
    is_plain_causal: bool
    """True if the causal mask is all that is added to the scores."""
    visible_X: Tensor
    """Number of keys that each query token may attend to."""
    query_token_B: Tensor | None = None
    """The one query token of each sequence; None where every token is a query."""
    weights: list[list[Tensor]] | None = None
    """Attention weights by layer and rectangle, filled by each layer; None if not recorded."""

    @property
    def rectangle_tokens(self) -> list[int]:
        """Number of tokens in each rectangle."""
        return [len(rectangle.slot_t) for rectangle in self.rectangles]

    def query_tokens(self, x_TD: Tensor) -> Tensor:
        """Tokens that are queries, `[X, D]`."""
        return x_TD if self.query_token_B is None else x_TD[self.query_token_B]


def plan_attention(
    sequences: Sequences,
    causal: bool,
    bias: AttentionBias,
    record: bool = False,
    limits: RectangleLimits | None = None,
) -> AttentionPlan:
    """Plan in which every token is a query.

    A token of a causal pass attends to itself and what came before, else to its whole sequence.
    Each rectangle is one block where weights are recorded or tokens attend to what comes later.
    """
    limits = limits or limits_for(sequences.item_T.device)
    rectangles = padded_rectangles(sequences, limits)
    longest = max(sequences.lengths, default=1)
    block_size = limits.query_block_size if causal and not record else longest
    return AttentionPlan(
        rectangles=rectangles,
        blocks=[
            _query_blocks(sequences, rectangle, causal, bias, block_size)
            for rectangle in rectangles
        ],
        is_plain_causal=causal and not bias.is_active,
        visible_X=visible_keys(sequences, causal),
        weights=[] if record else None,
    )


def plan_last_token(
    sequences: Sequences, causal: bool, bias: AttentionBias, rectangles: list[PaddedRectangle]
) -> AttentionPlan:
    """Plan in which the last token of each sequence is the only query: one block a rectangle."""
    position_B1 = (sequences.length_B - 1).clamp(min=0)[:, None]
    blocks = []
    for rectangle in rectangles:
        num_keys = rectangle.shape[1]
        query_b1 = position_B1[rectangle.rows]
        mask = masked_bias(sequences, rectangle, query_b1, num_keys, causal, bias)
        blocks.append([QueryBlock(slice(None), num_keys, mask)])
    last_B = sequences.last_B
    return AttentionPlan(
        rectangles=rectangles,
        blocks=blocks,
        is_plain_causal=False,
        visible_X=visible_keys(sequences, causal)[last_B],
        query_token_B=last_B,
    )


def _query_blocks(
    sequences: Sequences,
    rectangle: PaddedRectangle,
    causal: bool,
    bias: AttentionBias,
    block_size: int,
) -> list[QueryBlock]:
    """Blocks of a rectangle; their keys end with their last query."""
    L = rectangle.shape[1]
    position_1L = torch.arange(L, device=sequences.item_T.device)[None]
    blocks = []
    for first in range(0, L, block_size):
        stop = min(first + block_size, L)
        query_1Q = position_1L[:, first:stop]
        mask = masked_bias(sequences, rectangle, query_1Q, stop, causal, bias)
        blocks.append(QueryBlock(slice(first, stop), stop, mask))
    return blocks
