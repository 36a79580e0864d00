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
SPEC = TableSizes(item_rows=7, user_rows=2, rating_levels=5, item_features=(GENRES, YEAR, EMPTY))
D = SMALL.hidden_size


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


NOBODY = torch.zeros(3, dtype=torch.long), torch.zeros(3, dtype=torch.long)
STATE, ITEMS = drawn(3, D), drawn(7, D, seed=1)


def test_the_cosine_head_scores_the_angle_times_its_factor() -> None:
    head = ItemHead(replace(SMALL, logit_scale=20.0), SPEC)
    parallel = (
        head.output_states(STATE[:1])
        @ head.output_embeddings(torch.stack([STATE[0], -3 * STATE[0]])).T
    )
    assert parallel[0].tolist() == pytest.approx([20, -20])
    score_NV = head.output_states(STATE) @ head.output_embeddings(ITEMS).T
    torch.testing.assert_close(
        head.output_states(5 * STATE) @ head.output_embeddings(ITEMS * 9).T, score_NV
    )
    assert score_NV.abs().max() < 20


def test_the_plain_head_scores_the_dot_product() -> None:
    head = ItemHead(replace(SMALL, cosine_head=False), SPEC)
    torch.testing.assert_close(
        head.output_states(STATE) @ head.output_embeddings(ITEMS).T, STATE @ ITEMS.T
    )


def test_the_rating_depends_on_the_state_and_on_the_item() -> None:
    torch.manual_seed(0)
    head = RatingHead(SMALL, SPEC).eval()
    logits = head(STATE, ITEMS[:3], *NOBODY)
    assert logits.shape == (3, 5)
    assert (logits != head(STATE.flip(0), ITEMS[:3], *NOBODY))[0].any()
    assert (logits != head(STATE, ITEMS[4:7], *NOBODY)).any()


def test_the_rating_depends_on_who_rates_what_beside_the_state() -> None:
    torch.manual_seed(0)
    users, items = torch.tensor([0, 1, 1]), torch.tensor([2, 2, 3])
    same_NR = STATE[:1].expand(3, -1), ITEMS[:1].expand(3, -1)
    with_factors, without = (
        RatingHead(replace(SMALL, rating_factor_size=size), SPEC).eval() for size in (4, 0)
    )
    logits = with_factors(*same_NR, users, items)
    assert not torch.allclose(logits[0], logits[1])
    assert not torch.allclose(logits[1], logits[2])
    assert torch.equal(*without(*same_NR, users, items)[:2])


def test_the_factors_are_biases_and_a_product_along_the_learned_direction() -> None:
    factors = RatingFactors(2, SPEC)
    with torch.no_grad():
        factors.user.weight[1] = torch.tensor([0.1, 0.2, 0.3, 0.4, 0.5, 2.0, 3.0])
        factors.item.weight[4] = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 5.0, 7.0])
    found = factors(torch.tensor([1]), torch.tensor([4]))[0].tolist()
    assert found == pytest.approx([0.1 - 31, 0.2 - 15.5, 0.3, 0.4 + 15.5, 1.5 + 31])
    users, items, rated = (
        torch.tensor([1, 0, 1]),
        torch.tensor([4, 0, 4]),
        torch.tensor([True, True, False]),
    )
    square = factors.square_norm(
        users, items, rated
    )  # of nobody and nothing: zeros; what has no rating does not count
    assert square.item() == pytest.approx((0.1 * (0.55 + 1) + 2.5**0.5 * (13 + 74)) / 2)
    assert factors.square_norm(users[:0], items[:0], rated[:0]).item() == 0


def test_the_penalty_of_the_factors_depends_on_what_they_say_alone() -> None:
    torch.manual_seed(0)
    factors, users, items, rated = (
        RatingFactors(3, SPEC),
        torch.tensor([1]),
        torch.tensor([4]),
        torch.tensor([True]),
    )
    before = factors(users, items), factors.square_norm(users, items, rated)
    with torch.no_grad():
        for table in (factors.user, factors.item):
            table.weight[:, len(factors.direction_R) :] /= 2
        factors.direction_R *= 4
    after = factors(users, items), factors.square_norm(users, items, rated)
    torch.testing.assert_close(after, before)


def test_the_factors_know_nothing_of_strangers_and_learn_nothing_from_them() -> None:
    factors = RatingFactors(3, SPEC)
    assert not factors(torch.tensor([0]), torch.tensor([0])).any()
    (factors(torch.tensor([0, 1]), torch.tensor([2, 2])) ** 2).sum().backward()
    assert factors.user.weight.grad is not None
    assert not factors.user.weight.grad[0].any()
    assert factors.user.weight.grad[1].any()


def test_preferences_are_a_vector_and_the_values_of_multi_valued_features_that_have_any() -> None:
    torch.manual_seed(0)
    taste_ND, values = PreferenceHead(SMALL, SPEC)(STATE)
    assert taste_ND.shape == (3, D)
    assert {name: logits.shape for name, logits in values.items()} == {
        "genres": (3, 5)
    }  # "unknown" is no preference


def test_preferences_are_of_the_state() -> None:
    torch.manual_seed(0)
    head = PreferenceHead(SMALL, SPEC)
    taste_ND, values = head(STATE)
    assert not torch.allclose(taste_ND[0], taste_ND[1])
    assert not torch.allclose(values["genres"][0], values["genres"][1])
