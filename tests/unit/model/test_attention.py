from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bert4rec.data.sequences import Sequences
from bert4rec.ids import NO_TIME
from bert4rec.model.attention import GatedAttention, SoftmaxAttention
from bert4rec.model.attention_bias import AttentionBias
from bert4rec.model.attention_plan import plan_attention, plan_last_token
from bert4rec.model.packing import CPU_LIMITS, padded_rectangles
from small_networks import SMALL, packed, split_sequences

D = SMALL.hidden_size
BOTH_BIASES = replace(SMALL, relative_position=True, relative_time=True)
LENGTHS = (8, 5, 1, 8)


@pytest.fixture(params=[SoftmaxAttention, GatedAttention])
def attention(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return request.param(SMALL).eval()


@pytest.fixture(params=[True, False], ids=["causal", "masked"])
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
    """Events 1, 10, 100, … s apart, each request a minute later; every third time is unknown."""
    times = [1_000_000_000 + 10**position for length in lengths for position in range(length)]
    requests = [NO_TIME if index % 3 == 2 else time + 60 for index, time in enumerate(times)]
    return packed(*lengths, times=times, request_times=requests)


def tokens(*lengths: int, seed: int = 0) -> Tensor:
    return torch.randn(sum(lengths), D, generator=torch.Generator().manual_seed(seed))


def alone(sequences: Sequences, row: int) -> Sequences:
    """One of the sequences, by itself."""
    own_T = sequences.row_T == row
    return Sequences(
        item_T=sequences.item_T[own_T],
        time_T=sequences.time_T[own_T],
        rating_T=sequences.rating_T[own_T],
        request_time_T=sequences.request_time_T[own_T],
        position_T=sequences.position_T[own_T],
        row_T=torch.zeros(sequences.lengths[row], dtype=torch.long),
        user_B=sequences.user_B[row : row + 1],
        length_B=sequences.length_B[row : row + 1],
        lengths=(sequences.lengths[row],),
    )


def by_formula(
    attention: SoftmaxAttention | GatedAttention,
    x_LD: Tensor,
    causal: bool,
    bias_HLL: Tensor | None,
) -> Tensor:
    """Formulas of the papers, one query and one head at a time."""
    L, H = len(x_LD), SMALL.num_heads
    gated = isinstance(attention, GatedAttention)
    projected = attention.project_in(x_LD)
    gate_LD, qkv = (F.silu(projected).split([D, 3 * D], 1)) if gated else (None, projected)
    q, k, v = (part.view(L, H, D // H) for part in qkv.split(D, 1))
    mixed_LD = torch.zeros(L, D)
    for query in range(L):
        keys = range(query + 1) if causal else range(L)
        for head in range(H):
            scores = [q[query, head] @ k[key, head] / (D // H) ** 0.5 for key in keys]
            score = torch.stack(scores)
            if bias_HLL is not None:
                score = score + bias_HLL[head, query, : len(keys)]
            weight = F.silu(score) / len(keys) if gated else score.exp() / score.exp().sum()
            columns = slice(head * D // H, (head + 1) * D // H)
            mixed_LD[query, columns] = sum(
                w * v[key, head] for w, key in zip(weight, keys, strict=True)
            )
    return attention.project_out(attention.norm(mixed_LD) * gate_LD if gated else mixed_LD)


def test_attention_is_the_formula_of_its_paper(attention: nn.Module, causal: bool) -> None:
    x_LD = tokens(7)
    found = attention(x_LD, plan_attention(packed(7), causal, AttentionBias(SMALL)))
    expected = by_formula(attention, x_LD, causal, None)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_learned_bias_is_added_to_the_scores(
    attention: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_LD, sequences = tokens(7), timed(7)
    plan = plan_attention(sequences, causal, bias)
    bias_1HLL = bias(sequences, plan.rectangles[0], torch.arange(7)[None], 7)
    found = attention(x_LD, plan)
    expected = by_formula(attention, x_LD, causal, bias_1HLL[0])
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(found, by_formula(attention, x_LD, causal, None), atol=1e-3)


def test_padding_and_batch_mates_change_nothing(
    attention: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    # 8 positions for a sequence of 1: most of its row is padding.
    assert len(padded_rectangles(sequences)) == 1
    together = split_sequences(attention(x_TD, plan_attention(sequences, causal, bias)), LENGTHS)
    for row, x_LD in enumerate(split_sequences(x_TD, LENGTHS)):
        by_itself = attention(x_LD, plan_attention(alone(sequences, row), causal, bias))
        torch.testing.assert_close(together[row], by_itself, atol=1e-5, rtol=1e-4)


def test_number_of_rectangles_changes_nothing(
    attention: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    in_one = attention(x_TD, plan_attention(sequences, causal, bias))
    limits = replace(CPU_LIMITS, max_scores=2 * 8 * 8)
    in_two = plan_attention(sequences, causal, bias, limits=limits)
    assert [rectangle.shape for rectangle in in_two.rectangles] == [(2, 8), (2, 8)]
    torch.testing.assert_close(attention(x_TD, in_two), in_one, atol=1e-5, rtol=1e-4)


def test_last_token_as_only_query_gets_the_same_values(
    attention: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    limits = replace(CPU_LIMITS, max_scores=2 * 8 * 8, query_block_size=3)
    for learned in (bias, AttentionBias(SMALL)):
        all_tokens = plan_attention(sequences, causal, learned, limits=limits)
        last_tokens = plan_last_token(sequences, causal, learned, all_tokens.rectangles)
        last_BD, all_TD = attention(x_TD, last_tokens), attention(x_TD, all_tokens)
        assert len(last_BD) == len(LENGTHS)
        torch.testing.assert_close(last_BD, all_TD[sequences.last_B], atol=1e-5, rtol=1e-4)


def test_query_blocks_of_a_causal_pass_change_nothing(
    attention: nn.Module, bias: AttentionBias
) -> None:
    x_TD, sequences = tokens(*LENGTHS), timed(*LENGTHS)
    one_block = plan_attention(sequences, True, bias)
    assert [len(blocks) for blocks in one_block.blocks] == [1]
    limits = replace(CPU_LIMITS, query_block_size=3)
    in_blocks = plan_attention(sequences, True, bias, limits=limits)
    assert [(block.queries, block.num_keys) for block in in_blocks.blocks[0]] == [
        (slice(0, 3), 3),
        (slice(3, 6), 6),
        (slice(6, 8), 8),
    ]
    torch.testing.assert_close(
        attention(x_TD, in_blocks), attention(x_TD, one_block), atol=1e-5, rtol=1e-4
    )


def test_causal_pass_never_attends_to_the_future(attention: nn.Module, bias: AttentionBias) -> None:
    x_LD = tokens(6)
    other_LD = torch.cat([x_LD[:4], tokens(2, seed=9)])
    plan = plan_attention(timed(6), True, bias)
    before, after = attention(x_LD, plan), attention(other_LD, plan)
    assert torch.equal(before[:4], after[:4])
    assert (before[4:] != after[4:]).any(1).all()


def test_masked_pass_attends_to_the_whole_sequence(
    attention: nn.Module, bias: AttentionBias
) -> None:
    x_LD = tokens(6).requires_grad_()
    plan = plan_attention(timed(6), False, bias)
    for query in range(6):
        (grad_LD,) = torch.autograd.grad(attention(x_LD, plan)[query].sum(), x_LD)
        assert (grad_LD.abs().sum(1) > 0).all()


def test_causal_token_attends_to_itself_and_what_came_before_in_its_own_sequence(
    attention: nn.Module,
) -> None:
    x_TD = tokens(3, 3).requires_grad_()
    plan = plan_attention(packed(3, 3), True, AttentionBias(SMALL))
    (grad_TD,) = torch.autograd.grad(attention(x_TD, plan)[4].sum(), x_TD)
    assert (grad_TD.abs().sum(1) > 0).tolist() == [False, False, False, True, True, False]


def test_recorded_weights_are_those_that_are_used(
    attention: nn.Module, causal: bool, bias: AttentionBias
) -> None:
    x_LD, sequences = tokens(7), timed(7)
    recording = plan_attention(sequences, causal, bias, record=True)
    recorded = attention(x_LD, recording)
    unrecorded = attention(x_LD, plan_attention(sequences, causal, bias))
    torch.testing.assert_close(recorded, unrecorded, atol=1e-5, rtol=1e-4)
    assert recording.weights is not None
    ((weight_bHLL,),) = recording.weights
    assert weight_bHLL.shape == (1, SMALL.num_heads, 7, 7)
    assert (weight_bHLL.triu(1) == 0).all().item() is causal
    if isinstance(attention, SoftmaxAttention):
        torch.testing.assert_close(weight_bHLL.sum(3), torch.ones(1, SMALL.num_heads, 7))
