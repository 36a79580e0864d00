"""Contract of every scorer, network or baseline. A new scorer joins by a line in `SCORERS`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TaskWeights, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, make_split
from bert4rec.evaluation.baselines import (
    ContentNeighbours,
    ItemNeighbours,
    Popularity,
    PopularityByGroup,
    SequentialRules,
)
from bert4rec.ids import FIRST_ITEM, UNKNOWN
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.scorers import RatingScorer, Scorer

Fit = Callable[[PreparedDataset, Split], Scorer]


def network(**settings: object) -> Fit:
    """An untrained network with the default tasks."""

    def fit(dataset: PreparedDataset, split: Split) -> Scorer:
        sizes = {
            "hidden_size": 16,
            "num_heads": 2,
            "num_layers": 2,
            "seq_length": 8,
            "feature_embedding_size": 4,
            "user_embedding_size": 4,
        }
        run = RunConfig(
            ModelConfig(**{**sizes, **settings}), TrainingConfig(task_weights=TaskWeights())
        )  # type: ignore[arg-type]
        torch.manual_seed(0)
        return NetworkScorer(
            Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights), run
        )

    return fit


SCORERS: dict[str, Fit] = {
    "popularity": Popularity,
    "popularity by group": PopularityByGroup,
    "sequential rules": SequentialRules,
    "item kNN": ItemNeighbours,
    "content kNN": lambda dataset, _: ContentNeighbours(dataset),
    "network": network(),
    "network, masked": network(scoring="masked"),
    "network, both passes, gated": network(scoring="average", block="gated", relative_time=True),
    "ensemble": lambda dataset, split: EnsembleScorer(
        [network()(dataset, split), network(scoring="masked", cosine_head=False)(dataset, split)]  # type: ignore[list-item]
    ),
    "network, bare": network(
        user_features="none", item_features=False, temporal_embedding=False, cosine_head=False
    ),
}


@pytest.fixture(scope="module", params=list(SCORERS))
def scorer(request: pytest.FixtureRequest, world: PreparedDataset) -> Scorer:
    return SCORERS[request.param](world, make_split(world, SplitConfig()))


@pytest.fixture(scope="module")
def histories(world: PreparedDataset) -> Histories:
    """The histories of the first 12 test cases: 9 and 19 events in turn."""
    return make_split(world, SplitConfig()).test[:12].histories(world, request_time=True)


def item_scores(scorer: Scorer, histories: Histories) -> torch.Tensor:
    return scorer.score(histories)[:, FIRST_ITEM:].cpu()


def empty_histories(users: int) -> Histories:
    empty = np.empty(0, dtype=np.int64)
    histories = Histories(
        np.full(users, UNKNOWN), np.zeros(users + 1, dtype=np.int64), empty, empty, empty, empty
    )
    return replace(histories, request_time_B=np.zeros(users, dtype=np.int64)).without_request_time()


def test_a_scorer_has_a_name(scorer: Scorer) -> None:
    assert scorer.name


def test_every_real_item_has_a_finite_score(
    scorer: Scorer, histories: Histories, world: PreparedDataset
) -> None:
    assert scorer.score(histories).shape == (12, world.item_rows)
    assert item_scores(scorer, histories).isfinite().all()


def test_an_empty_history_of_an_unknown_user_has_scores(
    scorer: Scorer, world: PreparedDataset
) -> None:
    score_BV = item_scores(scorer, empty_histories(2))
    assert score_BV.shape == (2, world.num_items)
    assert score_BV.isfinite().all()


def test_scores_of_a_user_alone_are_those_in_a_batch(scorer: Scorer, histories: Histories) -> None:
    together = item_scores(scorer, histories)
    for place in (0, 5, 11):
        torch.testing.assert_close(
            item_scores(scorer, histories.take(np.array([place])))[0], together[place]
        )


def test_other_users_of_the_batch_and_their_order_change_nothing(
    scorer: Scorer, histories: Histories
) -> None:
    order = np.array([7, 3, 3, 0, 11])
    torch.testing.assert_close(
        item_scores(scorer, histories.take(order)),
        item_scores(scorer, histories)[torch.from_numpy(order)],
    )


def test_scores_are_repeatable_and_may_be_overwritten(scorer: Scorer, histories: Histories) -> None:
    first = scorer.score(histories)
    kept = first.clone()
    first.fill_(-torch.inf)
    assert torch.equal(scorer.score(histories)[:, FIRST_ITEM:], kept[:, FIRST_ITEM:])


def test_scoring_leaves_the_histories_unchanged(scorer: Scorer, histories: Histories) -> None:
    before = {
        name: np.array(getattr(histories, name))
        for name in ("user_B", "start_B1", "item_N", "time_N")
    }
    scorer.score(histories)
    assert all((getattr(histories, name) == array).all() for name, array in before.items())


def test_rating_probabilities_sum_to_one_and_are_those_of_a_batch(
    scorer: Scorer, histories: Histories
) -> None:
    if not (isinstance(scorer, RatingScorer) and scorer.predicts_ratings):
        return
    item_B = torch.arange(FIRST_ITEM, FIRST_ITEM + 12)
    probability_BR = scorer.rating_distribution(histories, item_B)
    torch.testing.assert_close(probability_BR.sum(1), torch.ones(12))
    alone = scorer.rating_distribution(histories.take(np.array([4])), item_B[4:5])
    torch.testing.assert_close(alone[0], probability_BR[4])
