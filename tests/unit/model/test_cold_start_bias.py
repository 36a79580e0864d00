from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Kind
from bert4rec.data.histories import Histories
from bert4rec.ids import FIRST_ITEM, NO_TIME, UNKNOWN
from bert4rec.model.cold_start_bias import MAX_ITEMS, MAX_VALUES, ColdStartBias
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.scorer import NetworkScorer
from bert4rec.model.table_sizes import FeatureSize
from small_networks import network_of, settings

ITEM = FIRST_ITEM + 3


def scorer_with(world: PreparedDataset, **bias: float) -> NetworkScorer:
    """Scorer in which one item has a bias for all users, `all_users`, or by value of `gender`."""
    scorer = NetworkScorer(network_of(world), settings())
    cold_start_bias = scorer.network.cold_start_bias
    cold_start_bias.get_buffer("item_I")[0] = ITEM
    bias_FI = cold_start_bias.get_buffer("bias_FI")
    bias_FI[0, 0] = bias.get("all_users", 0.0)
    first_column = cold_start_bias.first_column_of_features()["gender"]
    for column, value in enumerate(("unknown", "first", "second"), first_column):
        bias_FI[column, 0] = bias.get(value, 0.0)
    return scorer


def moved(scorer: NetworkScorer, plain: NetworkScorer, histories: Histories) -> list[float]:
    """Change of the item's score for each user; other items' scores must not change."""
    change_BV = (scorer.score(histories) - plain.score(histories))[:, FIRST_ITEM:]
    change_B = change_BV[:, ITEM - FIRST_ITEM].clone()
    change_BV[:, ITEM - FIRST_ITEM] = 0
    assert not change_BV.any()
    return [round(value, 4) for value in change_B.tolist()]


@pytest.fixture
def plain(world: PreparedDataset) -> NetworkScorer:
    return scorer_with(world)


def cold_start_users(world: PreparedDataset, **features: list[int]) -> Histories:
    """Empty histories, one for each value that is given."""
    rows = len(next(iter(features.values())))
    return replace(
        world.histories(
            np.full(rows, UNKNOWN), np.zeros(rows, dtype=np.int64), np.full(rows, NO_TIME)
        ),
        user_features={name: np.array(values) for name, values in features.items()},
    )


def test_biases_of_a_users_values_are_added(world: PreparedDataset, plain: NetworkScorer) -> None:
    scorer = scorer_with(world, all_users=0.5, unknown=0.125, first=1.0, second=2.0)
    assert moved(scorer, plain, cold_start_users(world, gender=[0, 1, 2])) == [0.625, 1.5, 2.5]


def test_stored_values_apply_where_none_are_given(
    world: PreparedDataset, plain: NetworkScorer
) -> None:
    scorer = scorer_with(world, first=1.0, second=2.0)
    user_B = np.arange(1, 6)
    gender_B = np.asarray(world.user_features["gender"][1])[user_B]
    histories = world.histories(user_B, np.asarray(world.start_U1)[user_B])
    assert moved(scorer, plain, histories) == gender_B.tolist()
    assert len(set(gender_B.tolist())) == 2


def test_user_with_events_has_no_cold_start_bias(
    world: PreparedDataset, plain: NetworkScorer
) -> None:
    scorer = scorer_with(world, all_users=1.0)
    user_B = np.array([1, 2, 3])
    histories = world.histories(user_B, np.asarray(world.start_U1)[user_B] + [1, 0, 12])
    assert moved(scorer, plain, histories) == [0.0, 1.0, 0.0]
    assert torch.equal(scorer.score_without_cold_start_bias(histories), plain.score(histories))


def test_ensemble_adds_the_mean_bias(world: PreparedDataset, plain: NetworkScorer) -> None:
    one = scorer_with(world, all_users=1.0)
    both = EnsembleScorer([one, plain])
    histories = cold_start_users(world, gender=[1])
    change_BV = both.score(histories) - plain.score(histories)
    assert float(change_BV[0, ITEM]) == pytest.approx(0.5, abs=1e-5)
    assert torch.equal(
        both.score_without_cold_start_bias(histories),
        EnsembleScorer([plain, plain]).score(histories),
    )


def test_shuffled_weights_have_no_cold_start_bias(
    world: PreparedDataset, plain: NetworkScorer
) -> None:
    scorer, histories = scorer_with(world, all_users=1.0), cold_start_users(world, gender=[1, 2])
    assert torch.equal(
        scorer.with_shuffled_weights(seed=0).score(histories),
        plain.with_shuffled_weights(seed=0).score(histories),
    )
    assert moved(scorer, plain, histories) == [1.0, 1.0]


def test_numeric_and_large_features_have_no_column() -> None:
    features = [
        FeatureSize("gender", Kind.CATEGORICAL, 3),
        FeatureSize("town", Kind.CATEGORICAL, MAX_VALUES + 1),
        FeatureSize("age", Kind.NUMERIC, 1),
    ]
    cold_start_bias = ColdStartBias(features)
    assert cold_start_bias.get_buffer("bias_FI").shape == (1 + 3, MAX_ITEMS)
    values = {
        "gender": torch.tensor([0, 2]),
        "town": torch.tensor([5, 6]),
        "age": torch.tensor([1.5, torch.nan]),
    }
    assert cold_start_bias.indicators(values, 2).tolist() == [[1, 1, 0, 0], [1, 0, 0, 1]]
