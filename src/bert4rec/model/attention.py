"""Attention over packed tokens: who sees whom, the learned biases, and the two kinds of attention.

All else in the network works token by token on `[T, D]`. Attention alone needs rectangles, so sequences of similar
length share a `Grid`, and little of it is padding.

Legend: T tokens, B sequences, X tokens that ask (all, or one a sequence), D width, H heads, E width of a head; in one
grid t tokens, b sequences, L places, A query places.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.config import ModelConfig
from bert4rec.data.sequences import Sequences
from bert4rec.model.temporal import HALF_OCTAVES, half_octave

MASKED_SCORE = -1e4
"""The score of what may not be seen: its softmax and its SiLU are exactly 0."""


@dataclass(frozen=True)
class Cutting:
    """How attention is cut into rectangles: what is left out costs nothing, and every piece costs its own start."""

    scores: int
    """The most attention scores of one head in one grid, unless one sequence alone has more."""
    shortest: float
    """A sequence below this share of the longest one in its grid opens the next grid, if the grid has a few already."""
    rows: int
    """Query places that a causal look works on at once; the keys behind the last of them are left out."""


SMALL_PIECES = Cutting(scores=2**20, shortest=0.8, rows=64)
"""For a CPU, where arithmetic is what takes time; 4 MiB of scores."""
LARGE_PIECES = Cutting(scores=2**23, shortest=0.0, rows=2**20)
"""For a GPU, where starting a piece takes longer than its padding."""


def cutting(device: torch.device) -> Cutting:
    """What suits the device."""
    return SMALL_PIECES if device.type == "cpu" else LARGE_PIECES


@dataclass(frozen=True)
class Grid:
    """Neighbouring sequences laid out as a rectangle of `b` rows and `L` places."""

    rows: slice
    tokens: slice
    shape: tuple[int, int]
    slot_t: Tensor
    """The place of each token in the flattened rectangle."""

    def spread(self, x_tD: Tensor) -> Tensor:
        """The grid's tokens as `[b, L, D]`, zeros where no token is."""
        b, L = self.shape
        if len(x_tD) < b * L:
            x_tD = x_tD.new_zeros(b * L, x_tD.shape[1]).index_copy(0, self.slot_t, x_tD)
        return x_tD.view(b, L, -1)

    def collect(self, x_bLD: Tensor) -> Tensor:
        """The tokens of a rectangle, packed again: `[t, D]`."""
        b, L = self.shape
        x_tD = x_bLD.reshape(b * L, -1)
        return x_tD if len(self.slot_t) == b * L else x_tD[self.slot_t]


def make_grids(sequences: Sequences, cut: Cutting = SMALL_PIECES) -> list[Grid]:
    """Cuts the sequences, in their order, into rectangles with little padding; sort by length for the least."""
    grids, row, token = [], 0, 0
    while row < len(sequences.lengths):
        stop = _end_of_grid(sequences.lengths, row, cut)
        lengths = sequences.lengths[row:stop]
        L, tokens = max(lengths), slice(token, token + sum(lengths))
        slot_t = (sequences.row_T[tokens] - row) * L + sequences.position_T[tokens]
        grids.append(Grid(slice(row, stop), tokens, (len(lengths), L), slot_t))
        row, token = stop, tokens.stop
    return grids


def _end_of_grid(lengths: Sequence[int], first: int, cut: Cutting) -> int:
    longest = lengths[first]
    for stop in range(first + 1, len(lengths)):
        length, size = lengths[stop], stop - first
        longest = max(longest, length)
        if (size + 1) * longest * longest > cut.scores or (
            size >= 4 and length < cut.shortest * longest
        ):
            return stop
    return len(lengths)


@dataclass(frozen=True)
class Part:
    """Some query places of one grid, and the key places that any of them may see: a causal look computes no others."""

    rows: slice
    reach: int
    bias: Tensor
    """`[b or 1, H or 1, A or 1, reach]`, added to the scores; MASKED_SCORE where the query may not see the key."""


@dataclass
class Look:
    """What every layer's attention needs to know of the sequences: computed once, shared by all layers."""

    grids: list[Grid]
    parts: list[list[Part]]
    """Those of each grid."""
    plain: bool
    """Whether tokens see all that came before them and nothing is added to their scores."""
    seen_X: Tensor
    """How many places each token that asks sees."""
    asked_B: Tensor | None = None
    """The one token of each sequence that asks, where not all of them do."""
    record: list[list[Tensor]] | None = field(default=None)
    """Where attention weights are kept, per layer and grid, when someone wants to look at them."""

    @property
    def tokens(self) -> list[int]:
        """How many tokens each grid has; together they are all."""
        return [len(grid.slot_t) for grid in self.grids]

    def asking(self, x_TD: Tensor) -> Tensor:
        """The tokens that ask, `[X, D]`."""
        return x_TD if self.asked_B is None else x_TD[self.asked_B]


class AttentionBias(nn.Module):
    """Learned biases by distance in events, and by the time between the request and the event attended to.

    Time as in HSTU's relative time bias (Zhai et al. 2024, section 4), in half-octave buckets of
    request time minus event time. A token whose request time is unknown asks at its own time, with rows of its own.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.reach = config.seq_length + 1
        H = config.num_heads
        self.distance_ZH = (
            nn.Parameter(torch.zeros(2 * self.reach, H)) if config.relative_position else None
        )
        self.time_ZH = (
            nn.Parameter(torch.zeros(4 * HALF_OCTAVES, H)) if config.relative_time else None
        )

    @property
    def learns(self) -> bool:
        """Whether there is any bias."""
        return self.distance_ZH is not None or self.time_ZH is not None

    def forward(
        self, sequences: Sequences, grid: Grid, asked_bA: Tensor, reach: int
    ) -> Tensor | None:
        """The bias `[b or 1, H, A, reach]` of some query places of one grid, None where neither kind is on."""
        kinds = []
        if self.distance_ZH is not None:
            distance_bAL = asked_bA[:, :, None] - torch.arange(reach, device=asked_bA.device)
            distance_bAL = distance_bAL.clamp(1 - self.reach, self.reach - 1) + self.reach
            kinds.append(_by_bucket(self.distance_ZH, distance_bAL))
        if self.time_ZH is not None:
            kinds.append(_by_bucket(self.time_ZH, _time_buckets(sequences, grid, asked_bA, reach)))
        return sum(kinds[1:], kinds[0]) if kinds else None


def _by_bucket(table_WH: Tensor, bucket_bLL: Tensor) -> Tensor:
    """The bias `[b, H, A, L]` of each bucket."""
    return (
        _selected(table_WH, bucket_bLL)
        if bucket_bLL.device.type == "cpu"
        else _gathered(table_WH, bucket_bLL)
    )


def _selected(table_WH: Tensor, bucket_bLL: Tensor) -> Tensor:
    """For a CPU: gradients of a selection add up far faster than those of an embedding."""
    bias_HbLL = table_WH.T.index_select(1, bucket_bLL.flatten()).unflatten(1, bucket_bLL.shape)
    return bias_HbLL.transpose(0, 1).contiguous()


def _gathered(table_WH: Tensor, bucket_bLL: Tensor) -> Tensor:
    """For a GPU: gradients add up in a table for each query first, so that few of its threads wait for one another."""
    b, L, places = bucket_bLL.shape
    W, H = table_WH.shape
    table_bHLW = table_WH.T[None, :, None].expand(b, H, L, W)
    return table_bHLW.gather(3, bucket_bLL[:, None].expand(b, H, L, places))


def _time_buckets(sequences: Sequences, grid: Grid, asked_bA: Tensor, reach: int) -> Tensor:
    """0 unknown; then half-octaves into the past, then into the future; all again where no request time is known."""
    time_t, request_t = sequences.time_T[grid.tokens], sequences.request_time_T[grid.tokens]
    asked_bA = asked_bA.expand(grid.shape[0], -1)
    now_bA = _lay(grid, torch.where(request_t < 0, time_t, request_t)).gather(1, asked_bA)
    time_bL = _lay(grid, time_t)[:, :reach]
    unasked_bA = _lay(grid, (request_t < 0).long()).clamp(min=0).gather(1, asked_bA)
    apart_bAL = now_bA[:, :, None] - time_bL[:, None, :]
    bucket_bAL = half_octave(apart_bAL.abs()) + HALF_OCTAVES * (apart_bAL < 0)
    known_bAL = (now_bA >= 0)[:, :, None] & (time_bL >= 0)[:, None, :]
    return bucket_bAL * known_bAL + 2 * HALF_OCTAVES * unasked_bA[:, :, None]


def _lay(grid: Grid, value_t: Tensor) -> Tensor:
    """Values of a grid's tokens as `[b, L]`, −1 where no token is."""
    b, L = grid.shape
    return value_t.new_full((b * L,), -1).index_copy(0, grid.slot_t, value_t).view(b, L)


def look(sequences: Sequences, causal: bool, bias: AttentionBias, record: bool = False) -> Look:
    """Who sees whom: in a causal look each token what came before it and itself, else the whole sequence.

    Where weights are recorded, or tokens see what comes after them, each grid is one part.
    """
    cut, device = cutting(sequences.item_T.device), sequences.item_T.device
    grids = make_grids(sequences, cut)
    rows_at_once = cut.rows if causal and not record else max(sequences.lengths, default=1)

    def part(grid: Grid, rows: slice, reach: int) -> Part:
        asked_1A = torch.arange(grid.shape[1], device=device)[None, rows]
        return Part(rows, reach, _bias(sequences, grid, asked_1A, reach, causal, bias))

    return Look(
        grids=grids,
        parts=[
            [part(grid, rows, reach) for rows, reach in _parts(grid.shape[1], rows_at_once)]
            for grid in grids
        ],
        plain=causal and not bias.learns,
        seen_X=_seen(sequences, causal),
        record=[] if record else None,
    )


def last_look(sequences: Sequences, causal: bool, bias: AttentionBias, grids: list[Grid]) -> Look:
    """The same where the last token of each sequence alone asks: each grid is one part with one query a sequence."""
    place_B1 = (sequences.length_B - 1).clamp(min=0)[:, None]

    def part(grid: Grid) -> Part:
        reach = grid.shape[1]
        return Part(
            slice(None), reach, _bias(sequences, grid, place_B1[grid.rows], reach, causal, bias)
        )

    asked_B = sequences.last_B
    return Look(
        grids, [[part(grid)] for grid in grids], False, _seen(sequences, causal)[asked_B], asked_B
    )


def _bias(
    sequences: Sequences,
    grid: Grid,
    asked_bA: Tensor,
    reach: int,
    causal: bool,
    bias: AttentionBias,
) -> Tensor:
    """What is learned, or zeros; MASKED_SCORE where the query may not see the key."""
    visible = _visible(asked_bA, reach, sequences.length_B[grid.rows], causal)
    learned = bias(sequences, grid, asked_bA, reach)
    blank = torch.zeros(visible.shape, device=visible.device) if learned is None else learned
    return blank.masked_fill(~visible, MASKED_SCORE)


def _seen(sequences: Sequences, causal: bool) -> Tensor:
    """How many places each token sees."""
    return sequences.position_T + 1 if causal else sequences.length_B.clamp(min=1)[sequences.row_T]


def _parts(length: int, rows: int) -> list[tuple[slice, int]]:
    """Query places, so many at once, and how many key places they look at: those up to the last query."""
    stops = [min(first + rows, length) for first in range(0, length, rows)]
    return [(slice(first, stop), stop) for first, stop in zip([0, *stops], stops, strict=False)]


def _visible(asked_bA: Tensor, reach: int, length_b: Tensor, causal: bool) -> Tensor:
    place_L = torch.arange(reach, device=length_b.device)
    if causal:  # padding lies behind every token, where a causal look never goes
        return (asked_bA[:, :, None] >= place_L)[:, None]
    return (place_L < length_b[:, None])[:, None, None]


_Attend = Callable[[Tensor, Tensor, Tensor, Look, list[Part], "list[Tensor] | None"], Tensor]


class SoftmaxAttention(nn.Module):
    """Multi-head scaled dot-product attention (Vaswani et al. 2017, section 3.2)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.project_in = nn.Linear(config.hidden_size, 3 * config.hidden_size)
        self.project_out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x_TD: Tensor, at: Look) -> Tensor:
        """The mixture of the values that each token that asks sees, `[X, D]`."""
        asking, others = _projected(self.project_in, x_TD, at, alone=x_TD.shape[1])
        return self.project_out(_over_grids(asking, others, self.num_heads, at, _softmax_attention))


class GatedAttention(nn.Module):
    """HSTU's pointwise attention with an elementwise gate (Zhai et al. 2024, equations 1–3).

    SiLU of the scores, divided by the number of places seen, in place of a softmax.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.num_heads = config.num_heads
        self.project_in = nn.Linear(config.hidden_size, 4 * config.hidden_size)
        self.norm = nn.LayerNorm(config.hidden_size)
        self.project_out = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, x_TD: Tensor, at: Look) -> Tensor:
        """The gated mixture of the values that each token that asks sees, `[X, D]`."""
        D = x_TD.shape[1]
        asking, others = _projected(self.project_in, x_TD, at, alone=2 * D)
        if asking is None:
            gate_XD, qkv_TD = F.silu(others).tensor_split([D], dim=1)
            mixed_XD = _over_grids(None, qkv_TD, self.num_heads, at, _pointwise_attention)
        else:
            gate_XD, q_XD = F.silu(asking).tensor_split([D], dim=1)
            mixed_XD = _over_grids(q_XD, F.silu(others), self.num_heads, at, _pointwise_attention)
        return self.project_out(self.norm(mixed_XD / at.seen_X[:, None]) * gate_XD)


def _projected(
    project: nn.Linear, x_TD: Tensor, at: Look, alone: int
) -> tuple[Tensor | None, Tensor]:
    """The first `alone` columns for the tokens that ask, if not all do, and the rest for all; else all for all."""
    if at.asked_B is None:
        return None, project(x_TD)
    weight, bias = project.weight, project.bias
    return F.linear(at.asking(x_TD), weight[:alone], bias[:alone]), F.linear(
        x_TD, weight[alone:], bias[alone:]
    )


def _over_grids(
    q_BD: Tensor | None, qkv_TD: Tensor, num_heads: int, at: Look, attend: _Attend
) -> Tensor:
    """Attention grid by grid over packed queries, keys and values (`[T, 3 · H · E]`).

    Where one token of each sequence asks, over its query (`[B, H · E]`), and all keys and values (`[T, 2 · H · E]`).
    """
    kept: list[Tensor] | None = [] if at.record is not None else None
    pieces = []
    # The grids follow one another: the gradient of a split is one concatenation, that of slices a full row for each.
    for grid, parts, qkv_tD in zip(at.grids, at.parts, qkv_TD.split(at.tokens), strict=True):
        if q_BD is None:
            q_bHLE, k_bHLE, v_bHLE = _heads(grid.spread(qkv_tD), 3, num_heads)
            out_bHLE = attend(q_bHLE, k_bHLE, v_bHLE, at, parts, kept)
            pieces.append(grid.collect(out_bHLE.transpose(1, 2)))
        else:
            (q_bH1E,) = _heads(q_BD[grid.rows, None], 1, num_heads)
            k_bHLE, v_bHLE = _heads(grid.spread(qkv_tD), 2, num_heads)
            pieces.append(attend(q_bH1E, k_bHLE, v_bHLE, at, parts, kept).flatten(1))
    if at.record is not None and kept is not None:
        at.record.append(kept)
    return torch.cat(pieces)


def _heads(x_bLD: Tensor, kinds: int, num_heads: int) -> list[Tensor]:
    """Each kind as `[b, H, L, E]`."""
    return [part.transpose(1, 2) for part in x_bLD.unflatten(2, (kinds, num_heads, -1)).unbind(2)]


def _softmax_attention(
    q: Tensor, k: Tensor, v: Tensor, at: Look, parts: list[Part], kept: list[Tensor] | None
) -> Tensor:
    if kept is not None:
        (part,) = parts
        kept.append((q @ k.transpose(2, 3) / q.shape[3] ** 0.5 + part.bias).softmax(3))
        return kept[-1] @ v
    if at.plain:
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)
    mixed = [
        F.scaled_dot_product_attention(
            q[:, :, part.rows],
            k[:, :, : part.reach],
            v[:, :, : part.reach],
            attn_mask=part.bias.to(q.dtype),
        )
        for part in parts
    ]
    return torch.cat(mixed, dim=2)


def _pointwise_attention(
    q: Tensor, k: Tensor, v: Tensor, at: Look, parts: list[Part], kept: list[Tensor] | None
) -> Tensor:
    b, H, _, E = q.shape
    q, k, v = q.flatten(0, 1), k.flatten(0, 1), v.flatten(0, 1)
    mixed = []
    for part in parts:
        asked, seen = q[:, part.rows], k[:, : part.reach]
        bias = part.bias.to(q.dtype).expand(b, H, asked.shape[1], part.reach).flatten(0, 1)
        weight = F.silu(torch.baddbmm(bias, asked, seen.transpose(1, 2), alpha=E**-0.5))
        if kept is not None:
            kept.append(weight.unflatten(0, (b, H)))
        mixed.append(weight @ v[:, : part.reach])
    return torch.cat(mixed, dim=1).unflatten(0, (b, H))
