from __future__ import annotations

import numpy as np
import pytest
import torch

from bert4rec.config import TaskWeights
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import make_split
from bert4rec.errors import DataError
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.scorers import RatingScorer
from small_networks import network_of, settings
from small_worlds import dataset_of

ITEMS = torch.tensor([2, 3, 4])


@pytest.fixture(scope="module")
def histories(world: PreparedDataset) -> Histories:
    user_B = np.array([1, 2, 3])
    return world.histories(
        user_B, np.asarray(world.start_U1)[user_B] + [3, 12, 0], np.full(3, 10**9)
    )


def scorer(
    world: PreparedDataset, name: str, seed: int = 0, rates: bool = True, **changes: object
) -> NetworkScorer:
    tasks = TaskWeights(rating_prediction=0.3 if rates else 0.0)
    return NetworkScorer(
        network_of(world, tasks, seed, **changes), settings(task_weights=tasks, **changes), name
    )


def test_ensemble_scores_and_ratings_are_means_of_the_members(
    world: PreparedDataset, histories: Histories
) -> None:
    members = [
        scorer(world, "a"),
        scorer(world, "b", 1),
        scorer(world, "c", 2, hidden_size=32, cosine_head=False),
    ]
    ensemble = EnsembleScorer(members)
    scores = [member.score(histories) for member in members]
    torch.testing.assert_close(ensemble.score(histories), (scores[0] + scores[1] + scores[2]) / 3)
    distributions = [member.rating_distribution(histories, ITEMS) for member in members]
    torch.testing.assert_close(
        ensemble.rating_distribution(histories, ITEMS),
        (distributions[0] + distributions[1] + distributions[2]) / 3,
    )
    assert ensemble.name == "a + b + c"
    assert isinstance(ensemble, RatingScorer)


def test_only_members_with_a_rating_head_rate(world: PreparedDataset, histories: Histories) -> None:
    rater, other = scorer(world, "a"), scorer(world, "b", 1, rates=False)
    ensemble = EnsembleScorer([other, rater])
    assert ensemble.predicts_ratings
    probability_BR = rater.rating_distribution(histories, ITEMS)
    torch.testing.assert_close(ensemble.rating_distribution(histories, ITEMS), probability_BR)
    without_ratings = EnsembleScorer([other, scorer(world, "c", 2, rates=False)])
    assert not without_ratings.predicts_ratings
    with pytest.raises(DataError, match=r"b \+ c: all were trained without ratings"):
        without_ratings.rating_distribution(histories, ITEMS)


def test_ensemble_reads_request_times_as_its_members_do(
    world: PreparedDataset, histories: Histories
) -> None:
    with_times = EnsembleScorer([scorer(world, "a"), scorer(world, "b", request_time="always")])
    without_times = EnsembleScorer(
        [scorer(world, "a", request_time="never"), scorer(world, "b", 1, request_time="never")]
    )
    assert (with_times.reads_request_time, without_times.reads_request_time) == (True, False)
    unknown = histories.without_request_time()
    assert not torch.equal(with_times.score(histories), with_times.score(unknown))
    assert torch.equal(without_times.score(histories), without_times.score(unknown))


def test_ensemble_is_evaluated_like_any_scorer(world: PreparedDataset) -> None:
    split = make_split(world, settings().split)
    alone = scorer(world, "a")
    ensemble = EnsembleScorer([alone, scorer(world, "b")])  # the same weights twice
    report, expected = evaluate(ensemble, world, split), evaluate(alone, world, split)
    for metric, estimate in expected.metrics.items():
        assert report.metrics[metric].to_dict() == pytest.approx(estimate.to_dict())
    assert report.name == "a + b"


def test_members_without_a_common_mean_are_refused(world: PreparedDataset) -> None:
    small = dataset_of([0, 1, 2, 0], [1, 2, 0, 1], times=[[1, 2, 3, 4], [1, 2, 3, 4]])
    with pytest.raises(DataError, match="an ensemble of no models"):
        EnsembleScorer([])
    with pytest.raises(DataError, match=r"^a and b: score 26 and 5 item rows"):
        EnsembleScorer([scorer(world, "a"), scorer(small, "b", rates=False)])
    with pytest.raises(
        DataError, match=r"^b and a: the first reads the time of the request, the second .* 'never'"
    ):
        EnsembleScorer([scorer(world, "a", request_time="never"), scorer(world, "b")])
