"""Two kinds of self-attention over packed sequences: softmax and gated pointwise.

Masks, biases and the layout of sequences come ready-made in an `AttentionPlan`.

Legend: T tokens, B sequences, D width, H heads, E width of a head, L positions of a rectangle,
X query tokens: all of them, or the last of each sequence.
In one rectangle `t` of the tokens and `b` of the sequences.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.model.attention_plan import AttentionPlan, QueryBlock

_Record = list[Tensor] | None
"""Attention weights of one layer, by rectangle; None if they are not recorded."""
_Attend = Callable[[Tensor, Tensor, Tensor, AttentionPlan, list[QueryBlock], _Record], Tensor]
"""Queries, keys and values `[b, H, L, E]` of one rectangle to the mixed values of its queries."""


class SoftmaxAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D = config.hidden_size
        self.num_heads = config.num_heads
        self.project_in = nn.Linear(D, 3 * D)
        self.project_out = nn.Linear(D, D)

    def forward(self, x_TD: Tensor, plan: AttentionPlan) -> Tensor:
        """Mixed values of the query tokens, `[X, D]`."""
        query_XD, qkv_TD = _project(self.project_in, x_TD, plan, query_width=x_TD.shape[1])
        mixed_XD = _attend_rectangles(query_XD, qkv_TD, self.num_heads, plan, _softmax_attention)
        return self.project_out(mixed_XD)


class GatedAttention(nn.Module):
    """HSTU's pointwise attention with an elementwise gate (Zhai et al. 2024, equations 1–3).

    SiLU of the scores, divided by the number of visible keys, takes the place of the softmax.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        D = config.hidden_size
        self.num_heads = config.num_heads
        self.project_in = nn.Linear(D, 4 * D)
        self.norm = nn.LayerNorm(D)
        self.project_out = nn.Linear(D, D)

    def forward(self, x_TD: Tensor, plan: AttentionPlan) -> Tensor:
        """Gated mixed values of the query tokens, `[X, D]`."""
        D = x_TD.shape[1]
        gate_and_query, rest_TD = _project(self.project_in, x_TD, plan, query_width=2 * D)
        if gate_and_query is None:
            gate_XD, qkv_TD = F.silu(rest_TD).tensor_split([D], dim=1)
            query_XD = None
        else:
            gate_XD, query_XD = F.silu(gate_and_query).tensor_split([D], dim=1)
            qkv_TD = F.silu(rest_TD)
        mixed_XD = _attend_rectangles(query_XD, qkv_TD, self.num_heads, plan, _pointwise_attention)
        return self.project_out(self.norm(mixed_XD / plan.visible_X[:, None]) * gate_XD)


def _project(
    project: nn.Linear, x_TD: Tensor, plan: AttentionPlan, query_width: int
) -> tuple[Tensor | None, Tensor]:
    """Projections of the query tokens alone, and those of all tokens.

    Where every token is a query the first is None. Else it is the first `query_width` columns.
    """
    if plan.query_token_B is None:
        return None, project(x_TD)
    # One layer, two products: all other tokens need no queries.
    weight, bias = project.weight, project.bias
    query = F.linear(plan.query_tokens(x_TD), weight[:query_width], bias[:query_width])
    return query, F.linear(x_TD, weight[query_width:], bias[query_width:])


def _attend_rectangles(
    query_BD: Tensor | None, qkv_TD: Tensor, num_heads: int, plan: AttentionPlan, attend: _Attend
) -> Tensor:
    """Attention of one rectangle after another, `[X, D]`.

    `qkv_TD` holds queries, keys and values side by side, `[T, 3 · D]`; keys and values alone,
    `[T, 2 · D]`, where `query_BD` holds the one query of each sequence.
    """
    record: _Record = None if plan.weights is None else []
    mixed = []
    # The gradient of a split is one concatenation; that of slices is a full tensor for each slice.
    qkv_of_rectangles = qkv_TD.split(plan.rectangle_tokens)
    for rectangle, blocks, qkv_tD in zip(
        plan.rectangles, plan.blocks, qkv_of_rectangles, strict=True
    ):
        if query_BD is None:
            q_bHLE, k_bHLE, v_bHLE = _split_heads(rectangle.pad(qkv_tD), 3, num_heads)
            mixed_bHLE = attend(q_bHLE, k_bHLE, v_bHLE, plan, blocks, record)
            mixed.append(rectangle.unpad(mixed_bHLE.transpose(1, 2)))
        else:
            (q_bH1E,) = _split_heads(query_BD[rectangle.rows, None], 1, num_heads)
            k_bHLE, v_bHLE = _split_heads(rectangle.pad(qkv_tD), 2, num_heads)
            mixed.append(attend(q_bH1E, k_bHLE, v_bHLE, plan, blocks, record).flatten(1))
    if plan.weights is not None and record is not None:
        plan.weights.append(record)
    return torch.cat(mixed)


def _split_heads(x_bLD: Tensor, parts: int, num_heads: int) -> list[Tensor]:
    """Each of the parts that stand side by side, as `[b, H, L, E]`."""
    by_part = x_bLD.unflatten(2, (parts, num_heads, -1)).unbind(2)
    return [part.transpose(1, 2) for part in by_part]


def _softmax_attention(
    q_bHLE: Tensor,
    k_bHLE: Tensor,
    v_bHLE: Tensor,
    plan: AttentionPlan,
    blocks: list[QueryBlock],
    record: _Record,
) -> Tensor:
    if record is not None:  # the fused kernel does not return its weights
        (block,) = blocks
        score = q_bHLE @ k_bHLE.transpose(2, 3) / q_bHLE.shape[3] ** 0.5
        weight = (score + block.bias).softmax(3)
        record.append(weight)
        return weight @ v_bHLE
    if plan.is_plain_causal:
        return F.scaled_dot_product_attention(q_bHLE, k_bHLE, v_bHLE, is_causal=True)
    mixed = [
        F.scaled_dot_product_attention(
            q_bHLE[:, :, block.queries],
            k_bHLE[:, :, : block.num_keys],
            v_bHLE[:, :, : block.num_keys],
            attn_mask=block.bias.to(q_bHLE.dtype),
        )
        for block in blocks
    ]
    return torch.cat(mixed, dim=2)


def _pointwise_attention(
    q_bHLE: Tensor,
    k_bHLE: Tensor,
    v_bHLE: Tensor,
    plan: AttentionPlan,
    blocks: list[QueryBlock],
    record: _Record,
) -> Tensor:
    b, H, _, E = q_bHLE.shape
    # Batched products take one batch axis: rows of the rectangle and heads together.
    q, k, v = q_bHLE.flatten(0, 1), k_bHLE.flatten(0, 1), v_bHLE.flatten(0, 1)
    mixed = []
    for block in blocks:
        query, key, value = q[:, block.queries], k[:, : block.num_keys], v[:, : block.num_keys]
        bias = block.bias.to(q.dtype).expand(b, H, query.shape[1], block.num_keys).flatten(0, 1)
        weight = F.silu(torch.baddbmm(bias, query, key.transpose(1, 2), alpha=E**-0.5))
        if record is not None:
            record.append(weight.unflatten(0, (b, H)))
        mixed.append(weight @ value)
    return torch.cat(mixed, dim=1).unflatten(0, (b, H))
