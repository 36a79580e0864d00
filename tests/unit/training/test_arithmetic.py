from __future__ import annotations

from dataclasses import replace

import pytest

from bert4rec.config import RunConfig, SplitConfig, TaskWeights
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.training.arithmetic import arithmetic
from small_networks import settings
from small_worlds import dataset_of


def work(dataset: PreparedDataset, run: RunConfig) -> float:
    return arithmetic(dataset, make_split(dataset, SplitConfig()), run).multiply_adds


def test_the_arithmetic_by_hand() -> None:
    dataset = dataset_of([0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4, 5])  # 1, 3 and 4 events train
    run = settings(
        hidden_size=8,
        num_layers=2,
        block="transformer",
        feed_forward_factor=3,
        seq_length=8,
        windows="last",
        task_weights=TaskWeights(item_prediction=0.0),
    )
    epoch = arithmetic(dataset, make_split(dataset, SplitConfig()), run)
    assert epoch.events == 8
    assert (
        epoch.linear == 3 * 2 * (4 + 2 * 3) * 8 * 8 * 8
    )  # queries, keys, values, output: 4 D²; feed-forward: 6 D²
    assert epoch.attention == 3 * 2 * 2 * 8 * (
        1 + 6 + 10
    )  # scores and mixtures, of what each token sees
    assert epoch.head == 3 * 8 * 6 * 8
    assert epoch.multiply_adds == epoch.linear + epoch.attention + epoch.head


@pytest.mark.parametrize(
    "change",
    [
        {"num_layers": 3},
        {"hidden_size": 32},
        {"block": "transformer"},
        {"seq_length": 12},
        {"mask_probability": 0.9},
    ],
)
def test_more_of_anything_costs_more(world: PreparedDataset, change: dict[str, object]) -> None:
    base = settings(block="gated", windows="last")
    more = RunConfig.from_dict({**base.to_dict(), **change})
    assert work(world, more) > work(world, base)


def test_two_readings_cost_more_than_one(world: PreparedDataset) -> None:
    both = settings()
    one = replace(
        both, training=replace(both.training, task_weights=TaskWeights(item_prediction=0.0))
    )
    assert work(world, both) > 1.5 * work(world, one)
