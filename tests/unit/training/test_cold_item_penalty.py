from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

from bert4rec.config import FOLDS, SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, make_split
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.cold_item_penalty import cold_item_penalty

LISTED = 10


def scorer_of(world: PreparedDataset, places: bool = True) -> NetworkScorer:
    """Random scores of items, and by metadata only, where those of a few are too high."""

    def drawn(histories: Histories, seed: int) -> torch.Tensor:
        return torch.stack(
            [
                torch.randn(
                    world.item_rows, generator=torch.Generator().manual_seed(seed + int(user))
                )
                for user in histories.user_B
            ]
        )

    return cast(
        NetworkScorer,
        SimpleNamespace(
            name="drawn",
            network=SimpleNamespace(places_cold_start_items=places),
            score=lambda histories: drawn(histories, 0),
            score_by_metadata=lambda histories: drawn(histories, 1000) + 2.0,
        ),
    )


def lost_by_hand(world: PreparedDataset, split: Split, penalty: float) -> tuple[float, float]:
    """Hit@10 and NDCG@10 that warm items lose to each fold of simulated items, list by list."""
    scorer, before, after = scorer_of(world), np.zeros(2), np.zeros(2)
    for user, start, target in zip(
        split.validation.user_C, split.validation.start_C, split.validation.target_C, strict=True
    ):
        histories = world.histories(np.array([user]), np.array([target]))
        score_V, metadata_score_V = (
            scorer.score(histories)[0].tolist(),
            scorer.score_by_metadata(histories)[0].tolist(),
        )
        wanted = int(world.item_N[target])
        others = (
            set(range(FIRST_ITEM, world.item_rows))
            - set(world.item_N[start:target].tolist())
            - {wanted}
        )
        rank = 1 + sum(score_V[item] >= score_V[wanted] for item in others)
        before += FOLDS * gain(rank)
        for fold in range(FOLDS):
            cold = [item for item in others if item % FOLDS == fold]
            after += gain(
                rank + sum(metadata_score_V[item] - penalty >= score_V[wanted] for item in cold)
            )
    lost = 1 - after / before
    return float(lost[0]), float(lost[1])


def gain(rank: int) -> np.ndarray[Any, Any]:
    return np.array([1.0, 1 / np.log2(rank + 1)]) * (rank <= LISTED)


@pytest.fixture(scope="module")
def split(world: PreparedDataset) -> Split:
    return make_split(world, SplitConfig())


@pytest.mark.parametrize("cost", [0.05, 0.02, 0.0])
def test_the_penalty_is_the_least_that_keeps_the_cost(
    cost: float, world: PreparedDataset, split: Split
) -> None:
    penalty = cold_item_penalty(scorer_of(world), world, split, cost)
    assert max(lost_by_hand(world, split, penalty)) <= cost + 1e-9
    assert max(lost_by_hand(world, split, penalty - 0.02)) > cost


def test_unlimited_cost_gives_no_penalty(world: PreparedDataset, split: Split) -> None:
    assert cold_item_penalty(scorer_of(world), world, split, 1.0) == 0


def test_no_penalty_without_validation_users_or_metadata_scores(
    world: PreparedDataset, split: Split
) -> None:
    nobody = Split(split.name, split.train_stop_U, split.validation[:0], split.test, split.checksum)
    assert cold_item_penalty(scorer_of(world), world, nobody, 0.0) == 0
    assert cold_item_penalty(scorer_of(world, places=False), world, split, 0.0) == 0
