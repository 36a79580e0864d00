from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from bert4rec.config import TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.training.module import TrainingModule
from bert4rec.training.optimiser import learning_rate_factor, parameter_groups
from small_networks import network_of, settings


def shares(total: int, **changes: Any) -> list[float]:
    training = TrainingConfig(**{"warmup_steps": 4, **changes})
    return [learning_rate_factor(training, step, total) for step in range(total + 1)]


def test_the_learning_rate_warms_up_in_equal_steps() -> None:
    assert shares(100, schedule="constant")[:6] == [0.25, 0.5, 0.75, 1, 1, 1]


def test_a_linear_schedule_falls_evenly_to_a_hundredth() -> None:
    found = shares(104 - 60, warmup_steps=4, schedule="linear")  # 4 warm-up steps, 40 of decay
    assert found[4] == 1
    assert found[24] == pytest.approx((1 + 0.01) / 2)
    assert found[44] == pytest.approx(0.01)


def test_a_cosine_schedule_falls_along_a_half_wave_to_a_hundredth() -> None:
    found = shares(44, schedule="cosine")
    assert found[4] == 1
    assert found[14] == pytest.approx(0.01 + 0.99 * (1 + math.cos(math.pi / 4)) / 2)
    assert found[24] == pytest.approx((1 + 0.01) / 2)
    assert found[44] == pytest.approx(0.01)


def test_warm_up_takes_a_tenth_of_a_short_run_at_most() -> None:
    assert shares(20, warmup_steps=200, schedule="constant")[:4] == [0.5, 1, 1, 1]


@pytest.mark.parametrize("changes", [{"warmup_steps": 0}, {"warmup_steps": 200}])
def test_a_run_of_a_few_steps_has_a_learning_rate(changes: dict[str, int]) -> None:
    assert all(0 < share <= 1 for share in shares(3, **changes))


def test_after_the_last_planned_step_the_learning_rate_stays_lowest() -> None:
    assert learning_rate_factor(TrainingConfig(schedule="linear"), 2000, 1000) == pytest.approx(
        0.01
    )


class TrainerOf:
    """The one attribute of a trainer that the optimiser needs."""

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


def test_weight_decay_applies_to_matrices_only(world: PreparedDataset) -> None:
    matrices, vectors, factors = optimizer(world, weight_decay=0.07).param_groups
    assert [group["weight_decay"] for group in (matrices, vectors, factors)] == [0.07, 0, 0]
    assert {parameter.dim() for parameter in matrices["params"]} == {2}
    assert {parameter.dim() for parameter in vectors["params"]} == {1}


def test_every_learned_parameter_is_in_one_group(world: PreparedDataset) -> None:
    groups = optimizer(world).param_groups
    network = kept[-1].network
    optimised = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(optimised) == sorted(id(p) for p in network.parameters() if p.requires_grad)


def test_every_group_starts_at_its_first_warm_up_step(world: PreparedDataset) -> None:
    groups = optimizer(
        world, learning_rate=0.02, rating_learning_rate=0.07, adam_beta2=0.9, warmup_steps=10
    ).param_groups
    assert [(group["lr"], group["betas"]) for group in groups] == [
        (pytest.approx(0.002), (0.9, 0.9)),
        (pytest.approx(0.002), (0.9, 0.9)),
        (pytest.approx(0.007), (0.9, 0.9999)),
    ]


def test_rating_factors_have_a_group_of_their_own(
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
