from __future__ import annotations

from dataclasses import replace
from math import cos, sin

import pytest
import torch

from bert4rec.model.embeddings import UserAttention, position_embedding, sinusoidal
from small_networks import SMALL

D, H = SMALL.hidden_size, SMALL.num_heads


def test_sinusoidal_positions_by_hand() -> None:
    expected = [
        [0, 1, 0, 1],
        [sin(1), cos(1), sin(0.01), cos(0.01)],
        [sin(2), cos(2), sin(0.02), cos(0.02)],
    ]
    torch.testing.assert_close(sinusoidal(3, 4), torch.tensor(expected, dtype=torch.float32))


def test_odd_width_ends_with_a_sine() -> None:
    assert sinusoidal(2, 3)[1].tolist() == pytest.approx([sin(1), cos(1), sin(10_000 ** (-2 / 3))])


def test_sinusoidal_positions_have_length_one_and_are_fixed() -> None:
    embedding = position_embedding(SMALL)
    assert embedding is not None
    assert len(embedding.weight) == SMALL.seq_length + 1  # the start token has a position too
    torch.testing.assert_close(embedding.weight.norm(dim=1), torch.ones(SMALL.seq_length + 1))
    assert not embedding.weight.requires_grad


def test_with_a_dot_product_positions_are_as_short_as_new_items() -> None:
    config = replace(SMALL, cosine_head=False)
    embedding = position_embedding(config)
    assert embedding is not None
    lengths = embedding.weight.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, 0.02 * config.hidden_size**0.5))


def test_learned_positions_are_learned() -> None:
    embedding = position_embedding(replace(SMALL, position="learned"))
    assert embedding is not None
    assert embedding.weight.requires_grad
    assert len(embedding.weight) == SMALL.seq_length + 1


def test_setting_none_has_no_position_embedding() -> None:
    assert position_embedding(replace(SMALL, position="none")) is None


@pytest.fixture
def attention() -> UserAttention:
    torch.manual_seed(0)
    return UserAttention(SMALL).eval()


def drawn(*shape: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ROWS = torch.tensor([0, 0, 1])  # two tokens of the first user, one of the second
TOKENS, USERS, CONTEXT = drawn(3, D), drawn(2, 4, D, seed=2), drawn(3, D, seed=3)


def test_weights_sum_to_one_over_user_tokens_and_context(attention: UserAttention) -> None:
    _, weight_TSH = attention(TOKENS, USERS, CONTEXT, ROWS)
    assert weight_TSH.shape == (3, 4 + 1, H)
    torch.testing.assert_close(weight_TSH.sum(1), torch.ones(3, H))


def test_each_token_weighs_user_tokens_for_itself(attention: UserAttention) -> None:
    same_user = CONTEXT[:1].expand(3, D)
    _, weight_TSH = attention(TOKENS, USERS, same_user, ROWS)
    assert (weight_TSH[0] - weight_TSH[1]).abs().max() > 1e-3  # two tokens of one user
    assert weight_TSH[0].std(0).min() > 1e-3  # neither is a plain mean


def test_equal_user_tokens_have_equal_weights(attention: UserAttention) -> None:
    repeated = USERS[:, :1].expand(2, 4, D)
    _, weight_TSH = attention(TOKENS, repeated, USERS[ROWS, 0], ROWS)
    torch.testing.assert_close(weight_TSH, torch.full((3, 5, H), 1 / 5))


def test_every_projection_gets_a_gradient(attention: UserAttention) -> None:
    attention(TOKENS, USERS, CONTEXT, ROWS)[0].square().sum().backward()
    assert attention.query.weight.grad is not None
    assert attention.query.weight.grad.abs().max() > 1e-4


def test_cross_attention_is_the_formula(attention: UserAttention) -> None:
    taken_TD, weight_TSH = attention(TOKENS, USERS, CONTEXT, ROWS)
    E = D // H
    for token, user in enumerate(ROWS.tolist()):
        keys, values = attention.key_value(
            torch.cat([USERS[user], CONTEXT[token : token + 1]])
        ).split(D, dim=1)
        query = attention.query(attention.norm(TOKENS[token]))
        mixed = []
        for head in range(H):
            own = slice(head * E, (head + 1) * E)
            weight = (keys[:, own] @ query[own] / E**0.5).softmax(0)
            torch.testing.assert_close(weight_TSH[token, :, head], weight)
            mixed.append(weight @ values[:, own])
        torch.testing.assert_close(
            taken_TD[token], attention.project_out(torch.cat(mixed)), atol=1e-6, rtol=1e-4
        )


def test_tokens_attend_to_their_own_user_alone(attention: UserAttention) -> None:
    before = attention(TOKENS, USERS, CONTEXT, ROWS)[0]
    after = attention(TOKENS, torch.stack([USERS[0], drawn(4, D, seed=9)]), CONTEXT, ROWS)[0]
    assert torch.equal(before[:2], after[:2])
    assert (before[2] != after[2]).any()
