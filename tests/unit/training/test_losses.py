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
from bert4rec.ids import FIRST_ITEM, NO_RATING, PAD
from bert4rec.model.predictions import Predictions
from bert4rec.training.cross_entropy import SoftTargets
from bert4rec.training.losses import multi_task_loss
from bert4rec.training.module import value_tables
from small_networks import ALL_TASKS, batch_of, network_of
from small_worlds import dataset_of

# Candidates of the item tasks


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


def test_a_causal_token_has_seen_its_past_and_a_masked_one_its_sequence() -> None:
    dataset = dataset_of([0, 1, 2, 0, 4, 5], num_items=10)  # 0, 1, 2, 0 train
    batch = batch_of(dataset, mask_probability=0.01)
    found = multi_task_loss(everything_alike(batch), batch, ALL_TASKS, {}, exclude_seen=True).parts
    # 0 of 10; 1 without 0; 2 without 0 and 1; 0 again, without 1 and 2
    assert float(found["next_item"]) == pytest.approx((log(10) + log(9) + log(8) + log(8)) / 4)
    assert float(found["item_prediction"]) == pytest.approx(
        log(8)
    )  # the last event, 0 again, without 1 and 2


def test_cold_start_items_are_candidates_of_no_item_task() -> None:
    batch = batch_of(dataset_of([0, 1, 2, 0, 4, 5], num_items=10), mask_probability=0.01)
    alike = replace(
        everything_alike(batch),
        cold_item_I=torch.tensor([9, 10, 11]),
        preference_BD=torch.zeros(1, 1),
    )
    found = multi_task_loss(alike, batch, ALL_TASKS, {}).parts
    assert set(found) == {"item_prediction", "next_item", "user_preference"}
    assert [float(loss) for loss in found.values()] == pytest.approx([log(7)] * 3)


def test_without_exclude_seen_every_item_is_a_candidate() -> None:
    batch = batch_of(dataset_of([0, 1, 2, 0, 4, 5], num_items=10), mask_probability=0.01)
    found = multi_task_loss(everything_alike(batch), batch, ALL_TASKS, {}).parts
    assert [float(loss) for loss in found.values()] == pytest.approx([log(10), log(10)])


def test_soft_targets_change_their_own_task_only(computed: tuple) -> None:
    predictions, batch, tables = computed
    plain = multi_task_loss(predictions, batch, ALL_TASKS, tables).parts
    uniform = SoftTargets(
        torch.zeros(len(batch.causal.item_S), 1),
        torch.zeros(len(predictions.output_VD), 1),
        None,
        0.5,
    )
    found = multi_task_loss(
        predictions, batch, ALL_TASKS, tables, soft_targets={"next_item": uniform}
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
def test_a_task_of_weight_0_is_absent(world: PreparedDataset, task: str) -> None:
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


def test_rating_loss_is_over_the_rated_tokens() -> None:
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


def test_rating_factors_have_their_l2_penalty() -> None:
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


def test_a_batch_without_ratings_has_loss_0_and_keeps_the_head_in_the_graph() -> None:
    dataset = dataset_of([0, 1, 2, 3, 4], ratings=[[0, 0, 0, 0, 0]])
    batch, network = batch_of(dataset), network_of(dataset)
    assert batch.causal is not None
    assert (batch.causal.rating_S == NO_RATING).all()
    found = multi_task_loss(network(batch), batch, ALL_TASKS, {})
    assert found.parts["rating_prediction"].item() == 0
    found.total.backward()
    assert network.rating_head is not None
    assert all(parameter.grad is not None for parameter in network.rating_head.parameters())


def test_preference_targets_are_upcoming_items_and_genres_in_equal_shares() -> None:
    # UpcomingEvents are the items 0 (genre 1) and 1 (genres 1 and 2): shares 2/3 and 1/3 of the
    # genres, 1/2 of each item.
    output_VD = torch.tensor([[0.0], [0.0], [1.0], [2.0], [3.0]])
    predictions = Predictions(
        output_VD=output_VD,
        bias_V=None,
        preference_BD=torch.ones(1, 1),
        values={"genres": torch.tensor([[1.0, 4.0]])},
    )
    upcoming = batch_of(dataset_of([0, 1, 2])).upcoming
    assert upcoming is not None
    item_BA = torch.tensor([[FIRST_ITEM, FIRST_ITEM + 1, PAD]])
    batch = Batch(None, None, replace(upcoming, item_BA=item_BA), events=0)
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
def test_the_preference_loss_trains_its_own_head_only(world: PreparedDataset, cosine: bool) -> None:
    network, batch = network_of(world, cosine_head=cosine), batch_of(world)
    multi_task_loss(network(batch), batch, ALL_TASKS, value_tables(world)).parts[
        "user_preference"
    ].backward()
    trained = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    assert trained == {
        name for name, _ in network.named_parameters() if name.startswith("preference_head.")
    }


def test_upcoming_items_without_genres_have_no_genre_loss() -> None:
    predictions = Predictions(
        output_VD=torch.ones(3, 1),
        bias_V=None,
        preference_BD=torch.ones(1, 1),
        values={"genres": torch.zeros(1, 4)},
    )
    upcoming = batch_of(dataset_of([0, 1, 2])).upcoming
    assert upcoming is not None
    batch = Batch(None, None, replace(upcoming, item_BA=torch.tensor([[FIRST_ITEM]])), events=0)
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
