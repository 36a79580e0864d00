from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec.config import TaskWeights
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.ids import FIRST_ITEM, MASK, NO_RATING, PAD
from bert4rec.model.network import Predictions
from bert4rec.training import losses
from bert4rec.training.losses import Seen, SoftTargets, linear_cross_entropy, multi_task_loss
from bert4rec.training.module import value_tables
from small_networks import ALL_TASKS, batch_of, network_of, packed
from small_worlds import dataset_of

S, D, V, C = 50, 6, 40, 3


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


def targets(count: int = C) -> tuple[Tensor, Tensor]:
    """Real items, and shares that sum to 1; some targets of some rows count nothing."""
    random = torch.Generator().manual_seed(4)
    item_SC = torch.randint(FIRST_ITEM, V, (S, count), generator=random)
    share_SC = torch.rand(S, count, generator=random)
    share_SC[::4, 1:] = 0
    item_SC[::4, 1:] = PAD
    return item_SC, share_SC / share_SC.sum(1, keepdim=True)


def oracle(
    query: Tensor, key: Tensor, bias: Tensor | None, item_SC: Tensor, share_SC: Tensor
) -> Tensor:
    """torch's own cross-entropy of the whole [S, V] at once, PAD and MASK cut off."""
    logit_SV = (query @ key.T + (0 if bias is None else bias))[:, FIRST_ITEM:]
    true_SV = torch.zeros_like(logit_SV).scatter_add(
        1, (item_SC - FIRST_ITEM).clamp(min=0), share_SC
    )
    return F.cross_entropy(logit_SV, true_SV)


@pytest.fixture(params=[1_000_000, 16 * 4 * (V - FIRST_ITEM)], ids=["one piece", "several pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(losses, "PIECE_BYTES", {"cpu": request.param, "cuda": request.param})


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("targets_a_row", [1, C])
@pytest.mark.parametrize("biased", [False, True])
def test_value_and_gradients_are_those_of_torchs_cross_entropy(
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
    item_SC, share_SC = targets()
    whole = linear_cross_entropy(query[1:2], key, None, item_SC[1:2], share_SC[1:2])
    share_SC[0] = 0
    both = linear_cross_entropy(query[:2], key, None, item_SC[:2], share_SC[:2])
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


# Items that were seen are no candidates


def seen_by_row() -> tuple[Seen, list[list[int]]]:
    """Row s sees the items up to its own place, in sequences of four; MASK among them means nothing."""
    items = [MASK, *(FIRST_ITEM + place % 7 for place in range(1, S))]
    lengths = [min(4, S - first) for first in range(0, S, 4)]
    seen = Seen(packed(*lengths, items=items), torch.arange(S), causal=True)
    return seen, [items[place - place % 4 : place + 1] for place in range(S)]


@pytest.mark.usefixtures("pieces")
def test_seen_items_are_no_candidates_unless_they_are_the_answer(
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
@pytest.mark.parametrize("taught", [False, True])
def test_new_items_are_no_candidates_of_student_or_teacher_and_learn_nothing(
    taught: bool, query: Tensor, key: Tensor, bias: Tensor
) -> None:
    new = torch.tensor(
        [FIRST_ITEM, FIRST_ITEM + 3]
    )  # the first is where PAD among the targets points to
    known = torch.tensor([row for row in range(V) if row not in new.tolist()])
    place_V = torch.zeros(V, dtype=torch.long).scatter(0, known, torch.arange(len(known)))
    item_SC, share_SC = targets()
    item_SC = torch.where(torch.isin(item_SC, new), FIRST_ITEM + 1, item_SC)
    teacher = SoftTargets(-query.detach(), key.detach(), bias.detach(), 0.4) if taught else None
    theirs = (
        replace(teacher, output_VD=key.detach()[known], bias_V=bias.detach()[known])
        if teacher
        else None
    )
    found = linear_cross_entropy(query, key, bias, item_SC, share_SC, soft=teacher, cold_item_I=new)
    true = linear_cross_entropy(
        query, key[known], bias[known], place_V[item_SC], share_SC, soft=theirs
    )
    torch.testing.assert_close(found, true)
    grads = [torch.autograd.grad(loss, [query, key, bias]) for loss in (found, true)]
    for mine, others in zip(*grads, strict=True):
        torch.testing.assert_close(mine, others, atol=1e-6, rtol=1e-4)
    assert not grads[0][1][new].any()
    assert not grads[0][2][new].any()


@pytest.mark.parametrize("name", ["causal", "masked"])
def test_what_a_gpu_strikes_out_is_what_a_cpu_strikes_out(
    name: str, world: PreparedDataset
) -> None:
    read = getattr(batch_of(world), name)
    seen, items, piece = (
        Seen(read.sequences, read.token_S, causal=name == "causal"),
        world.num_items,
        slice(3, 40),
    )
    row_P, item_P = seen.pairs(piece)
    by_pair_NV = torch.zeros(37, items, dtype=torch.bool)
    by_pair_NV[row_P, item_P - FIRST_ITEM] = True
    assert by_pair_NV.any()
    assert torch.equal(seen.mask(piece, items), by_pair_NV)


def everything_alike(batch: Batch) -> Predictions:
    """Every item scores the same, so that a loss is the logarithm of the number of candidates."""
    output_VD = torch.zeros(FIRST_ITEM + 10, 1)
    rows = {
        name: len(read.item_S)
        for name, read in (("causal", batch.causal), ("masked", batch.masked))
        if read
    }
    return Predictions(
        output_VD, None, **{f"{name}_SD": torch.zeros(count, 1) for name, count in rows.items()}
    )


def test_a_causal_token_has_seen_what_came_before_and_a_masked_one_the_whole_window() -> None:
    dataset = dataset_of([0, 1, 2, 0, 4, 5], num_items=10)  # 0, 1, 2, 0 train
    batch = batch_of(dataset, mask_probability=0.01)
    found = multi_task_loss(everything_alike(batch), batch, ALL_TASKS, {}, exclude_seen=True).parts
    # 0 of 10; 1 without 0; 2 without 0 and 1; 0 again, without 1 and 2
    assert float(found["next_item"]) == pytest.approx((log(10) + log(9) + log(8) + log(8)) / 4)
    assert float(found["item_prediction"]) == pytest.approx(
        log(8)
    )  # the last event, 0 again, without 1 and 2


def test_new_items_are_candidates_of_no_item_task() -> None:
    batch = batch_of(dataset_of([0, 1, 2, 0, 4, 5], num_items=10), mask_probability=0.01)
    alike = replace(
        everything_alike(batch),
        cold_item_I=torch.tensor([9, 10, 11]),
        preference_BD=torch.zeros(1, 1),
    )
    found = multi_task_loss(alike, batch, ALL_TASKS, {}).parts
    assert set(found) == {"item_prediction", "next_item", "user_preference"}
    assert [float(loss) for loss in found.values()] == pytest.approx([log(7)] * 3)


def test_otherwise_every_item_is_a_candidate() -> None:
    batch = batch_of(dataset_of([0, 1, 2, 0, 4, 5], num_items=10), mask_probability=0.01)
    found = multi_task_loss(everything_alike(batch), batch, ALL_TASKS, {}).parts
    assert [float(loss) for loss in found.values()] == pytest.approx([log(10), log(10)])


# What a teacher says is a share of the target


def teacher(weight: float, biased: bool = True) -> SoftTargets:
    """Scores of its own, from vectors of another width."""
    query_SD, output_VD, bias_V = (
        drawn(*shape, seed=seed).detach() for shape, seed in (((S, 4), 5), ((V, 4), 6), ((V,), 7))
    )
    return SoftTargets(query_SD, output_VD, bias_V if biased else None, weight)


def softly(
    query: Tensor, key: Tensor, bias: Tensor, item_S: Tensor, soft: SoftTargets, barred_SV: Tensor
) -> Tensor:
    """torch's own cross-entropy with the whole table of mixed targets; barred items are cut off for both."""

    def scores(of_query: Tensor, of_key: Tensor, of_bias: Tensor | None) -> Tensor:
        score_SV = of_query @ of_key.T + (0 if of_bias is None else of_bias)
        return score_SV.masked_fill(barred_SV, -1e9)

    told_SV = scores(soft.query_SD, soft.output_VD, soft.bias_V).softmax(1)
    target_SV = (1 - soft.weight) * F.one_hot(item_S, V) + soft.weight * told_SV
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
@pytest.mark.parametrize("hides_seen", [False, True], ids=["all candidates", "seen left out"])
@pytest.mark.parametrize("biased", [False, True])
def test_a_teachers_distribution_is_its_share_of_the_target(
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


def test_by_hand_a_sure_student_pays_for_its_teachers_doubt() -> None:
    output_VD = torch.tensor(
        [[0.0], [0.0], [1.0], [0.0]]
    )  # the student scores log 3 and 0: 3/4 and 1/4
    doubt = SoftTargets(torch.zeros(1, 1), output_VD, None, weight=0.5)
    query, happened = torch.full((1, 1), log(3)), torch.tensor([[FIRST_ITEM]])
    loss = linear_cross_entropy(query, output_VD, None, happened, torch.ones(1, 1), soft=doubt)
    assert loss.item() == pytest.approx(-(0.75 * log(3 / 4) + 0.25 * log(1 / 4)))


def test_a_student_that_says_what_its_teacher_says_learns_nothing_more(
    key: Tensor, query: Tensor
) -> None:
    same = SoftTargets(query.detach(), key.detach(), None, weight=1.0)
    loss = linear_cross_entropy(
        query, key, None, torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1), soft=same
    )
    for grad in torch.autograd.grad(loss, [query, key]):
        torch.testing.assert_close(grad, torch.zeros_like(grad), atol=1e-7, rtol=0)


def test_in_bf16_a_teacher_is_near(query: Tensor, key: Tensor, bias: Tensor) -> None:
    given = (query, key, bias, torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1), None, teacher(0.5))
    exact = linear_cross_entropy(*given)
    with torch.autocast("cpu", torch.bfloat16):
        rounded = linear_cross_entropy(*given)
    assert rounded.item() == pytest.approx(exact.item(), rel=0.01)
    for mine, true in zip(
        *(torch.autograd.grad(loss, [query, key, bias]) for loss in (rounded, exact)), strict=True
    ):
        assert (mine - true).abs().max() < 0.05 * true.abs().max()


def test_a_row_that_is_asked_for_nothing_is_not_taught_either(
    query: Tensor, key: Tensor, bias: Tensor
) -> None:
    soft, item_S1, share_S1 = teacher(0.5), torch.full((S, 1), FIRST_ITEM), torch.ones(S, 1)
    share_S1[1:] = 0
    found = linear_cross_entropy(query, key, bias, item_S1, share_S1, soft=soft)
    first = replace(soft, query_SD=soft.query_SD[:1])
    torch.testing.assert_close(
        found, linear_cross_entropy(query[:1], key, bias, item_S1[:1], share_S1[:1], soft=first)
    )


def test_a_teacher_teaches_the_tasks_it_is_asked_of_and_no_other(computed: tuple) -> None:
    predictions, batch, tables = computed
    plain = multi_task_loss(predictions, batch, ALL_TASKS, tables).parts
    uniform = SoftTargets(
        torch.zeros(len(batch.causal.item_S), 1),
        torch.zeros(len(predictions.output_VD), 1),
        None,
        0.5,
    )
    found = multi_task_loss(
        predictions, batch, ALL_TASKS, tables, taught={"next_item": uniform}
    ).parts
    logit_SV = (predictions.causal_SD @ predictions.output_VD.T + predictions.bias_V)[
        :, FIRST_ITEM:
    ]
    torch.testing.assert_close(
        found["next_item"], plain["next_item"] / 2 - logit_SV.log_softmax(1).mean() / 2
    )
    assert all(torch.equal(found[task], plain[task]) for task in plain if task != "next_item")


# The four tasks

WEIGHTS = TaskWeights(
    item_prediction=2.0, next_item=0.5, rating_prediction=3.0, user_preference=0.25
)


@pytest.fixture
def computed(world: PreparedDataset) -> tuple[Predictions, Batch, Mapping[str, Tensor]]:
    batch = batch_of(world)
    return network_of(world, cosine_head=False).eval()(batch), batch, value_tables(world)


def test_the_loss_is_the_weighted_sum_of_its_parts(computed: tuple) -> None:
    predictions, batch, tables = computed
    found = multi_task_loss(predictions, batch, WEIGHTS, tables)
    assert set(found.parts) == {
        "item_prediction",
        "next_item",
        "rating_prediction",
        "user_preference",
    }
    by_hand = sum(
        getattr(WEIGHTS, task) * float(loss.detach()) for task, loss in found.parts.items()
    )
    assert float(found.total.detach()) == pytest.approx(by_hand)
    again = multi_task_loss(predictions, batch, ALL_TASKS, tables)
    assert all(
        torch.equal(found.parts[task], again.parts[task]) for task in found.parts
    )  # parts are unweighted


@pytest.mark.parametrize(
    "task", ["item_prediction", "next_item", "rating_prediction", "user_preference"]
)
def test_a_part_of_weight_0_is_absent(world: PreparedDataset, task: str) -> None:
    weights = replace(WEIGHTS, **{task: 0.0})
    batch = batch_of(world, task_weights=weights)
    found = multi_task_loss(network_of(world, weights)(batch), batch, weights, value_tables(world))
    assert task not in found.parts
    assert len(found.parts) == 3


def test_item_losses_are_over_the_supervised_tokens(computed: tuple) -> None:
    predictions, batch, tables = computed
    parts = multi_task_loss(predictions, batch, ALL_TASKS, tables).parts
    for task, query_SD, read in (
        ("next_item", predictions.causal_SD, batch.causal),
        ("item_prediction", predictions.masked_SD, batch.masked),
    ):
        logit_SV = (query_SD @ predictions.output_VD.T + predictions.bias_V)[:, FIRST_ITEM:]
        torch.testing.assert_close(parts[task], F.cross_entropy(logit_SV, read.item_S - FIRST_ITEM))


def test_ratings_are_guessed_where_there_are_any() -> None:
    dataset = dataset_of(
        [0, 1, 2, 3, 4], ratings=[[5, 0, 3, 1, 1]]
    )  # events 0, 1 and 2 train; 1 is unrated
    batch = batch_of(dataset)
    predictions = network_of(dataset).eval()(batch)
    assert predictions.rating_NR.shape == (2, 5)
    part = multi_task_loss(predictions, batch, ALL_TASKS, {}).parts["rating_prediction"]
    torch.testing.assert_close(
        part, F.cross_entropy(predictions.rating_NR, torch.tensor([5 - 1, 3 - 1]))
    )


def test_the_rating_heads_own_vectors_are_kept_small_in_the_share_that_was_asked_for() -> None:
    dataset = dataset_of([0, 1, 2, 3, 4], ratings=[[5, 0, 3, 1, 1]])
    batch = batch_of(dataset)
    predictions = network_of(dataset).eval()(batch)
    weights = replace(ALL_TASKS, rating_prediction=0.3)
    none, some = (
        multi_task_loss(predictions, batch, weights, {}, rating_factor_l2=share)
        for share in (0.0, 200.0)
    )
    square = predictions.rating_factor_square_norm.item()
    assert square > 0
    assert some.total.item() == pytest.approx(none.total.item() + 0.3 * 200 * square)
    assert some.parts == none.parts


def test_a_batch_without_ratings_costs_nothing_and_keeps_the_head_in_the_graph() -> None:
    dataset = dataset_of([0, 1, 2, 3, 4], ratings=[[0, 0, 0, 0, 0]])
    batch, network = batch_of(dataset), network_of(dataset)
    assert batch.causal is not None
    assert (batch.causal.rating_S == NO_RATING).all()
    found = multi_task_loss(network(batch), batch, ALL_TASKS, {})
    assert found.parts["rating_prediction"].item() == 0
    found.total.backward()
    assert network.rating_head is not None
    assert all(parameter.grad is not None for parameter in network.rating_head.parameters())


def test_preferences_are_the_coming_items_and_genres_in_equal_shares() -> None:
    # UpcomingEvents are the items 0 (genre 1) and 1 (genres 1 and 2): shares 2/3 and 1/3 of the genres, 1/2 of each item.
    output_VD = torch.tensor([[0.0], [0.0], [1.0], [2.0], [3.0]])
    predictions = Predictions(
        output_VD=output_VD,
        bias_V=None,
        preference_BD=torch.ones(1, 1),
        values={"genres": torch.tensor([[1.0, 4.0]])},
    )
    coming = batch_of(dataset_of([0, 1, 2])).upcoming
    assert coming is not None
    item_BA = torch.tensor([[FIRST_ITEM, FIRST_ITEM + 1, PAD]])
    batch = Batch(None, None, replace(coming, item_BA=item_BA), events=0)
    tables = {"genres": torch.tensor([[0, 0], [0, 0], [1, 0], [1, 2], [2, 0]])}
    likely_items, likely_genres = (
        output_VD[FIRST_ITEM:, 0].log_softmax(0),
        torch.tensor([1.0, 4.0]).log_softmax(0),
    )
    by_hand = -(likely_items[0] / 2 + likely_items[1] / 2) - (
        2 / 3 * likely_genres[0] + 1 / 3 * likely_genres[1]
    )
    torch.testing.assert_close(
        multi_task_loss(predictions, batch, ALL_TASKS, tables).total, 0.2 * by_hand
    )


@pytest.mark.parametrize("cosine", [True, False])
def test_preferences_teach_their_own_head_alone(world: PreparedDataset, cosine: bool) -> None:
    network, batch = network_of(world, cosine_head=cosine), batch_of(world)
    multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).parts[
        "user_preference"
    ].backward()
    taught = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert taught == {
        name for name, _ in network.named_parameters() if name.startswith("preference_head.")
    }


def test_coming_items_without_genres_ask_for_none() -> None:
    predictions = Predictions(
        output_VD=torch.ones(3, 1),
        bias_V=None,
        preference_BD=torch.ones(1, 1),
        values={"genres": torch.zeros(1, 4)},
    )
    coming = batch_of(dataset_of([0, 1, 2])).upcoming
    assert coming is not None
    batch = Batch(None, None, replace(coming, item_BA=torch.tensor([[FIRST_ITEM]])), events=0)
    tables = {"genres": torch.zeros(3, 2, dtype=torch.long)}
    assert (
        multi_task_loss(predictions, batch, ALL_TASKS, tables).total.item() == 0
    )  # one item: no doubt, no loss


def test_no_task_can_be_satisfied_by_a_vector_of_zeros(world: PreparedDataset) -> None:
    batch = batch_of(world)
    network = network_of(world, cosine_head=False)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    parts = multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).parts
    chance = {
        "item_prediction": 24,
        "next_item": 24,
        "rating_prediction": 5,
        "user_preference": 24 * 5,
    }
    assert {task: float(loss.detach()) for task, loss in parts.items()} == pytest.approx(
        {task: log(choices) for task, choices in chance.items()}, rel=1e-5
    )
