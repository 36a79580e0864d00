"""The fused cross-entropy, its candidates and soft targets, against torch's own operations."""

from __future__ import annotations

from dataclasses import replace
from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.ids import FIRST_ITEM, MASK, PAD
from bert4rec.training import cross_entropy
from bert4rec.training.cross_entropy import SoftTargets, linear_cross_entropy
from bert4rec.training.seen_items import SeenItems
from small_networks import packed

S, D, V, X = 50, 6, 40, 3


@pytest.fixture
def query() -> Tensor:
    return drawn(S, D, seed=1)


@pytest.fixture
def key() -> Tensor:
    return drawn(V, D, seed=2)


@pytest.fixture
def bias() -> Tensor:
    return drawn(V, seed=3)


def drawn(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).requires_grad_()


def targets(count: int = X) -> tuple[Tensor, Tensor]:
    """Real items, and shares that sum to 1; some targets of some rows count nothing."""
    random = torch.Generator().manual_seed(4)
    item_SX = torch.randint(FIRST_ITEM, V, (S, count), generator=random)
    share_SX = torch.rand(S, count, generator=random)
    share_SX[::4, 1:] = 0
    item_SX[::4, 1:] = PAD
    return item_SX, share_SX / share_SX.sum(1, keepdim=True)


def oracle(
    query: Tensor, key: Tensor, bias: Tensor | None, item_SX: Tensor, share_SX: Tensor
) -> Tensor:
    """torch's own cross-entropy of the whole [S, V] at once, PAD and MASK cut off."""
    logit_SV = (query @ key.T + (0 if bias is None else bias))[:, FIRST_ITEM:]
    true_SV = torch.zeros_like(logit_SV).scatter_add(
        1, (item_SX - FIRST_ITEM).clamp(min=0), share_SX
    )
    return F.cross_entropy(logit_SV, true_SV)


@pytest.fixture(params=[1_000_000, 16 * 4 * (V - FIRST_ITEM)], ids=["one piece", "several pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cross_entropy, "PIECE_BYTES", {"cpu": request.param, "cuda": request.param})


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("targets_a_row", [1, X])
@pytest.mark.parametrize("biased", [False, True])
def test_value_and_gradients_equal_those_of_torchs_cross_entropy(
    query: Tensor, key: Tensor, bias: Tensor, targets_a_row: int, biased: bool
) -> None:
    learned = [query, key, *([bias] if biased else [])]
    found = [
        function(query, key, bias if biased else None, *targets(targets_a_row))
        for function in both()
    ]
    torch.testing.assert_close(*found)
    grads = [
        torch.autograd.grad(3 * loss, learned) for loss in found
    ]  # 3: what comes from above counts
    for mine, torchs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, torchs, atol=1e-6, rtol=1e-4)


def both() -> tuple:
    return linear_cross_entropy, oracle


def test_one_target_is_the_plain_cross_entropy(query: Tensor, key: Tensor) -> None:
    item_S = torch.arange(S) % (V - FIRST_ITEM) + FIRST_ITEM
    plain = F.cross_entropy((query @ key.T)[:, FIRST_ITEM:], item_S - FIRST_ITEM)
    torch.testing.assert_close(
        linear_cross_entropy(query, key, None, item_S[:, None], torch.ones(S, 1)), plain
    )


def test_by_hand_two_items_score_alike() -> None:
    output_VD = torch.tensor([[9.0], [9.0], [1.0], [1.0]])  # PAD and MASK would score best
    loss = linear_cross_entropy(
        torch.ones(1, 1), output_VD, None, torch.tensor([[FIRST_ITEM]]), torch.ones(1, 1)
    )
    assert loss.item() == pytest.approx(log(2))


def test_pad_and_mask_are_no_candidates(query: Tensor, key: Tensor, bias: Tensor) -> None:
    before = linear_cross_entropy(query, key, bias, *targets())
    grad_key, grad_bias = torch.autograd.grad(before, [key, bias])
    assert not grad_key[:FIRST_ITEM].any()
    assert not grad_bias[:FIRST_ITEM].any()
    with torch.no_grad():
        key[[PAD, MASK]], bias[[PAD, MASK]] = 50.0, 50.0
    assert torch.equal(linear_cross_entropy(query, key, bias, *targets()), before)


def test_a_row_without_targets_costs_nothing_and_does_not_count(query: Tensor, key: Tensor) -> None:
    item_SX, share_SX = targets()
    whole = linear_cross_entropy(query[1:2], key, None, item_SX[1:2], share_SX[1:2])
    share_SX[0] = 0
    both = linear_cross_entropy(query[:2], key, None, item_SX[:2], share_SX[:2])
    torch.testing.assert_close(both, whole)


def test_huge_scores_neither_overflow_nor_vanish(key: Tensor) -> None:
    query = torch.full((2, D), 1e4, requires_grad=True)
    loss = linear_cross_entropy(query, key, None, torch.full((2, 1), FIRST_ITEM), torch.ones(2, 1))
    loss.backward()
    assert loss.isfinite()
    assert query.grad is not None
    assert query.grad.isfinite().all()


def test_in_bf16_value_and_gradients_are_near(query: Tensor, key: Tensor, bias: Tensor) -> None:
    exact = linear_cross_entropy(query, key, bias, *targets())
    with torch.autocast("cpu", torch.bfloat16):
        rounded = linear_cross_entropy(query, key, bias, *targets())
    assert rounded.dtype == torch.float32
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    assert rounded.item() != exact.item()
    for mine, true in zip(
        *(torch.autograd.grad(loss, [query, key, bias]) for loss in (rounded, exact)), strict=True
    ):
        assert mine.dtype == torch.float32
        assert (mine - true).abs().max() < 0.05 * true.abs().max()


def test_without_gradients_only_the_value_is_computed(query: Tensor, key: Tensor) -> None:
    with torch.no_grad():
        assert linear_cross_entropy(query, key, None, *targets()).requires_grad is False


# Candidates


def seen_by_row() -> tuple[SeenItems, list[list[int]]]:
    """Row s sees the items up to its own position, in sequences of four; MASK is no item."""
    items = [MASK, *(FIRST_ITEM + place % 7 for place in range(1, S))]
    lengths = [min(4, S - first) for first in range(0, S, 4)]
    seen = SeenItems(packed(*lengths, items=items), torch.arange(S), causal=True)
    return seen, [items[place - place % 4 : place + 1] for place in range(S)]


@pytest.mark.usefixtures("pieces")
def test_seen_items_are_masked_out_unless_they_are_targets(
    query: Tensor, key: Tensor, bias: Tensor
) -> None:
    seen, of_row = seen_by_row()
    item_S = torch.arange(S) % (V - FIRST_ITEM) + FIRST_ITEM  # for some rows one of the seen ones
    assert any(item in row for item, row in zip(item_S.tolist(), of_row, strict=True))
    by_row = []
    for row, (item, seen_items) in enumerate(zip(item_S.tolist(), of_row, strict=True)):
        candidates = [
            other for other in range(FIRST_ITEM, V) if other == item or other not in seen_items
        ]
        logit = query[row] @ key[candidates].T + bias[candidates]
        by_row.append(-logit.log_softmax(0)[candidates.index(item)])
    found = linear_cross_entropy(query, key, bias, item_S[:, None], torch.ones(S, 1), seen)
    true = torch.stack(by_row).mean()
    torch.testing.assert_close(found, true)
    grads = (torch.autograd.grad(loss, [query, key, bias]) for loss in (found, true))
    for mine, torchs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, torchs, atol=1e-6, rtol=1e-4)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("distilled", [False, True])
def test_cold_start_items_are_masked_out_for_student_and_teacher_and_learn_nothing(
    distilled: bool, query: Tensor, key: Tensor, bias: Tensor
) -> None:
    new = torch.tensor(
        [FIRST_ITEM, FIRST_ITEM + 3]
    )  # the first is where PAD among the targets points to
    known = torch.tensor([row for row in range(V) if row not in new.tolist()])
    place_V = torch.zeros(V, dtype=torch.long).scatter(0, known, torch.arange(len(known)))
    item_SX, share_SX = targets()
    item_SX = torch.where(torch.isin(item_SX, new), FIRST_ITEM + 1, item_SX)
    teacher = SoftTargets(-query.detach(), key.detach(), bias.detach(), 0.4) if distilled else None
    theirs = (
        replace(teacher, output_VD=key.detach()[known], bias_V=bias.detach()[known])
        if teacher
        else None
    )
    found = linear_cross_entropy(query, key, bias, item_SX, share_SX, soft=teacher, cold_item_I=new)
    true = linear_cross_entropy(
        query, key[known], bias[known], place_V[item_SX], share_SX, soft=theirs
    )
    torch.testing.assert_close(found, true)
    grads = [torch.autograd.grad(loss, [query, key, bias]) for loss in (found, true)]
    for mine, others in zip(*grads, strict=True):
        torch.testing.assert_close(mine, others, atol=1e-6, rtol=1e-4)
    assert not grads[0][1][new].any()
    assert not grads[0][2][new].any()


# Soft targets


def teacher(weight: float, biased: bool = True) -> SoftTargets:
    """Scores of its own, from vectors of another width."""
    query_SD, output_VD, bias_V = (
        drawn(*shape, seed=seed).detach() for shape, seed in (((S, 4), 5), ((V, 4), 6), ((V,), 7))
    )
    return SoftTargets(query_SD, output_VD, bias_V if biased else None, weight)


def softly(
    query: Tensor, key: Tensor, bias: Tensor, item_S: Tensor, soft: SoftTargets, barred_SV: Tensor
) -> Tensor:
    """Oracle: torch's cross-entropy on the full table of mixed targets, without masked items."""

    def scores(of_query: Tensor, of_key: Tensor, of_bias: Tensor | None) -> Tensor:
        score_SV = of_query @ of_key.T + (0 if of_bias is None else of_bias)
        return score_SV.masked_fill(barred_SV, -1e9)

    teacher_SV = scores(soft.query_SD, soft.output_VD, soft.bias_V).softmax(1)
    target_SV = (1 - soft.weight) * F.one_hot(item_S, V) + soft.weight * teacher_SV
    return F.cross_entropy(scores(query, key, bias), target_SV)


def barred(seen: list[list[int]] | None, item_S: Tensor) -> Tensor:
    """PAD and MASK, and what was seen unless it is the answer."""
    barred_SV = torch.zeros(S, V, dtype=torch.bool)
    barred_SV[:, :FIRST_ITEM] = True
    for row, items in enumerate(seen or []):
        barred_SV[row, items] = True
    return barred_SV.scatter(1, item_S[:, None], False)


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("hides_seen", [False, True], ids=["all candidates", "seen masked out"])
@pytest.mark.parametrize("biased", [False, True])
def test_soft_targets_have_their_weight_in_the_target(
    query: Tensor, key: Tensor, bias: Tensor, weight: float, hides_seen: bool, biased: bool
) -> None:
    soft = teacher(weight, biased)
    seen, of_row = seen_by_row() if hides_seen else (None, None)
    item_S = torch.arange(S) % (V - FIRST_ITEM) + FIRST_ITEM
    found = linear_cross_entropy(query, key, bias, item_S[:, None], torch.ones(S, 1), seen, soft)
    true = softly(query, key, bias, item_S, soft, barred(of_row, item_S))
    torch.testing.assert_close(found, true)
    grads = (torch.autograd.grad(3 * loss, [query, key, bias]) for loss in (found, true))
    for mine, torchs in zip(*grads, strict=True):
        torch.testing.assert_close(mine, torchs, atol=1e-6, rtol=1e-4)


def test_soft_targets_by_hand() -> None:
    output_VD = torch.tensor(
        [[0.0], [0.0], [1.0], [0.0]]
    )  # the student scores log 3 and 0: 3/4 and 1/4
    doubt = SoftTargets(torch.zeros(1, 1), output_VD, None, weight=0.5)
    query, happened = torch.full((1, 1), log(3)), torch.tensor([[FIRST_ITEM]])
    loss = linear_cross_entropy(query, output_VD, None, happened, torch.ones(1, 1), soft=doubt)
    assert loss.item() == pytest.approx(-(0.75 * log(3 / 4) + 0.25 * log(1 / 4)))


def test_a_student_equal_to_its_teacher_has_no_gradient(key: Tensor, query: Tensor) -> None:
    same = SoftTargets(query.detach(), key.detach(), None, weight=1.0)
    loss = linear_cross_entropy(
        query, key, None, torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1), soft=same
    )
    for grad in torch.autograd.grad(loss, [query, key]):
        torch.testing.assert_close(grad, torch.zeros_like(grad), atol=1e-7, rtol=0)


def test_in_bf16_soft_targets_are_near(query: Tensor, key: Tensor, bias: Tensor) -> None:
    given = (query, key, bias, torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1), None, teacher(0.5))
    exact = linear_cross_entropy(*given)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = linear_cross_entropy(*given)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    for mine, true in zip(
        *(torch.autograd.grad(loss, [query, key, bias]) for loss in (rounded, exact)), strict=True
    ):
        assert (mine - true).abs().max() < 0.05 * true.abs().max()


def test_a_row_without_targets_has_no_soft_targets(
    query: Tensor, key: Tensor, bias: Tensor
) -> None:
    soft, item_S1, share_S1 = teacher(0.5), torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1)
    share_S1[1:] = 0
    found = linear_cross_entropy(query, key, bias, item_S1, share_S1, soft=soft)
    first = replace(soft, query_SD=soft.query_SD[:1])
    torch.testing.assert_close(
        found, linear_cross_entropy(query[:1], key, bias, item_S1[:1], share_S1[:1], soft=first)
    )
