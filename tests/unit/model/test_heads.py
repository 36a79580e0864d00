from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from bert4rec.data.features import Kind
from bert4rec.model.heads import ItemHead, PreferenceHead, RatingFactors, RatingHead
from bert4rec.model.table_sizes import FeatureSize, TableSizes
from small_networks import SMALL

GENRES = FeatureSize("genres", Kind.MULTI, rows=6, width=2)
YEAR = FeatureSize("year", Kind.CATEGORICAL, rows=4)
EMPTY = FeatureSize("tags", Kind.MULTI, rows=1, width=1)
SIZES = TableSizes(item_rows=7, user_rows=2, rating_levels=5, item_features=(GENRES, YEAR, EMPTY))
D = SMALL.hidden_size


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


UNKNOWN_PAIRS = torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)
STATE, ITEMS = drawn(3, D), drawn(7, D, seed=1)


def test_cosine_head_scores_the_cosine_times_logit_scale() -> None:
    head = ItemHead(replace(SMALL, logit_scale=20.0), SIZES)
    parallel = (
        head.output_states(STATE[:1])
        @ head.output_embeddings(torch.stack([STATE[0], -3 * STATE[0]])).T
    )
    assert parallel[0].tolist() == pytest.approx([20, -20])
    score_XV = head.output_states(STATE) @ head.output_embeddings(ITEMS).T
    torch.testing.assert_close(
        head.output_states(5 * STATE) @ head.output_embeddings(ITEMS * 9).T, score_XV
    )
    assert score_XV.abs().max() < 20


def test_plain_head_scores_the_dot_product() -> None:
    head = ItemHead(replace(SMALL, cosine_head=False), SIZES)
    torch.testing.assert_close(
        head.output_states(STATE) @ head.output_embeddings(ITEMS).T, STATE @ ITEMS.T
    )


def test_rating_depends_on_state_and_item() -> None:
    torch.manual_seed(0)
    head = RatingHead(SMALL, SIZES).eval()
    logits = head(STATE, ITEMS[:3], *UNKNOWN_PAIRS)
    assert logits.shape == (3, 5)
    assert (logits != head(STATE.flip(0), ITEMS[:3], *UNKNOWN_PAIRS))[0].any()
    assert (logits != head(STATE, ITEMS[4:7], *UNKNOWN_PAIRS)).any()


def test_rating_factors_depend_on_user_and_item() -> None:
    torch.manual_seed(0)
    users, items = torch.tensor([0, 1, 1]), torch.tensor([2, 2, 3])
    same_NR = STATE[:1].expand(3, -1), ITEMS[:1].expand(3, -1)
    with_factors, without = (
        RatingHead(replace(SMALL, rating_factor_size=size), SIZES).eval() for size in (4, 0)
    )
    logits = with_factors(*same_NR, users, items)
    assert not torch.allclose(logits[0], logits[1])
    assert not torch.allclose(logits[1], logits[2])
    assert torch.equal(*without(*same_NR, users, items)[:2])


def test_rating_factors_are_biases_and_a_product_along_the_learned_direction() -> None:
    factors = RatingFactors(2, SIZES)
    with torch.no_grad():
        factors.user.weight[1] = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 3.0])
        factors.item.weight[4] = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 5.0, 7.0])
    found = factors(torch.tensor([1]), torch.tensor([4]))[0].tolist()
    assert found == pytest.approx([0.1 - 31, 0.2 - 15.5, 0.3, 0.4 + 15.5, 1.5 + 31])
    users, items = torch.tensor([1, 0, 1]), torch.tensor([4, 0, 4])
    rated = torch.tensor([True, True, False])
    # The unknown user and PAD have zeros; an event without a rating does not count.
    square = factors.square_norm(users, items, rated)
    assert square.item() == pytest.approx((0.1 * (0.55 + 1) + 2.5**0.5 * (13 + 74)) / 2)
    assert factors.square_norm(users[:0], items[:0], rated[:0]).item() == 0


def test_penalty_depends_on_the_logits_of_the_factors_alone() -> None:
    torch.manual_seed(0)
    factors = RatingFactors(3, SIZES)
    users, items, rated = torch.tensor([1]), torch.tensor([4]), torch.tensor([True])
    before = factors(users, items), factors.square_norm(users, items, rated)
    with torch.no_grad():
        for table in (factors.user, factors.item):
            table.weight[:, len(factors.direction_R) :] /= 2
        factors.direction_R *= 4
    after = factors(users, items), factors.square_norm(users, items, rated)
    torch.testing.assert_close(after, before)


def test_cold_start_users_have_zero_factors_without_gradient() -> None:
    factors = RatingFactors(3, SIZES)
    assert not factors(torch.tensor([0]), torch.tensor([0])).any()
    (factors(torch.tensor([0, 1]), torch.tensor([2, 2])) ** 2).sum().backward()
    assert factors.user.weight.grad is not None
    assert not factors.user.weight.grad[0].any()
    assert factors.user.weight.grad[1].any()


def test_preferences_are_a_vector_and_logits_of_multi_valued_features() -> None:
    torch.manual_seed(0)
    preference_BD, values = PreferenceHead(SMALL, SIZES)(STATE)
    assert preference_BD.shape == (3, D)
    # "unknown" is no preference
    assert {name: logits.shape for name, logits in values.items()} == {"genres": (3, 5)}


def test_preferences_depend_on_the_state() -> None:
    torch.manual_seed(0)
    head = PreferenceHead(SMALL, SIZES)
    preference_BD, values = head(STATE)
    assert not torch.allclose(preference_BD[0], preference_BD[1])
    assert not torch.allclose(values["genres"][0], values["genres"][1])
