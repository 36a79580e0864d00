from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.data.sequences import Sequences
from bert4rec.ids import NO_TIME
from bert4rec.model import attention
from bert4rec.model.attention import (
    SMALL_PIECES,
    AttentionBias,
    GatedAttention,
    SoftmaxAttention,
    cutting,
    last_look,
    look,
    make_grids,
)
from bert4rec.model.temporal import HALF_OCTAVES
from small_networks import SMALL, packed, parts

D = SMALL.hidden_size
BOTH_BIASES = replace(SMALL, relative_position=True, relative_time=True)
LENGTHS = (8, 5, 1, 8)


@pytest.fixture(params=[SoftmaxAttention, GatedAttention])
def attend(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return request.param(SMALL).eval()


@pytest.fixture(params=[True, False], ids=["causal", "full"])
def causal(request: pytest.FixtureRequest) -> bool:
    return request.param


@pytest.fixture
def bias() -> AttentionBias:
    """Both biases, with weights that matter."""
    torch.manual_seed(1)
    made = AttentionBias(BOTH_BIASES)
    for parameter in made.parameters():
        nn.init.normal_(parameter)
    return made


def timed(*lengths: int) -> Sequences:
    """Events 1, 10, 100, … seconds apart, each asked for a minute after it; every third at an unknown time."""
    times = [1_000_000_000 + 10**place for length in lengths for place in range(length)]
    asked = [NO_TIME if place % 3 == 2 else time + 60 for place, time in enumerate(times)]
    return packed(*lengths, times=times, request_times=asked)


def tokens(*lengths: int, seed: int = 0) -> Tensor:
    return torch.randn(sum(lengths), D, generator=torch.Generator().manual_seed(seed))


def alone(sequences: Sequences, row: int) -> Sequences:
    """One of the sequences, by itself."""
    mine_T = sequences.row_T == row
    return Sequences(
        item_T=sequences.item_T[mine_T],
        time_T=sequences.time_T[mine_T],
        rating_T=sequences.rating_T[mine_T],
        request_time_T=sequences.request_time_T[mine_T],
        position_T=sequences.position_T[mine_T],
        row_T=torch.zeros(sequences.lengths[row], dtype=torch.long),
        user_B=sequences.user_B[row : row + 1],
        length_B=sequences.length_B[row : row + 1],
        lengths=(sequences.lengths[row],),
    )


def plain(
    attend: SoftmaxAttention | GatedAttention, x_LD: Tensor, causal: bool, bias_HLL: Tensor | None
) -> Tensor:
    """The formulas of the papers, one query and one head at a time."""
    L, H = len(x_LD), SMALL.num_heads
    gated = isinstance(attend, GatedAttention)
    projected = attend.project_in(x_LD)
    gate_LD, qkv = (F.silu(projected).split([D, 3 * D], 1)) if gated else (None, projected)
    q, k, v = (part.view(L, H, D // H) for part in qkv.split(D, 1))
    mixed_LD = torch.zeros(L, D)
    for place in range(L):
        seen = range(place + 1) if causal else range(L)
        for head in range(H):
            score = torch.stack([q[place, head] @ k[key, head] / (D // H) ** 0.5 for key in seen])
            if bias_HLL is not None:
                score = score + bias_HLL[head, place, : len(seen)]
            weight = F.silu(score) / len(seen) if gated else score.exp() / score.exp().sum()
            columns = slice(head * D // H, (head + 1) * D // H)
            mixed_LD[place, columns] = sum(
                w * v[key, head] for w, key in zip(weight, seen, strict=True)
            )
    return attend.project_out(attend.norm(mixed_LD) * gate_LD if gated else mixed_LD)


def everywhere(bias: AttentionBias, sequences: Sequences) -> torch.Tensor | None:
    """The bias of every place of the first grid, `[b or 1, H, L, L]`."""
    grid = make_grids(sequences)[0]
    places = grid.shape[1]
    return bias(sequences, grid, torch.arange(places)[None], places)


def test_attention_is_the_formula_of_its_paper(attend: nn.Module, causal: bool) -> None:
    x_LD = tokens(7)
    mine = attend(x_LD, look(packed(7), causal, AttentionBias(SMALL)))
    torch.testing.assert_close(mine, plain(attend, x_LD, causal, None), atol=1e-5, rtol=1e-4)


def test_a_learned_bias_is_added_to_the_scores(
    attend: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_LD, sequences = tokens(7), timed(7)
    at = look(sequences, causal, bias)
    learned_1HLL = everywhere(bias, sequences)
    assert learned_1HLL is not None
    mine = attend(x_LD, at)
    torch.testing.assert_close(
        mine, plain(attend, x_LD, causal, learned_1HLL[0]), atol=1e-5, rtol=1e-4
    )
    assert not torch.allclose(mine, plain(attend, x_LD, causal, None), atol=1e-3)


def test_padding_and_batch_mates_change_nothing(
    attend: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    assert (
        len(make_grids(sequences)) == 1
    )  # 8 places for a sequence of 1: most of its row is padding
    together = parts(attend(x_TD, look(sequences, causal, bias)), LENGTHS)
    for row, x_LD in enumerate(parts(x_TD, LENGTHS)):
        by_itself = attend(x_LD, look(alone(sequences, row), causal, bias))
        torch.testing.assert_close(together[row], by_itself, atol=1e-5, rtol=1e-4)


def test_how_sequences_are_cut_into_rectangles_changes_nothing(
    attend: nn.Module, causal: bool, bias: AttentionBias, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    in_one = attend(x_TD, look(sequences, causal, bias))
    small = replace(SMALL_PIECES, scores=2 * 8 * 8)
    monkeypatch.setattr(attention, "cutting", lambda device: small)
    assert [grid.shape for grid in make_grids(sequences, small)] == [(2, 8), (2, 8)]
    torch.testing.assert_close(
        attend(x_TD, look(sequences, causal, bias)), in_one, atol=1e-5, rtol=1e-4
    )


def test_what_the_last_token_learns_is_the_same_when_it_alone_asks(
    attend: nn.Module, causal: bool, bias: AttentionBias, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    monkeypatch.setattr(
        attention, "cutting", lambda device: replace(SMALL_PIECES, scores=2 * 8 * 8, rows=3)
    )
    for learned in (bias, AttentionBias(SMALL)):
        everybody = look(sequences, causal, learned)
        at = last_look(sequences, causal, learned, everybody.grids)
        alone_BD, all_TD = attend(x_TD, at), attend(x_TD, everybody)
        assert len(alone_BD) == len(LENGTHS)
        torch.testing.assert_close(alone_BD, all_TD[sequences.last_B], atol=1e-5, rtol=1e-4)


def test_the_parts_of_a_causal_look_change_nothing(
    attend: nn.Module, bias: AttentionBias, monkeypatch: pytest.MonkeyPatch
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    whole = look(sequences, True, bias)
    assert [len(parts) for parts in whole.parts] == [1]
    monkeypatch.setattr(attention, "cutting", lambda device: replace(SMALL_PIECES, rows=3))
    cut = look(sequences, True, bias)
    assert [(part.rows, part.reach) for part in cut.parts[0]] == [
        (slice(0, 3), 3),
        (slice(3, 6), 6),
        (slice(6, 8), 8),
    ]
    torch.testing.assert_close(attend(x_TD, cut), attend(x_TD, whole), atol=1e-5, rtol=1e-4)


def test_a_causal_look_never_sees_the_future(attend: nn.Module, bias: AttentionBias) -> None:
    x_LD = tokens(6)
    other_LD = torch.cat([x_LD[:4], tokens(2, seed=9)])
    at = look(timed(6), True, bias)
    before, after = attend(x_LD, at), attend(other_LD, at)
    assert torch.equal(before[:4], after[:4])
    assert (before[4:] != after[4:]).any(1).all()


def test_a_full_look_sees_everything(attend: nn.Module, bias: AttentionBias) -> None:
    x_LD = tokens(6).requires_grad_()
    at = look(timed(6), False, bias)
    for place in range(6):
        (grad_LD,) = torch.autograd.grad(attend(x_LD, at)[place].sum(), x_LD)
        assert (grad_LD.abs().sum(1) > 0).all()


def test_a_causal_token_sees_itself_and_what_came_before_in_its_own_sequence(
    attend: nn.Module,
) -> None:
    x_TD = tokens(3, 3).requires_grad_()
    at = look(packed(3, 3), True, AttentionBias(SMALL))
    (grad_TD,) = torch.autograd.grad(attend(x_TD, at)[4].sum(), x_TD)
    assert (grad_TD.abs().sum(1) > 0).tolist() == [False, False, False, True, True, False]


def test_recorded_weights_are_those_that_are_used(
    attend: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_LD, sequences = tokens(7), timed(7)
    at = look(sequences, causal, bias, record=True)
    recorded = attend(x_LD, at)
    torch.testing.assert_close(
        recorded, attend(x_LD, look(sequences, causal, bias)), atol=1e-5, rtol=1e-4
    )
    assert at.record is not None
    ((weight_bHLL,),) = at.record
    assert weight_bHLL.shape == (1, SMALL.num_heads, 7, 7)
    assert (weight_bHLL.triu(1) == 0).all().item() is causal
    if isinstance(attend, SoftmaxAttention):
        torch.testing.assert_close(weight_bHLL.sum(3), torch.ones(1, SMALL.num_heads, 7))


def test_neighbours_of_similar_length_share_a_rectangle_and_a_shorter_one_opens_the_next() -> None:
    grids = make_grids(packed(10, 10, 9, 8, 7, 3, 3))
    assert [grid.shape for grid in grids] == [
        (4, 10),
        (3, 7),
    ]  # 7 < 0.8 · 10; 7, 3, 3 are too few to cut
    assert [(grid.tokens.start, grid.tokens.stop) for grid in grids] == [(0, 37), (37, 50)]


def test_a_sequence_with_too_many_scores_for_any_rectangle_has_one_of_its_own() -> None:
    assert [grid.shape for grid in make_grids(packed(5, 5), replace(SMALL_PIECES, scores=10))] == [
        (1, 5),
        (1, 5),
    ]


def test_a_gpu_gathers_what_a_cpu_selects() -> None:
    table_WH, bucket_bLL = torch.randn(9, 2, requires_grad=True), torch.randint(0, 9, (3, 4, 5))
    selected, gathered = (
        make(table_WH, bucket_bLL) for make in (attention._selected, attention._gathered)
    )
    assert torch.equal(selected, gathered)
    weight = torch.randn_like(selected)
    grads = [
        torch.autograd.grad((bias * weight).sum(), table_WH)[0] for bias in (selected, gathered)
    ]
    torch.testing.assert_close(*grads)


def test_a_gpu_gets_few_pieces_whatever_their_padding() -> None:
    assert [
        grid.shape
        for grid in make_grids(packed(10, 10, 9, 8, 7, 3, 3), cutting(torch.device("cuda")))
    ] == [(7, 10)]
    assert cutting(torch.device("cpu")) is SMALL_PIECES


def test_spread_tokens_stand_at_their_places_and_padding_is_zero() -> None:
    (grid,) = make_grids(packed(3, 1))
    laid = grid.spread(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    assert laid[..., 0].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert grid.collect(laid)[:, 0].tolist() == [1, 2, 3, 4]


def buckets(bias: AttentionBias, sequences: Sequences) -> list[list[int]]:
    """Of a bias whose every row is its own number: the rows that query places (down) and key places (across) take."""
    for parameter in bias.parameters():
        parameter.data = torch.arange(float(len(parameter)))[:, None].expand_as(parameter)
    found = everywhere(bias, sequences)
    assert found is not None
    return found[0, 0].long().tolist()


def test_the_distance_bias_has_a_row_for_each_distance_in_events() -> None:
    rows = buckets(AttentionBias(replace(SMALL, relative_position=True)), packed(3))
    reach = SMALL.seq_length + 1  # the start token counts
    assert rows == [[reach + query - key for key in range(3)] for query in range(3)]


def test_every_distance_of_the_longest_sequence_has_a_row_of_its_own() -> None:
    longest = SMALL.seq_length + 1
    rows = buckets(AttentionBias(replace(SMALL, relative_position=True)), packed(longest))
    assert len({row for line in rows for row in line}) == 2 * longest - 1


def test_the_time_bias_has_half_octaves_of_request_minus_event_into_the_past_and_the_future() -> (
    None
):
    sequences = packed(3, times=[1000, 1001, 1064], request_times=[1001, 1064, 1065])
    assert buckets(AttentionBias(replace(SMALL, relative_time=True)), sequences) == [
        # 1 s ago, now, in 63 s: 1 + floor(2 log2 63) = 12
        [1, 1, HALF_OCTAVES + 12],
        # 64 s ago, 63 s ago, now
        [13, 12, 1],
        # 65 s, 64 s and 1 s ago
        [13, 13, 1],
    ]


def test_an_unknown_request_asks_at_its_own_time_with_rows_of_its_own() -> None:
    sequences = packed(2, times=[1000, 1064], request_times=[NO_TIME, 1064])
    assert buckets(AttentionBias(replace(SMALL, relative_time=True)), sequences) == [
        [2 * HALF_OCTAVES + 1, 3 * HALF_OCTAVES + 13],
        [13, 1],
    ]


def test_events_of_unknown_time_take_the_unknown_row_and_unknown_requests_too() -> None:
    sequences = packed(2, times=[NO_TIME, 1064], request_times=[NO_TIME, 1064])
    assert buckets(AttentionBias(replace(SMALL, relative_time=True)), sequences) == [
        [2 * HALF_OCTAVES, 2 * HALF_OCTAVES],
        [0, 1],
    ]


def test_both_biases_add_up() -> None:
    sequences = packed(2, times=[1000, 1064])
    both = buckets(AttentionBias(BOTH_BIASES), sequences)
    apart = [
        buckets(AttentionBias(replace(SMALL, **{name: True})), sequences)
        for name in ("relative_position", "relative_time")
    ]
    assert both == [
        [a + b for a, b in zip(*rows, strict=True)] for rows in zip(*apart, strict=True)
    ]


def test_without_either_bias_there_is_none() -> None:
    sequences = packed(3)
    assert everywhere(AttentionBias(SMALL), sequences) is None
