from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec.config import SplitConfig, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.ids import NO_TIME, UNKNOWN
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.module import (
    TrainingData,
    TrainingModule,
    ValidationPieces,
    learning_rate_share,
    parameter_groups,
    value_tables,
)
from small_networks import network_of, settings
from small_worlds import dataset_of


def shares(total: int, **changes: Any) -> list[float]:
    training = TrainingConfig(**{"warmup_steps": 4, **changes})
    return [learning_rate_share(training, step, total) for step in range(total + 1)]


def test_the_learning_rate_warms_up_in_equal_steps() -> None:
    assert shares(100, schedule="constant")[:6] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_linear_schedule_falls_evenly_to_a_hundredth() -> None:
    found = shares(
        104 - 60, warmup_steps=4, schedule="linear"
    )  # 4 steps of warming up, 40 of falling
    assert found[4] == 1
    assert found[24] == pytest.approx((1 + 0.01) / 2)
    assert found[44] == pytest.approx(0.01)


def test_a_cosine_schedule_falls_along_a_half_wave_to_a_hundredth() -> None:
    found = shares(44, schedule="cosine")
    assert found[4] == 1
    assert found[14] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)
    assert found[24] == pytest.approx((1 + 0.01) / 2)
    assert found[44] == pytest.approx(0.01)


def test_warming_up_takes_a_tenth_of_a_short_run_at_most() -> None:
    assert shares(20, warmup_steps=200, schedule="constant")[:4] == [0.5, 1, 1, 1]


@pytest.mark.parametrize("changes", [{"warmup_steps": 0}, {"warmup_steps": 200}])
def test_a_run_of_a_few_steps_has_a_learning_rate(changes: dict[str, int]) -> None:
    assert all(0 < share <= 1 for share in shares(3, **changes))


def test_a_run_that_goes_on_longer_than_thought_stays_at_the_lowest() -> None:
    assert learning_rate_share(TrainingConfig(schedule="linear"), 2000, 1000) == pytest.approx(0.01)


class TrainerOf:
    """As much of a trainer as the optimiser asks for."""

    def __init__(self, steps: int) -> None:
        self.estimated_stepping_batches = steps


def optimizer(world: PreparedDataset, steps: int = 100, **changes: Any) -> torch.optim.Optimizer:
    run = settings(**changes)
    module = TrainingModule(network_of(world, cosine_head=False), run, world)
    module.trainer = TrainerOf(steps)  # type: ignore[assignment]
    made = module.configure_optimizers()
    kept.append(module)
    return made["optimizer"]


kept: list[TrainingModule] = []
"""Parameters live as long as their module."""


def test_weight_decay_is_of_matrices_only(world: PreparedDataset) -> None:
    matrices, vectors, factors = optimizer(world, weight_decay=0.07).param_groups
    assert [group["weight_decay"] for group in (matrices, vectors, factors)] == [0.07, 0, 0]
    assert {parameter.dim() for parameter in matrices["params"]} == {2}
    assert {parameter.dim() for parameter in vectors["params"]} == {1}


def test_every_weight_that_learns_is_optimised_once(world: PreparedDataset) -> None:
    groups = optimizer(world).param_groups
    network = kept[-1].network
    optimised = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(optimised) == sorted(id(p) for p in network.parameters() if p.requires_grad)


def test_the_optimiser_starts_at_the_warmed_up_share_of_the_peak(world: PreparedDataset) -> None:
    groups = optimizer(
        world, learning_rate=0.02, rating_learning_rate=0.07, adam_beta2=0.9, warmup_steps=10
    ).param_groups
    assert [(group["lr"], group["betas"]) for group in groups] == [
        (pytest.approx(0.002), (0.9, 0.9)),
        (pytest.approx(0.002), (0.9, 0.9)),
        (pytest.approx(0.007), (0.9, 0.9999)),
    ]


def test_the_factors_of_ratings_learn_at_their_own_rate_if_there_are_any(
    world: PreparedDataset,
) -> None:
    *_, factors = optimizer(world, rating_learning_rate=0.07).param_groups
    head = kept[-1].network.rating_head
    assert head is not None
    assert head.factors is not None
    assert [id(parameter) for parameter in factors["params"]] == [
        id(p) for p in head.factors.parameters()
    ]
    without = network_of(world, rating_factor_size=0)
    assert len(parameter_groups(without, settings().training)) == 2


def test_validation_pieces_hold_every_validation_user_once(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    for devices in (1, 3):
        pieces = ValidationPieces(world, split, devices)
        assert len(pieces) == devices
        asked = [pieces[number] for number in range(len(pieces))]
        users = np.concatenate([histories.user_B for histories, _, _ in asked])
        assert users.tolist() == split.validation.user_C.tolist()
        target_C = torch.cat([target_B for _, target_B, _ in asked])
        assert target_C.tolist() == world.item_N[split.validation.target_C].tolist()


def test_validation_asks_people_whom_training_never_saw_as_strangers(
    world: PreparedDataset,
) -> None:
    split = make_split(world, SplitConfig("cold-start-users"))
    ((histories, _, _),) = TrainingData(world, split, settings()).val_dataloader()
    assert (histories.user_B == UNKNOWN).all()
    _, gender_U = world.user_features["gender"]
    assert histories.user_features["gender"].tolist() == gender_U[split.validation.user_C].tolist()


def test_validation_tells_the_time_of_the_request(world: PreparedDataset) -> None:
    ((histories, _, _),) = TrainingData(
        world, make_split(world, SplitConfig()), settings()
    ).val_dataloader()
    assert (histories.request_time_B != NO_TIME).all()


def test_validation_scores_as_the_product_scores(
    world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, run, network = make_split(world, SplitConfig()), settings(), network_of(world)
    module = TrainingModule(network, run, world)
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.update(metrics))
    (asked,) = TrainingData(world, split, run).val_dataloader()
    module.validation_step(asked, 0)
    report = evaluate(NetworkScorer(network, run), world, split, subset="validation")
    assert logged["validation/ndcg@10"] == pytest.approx(report.metrics["ndcg@10"])
    assert logged["validation/hit@10"] == pytest.approx(report.metrics["hit@10"])
    assert logged["validation/rating_rmse"].compute() == pytest.approx(
        report.metrics["rating_rmse"]
    )  # type: ignore[attr-defined]


def test_value_tables_are_the_multi_valued_item_features() -> None:
    tables = value_tables(dataset_of([0, 1], genres=[[1, 2], [3]], years=[1990, 1991]))
    assert {name: table.tolist() for name, table in tables.items()} == {
        "genres": [[0, 0], [0, 0], [1, 2], [3, 0]]
    }


def test_a_piece_without_ratings_adds_nothing_and_takes_part(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Devices add up at the end of an epoch: one that had nothing to say must not be missing."""
    unrated = dataset_of([0, 1, 2, 3, 4], ratings=[[5, 3, 1, 0, 0]])
    module = TrainingModule(network_of(unrated), settings(), unrated)
    logged: dict[str, Any] = {}
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.update(metrics))
    (asked,) = TrainingData(
        unrated, make_split(unrated, SplitConfig()), settings()
    ).val_dataloader()
    module.validation_step(asked, 0)
    assert logged["validation/rating_rmse"].compute().isnan()
