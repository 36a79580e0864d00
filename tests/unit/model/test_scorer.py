from __future__ import annotations

import numpy as np
import pytest
import torch

from bert4rec.config import RunConfig, TaskWeights
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.sequences import causal_sequences, masked_sequences
from bert4rec.errors import ConfigError, DataError
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.scorer import NetworkScorer, scoring_passes
from small_networks import ALL_TASKS, SMALL, network_of, settings

ONLY_MASKED = TaskWeights(next_item=0.0)
ONLY_NEXT = TaskWeights(item_prediction=0.0)


def run(scoring: str, tasks: TaskWeights = ALL_TASKS) -> RunConfig:
    return settings(scoring=scoring, task_weights=tasks)


@pytest.fixture(scope="module")
def histories(world: PreparedDataset) -> Histories:
    user_B = np.array([1, 2, 3])
    stop_B = np.asarray(world.start_U1)[user_B] + [3, 12, 0]
    return world.histories(user_B, stop_B, np.full(3, 10**9))


@pytest.mark.parametrize(
    ("scoring", "tasks", "passes"),
    [
        ("auto", ALL_TASKS, ("causal",)),
        ("auto", ONLY_MASKED, ("masked",)),
        ("causal", ALL_TASKS, ("causal",)),
        ("masked", ALL_TASKS, ("masked",)),
        ("average", ALL_TASKS, ("causal", "masked")),
    ],
)
def test_scoring_passes_follow_setting_and_trained_tasks(
    scoring: str, tasks: TaskWeights, passes: tuple[str, ...]
) -> None:
    assert scoring_passes(run(scoring, tasks)) == passes


@pytest.mark.parametrize(
    ("scoring", "tasks"),
    [
        ("causal", ONLY_MASKED),
        ("masked", ONLY_NEXT),
        ("average", ONLY_NEXT),
        ("average", ONLY_MASKED),
    ],
)
def test_pass_that_was_not_trained_is_refused(scoring: str, tasks: TaskWeights) -> None:
    with pytest.raises(ConfigError, match=f"scoring '{scoring}' needs the .* pass"):
        scoring_passes(run(scoring, tasks))


def test_causal_pass_scores_the_last_event_and_masked_pass_an_appended_mask(
    world: PreparedDataset, histories: Histories
) -> None:
    network = network_of(world).eval()
    item_VD = network.item_embeddings()
    for scoring, make in (("causal", causal_sequences), ("masked", masked_sequences)):
        (state_BD,) = NetworkScorer(network, run(scoring)).user_states(histories)
        for row in range(3):
            sequences = make(histories.take(np.array([row])), SMALL.seq_length)
            last_D = network.encode(sequences, item_VD, causal=scoring == "causal")[-1]
            torch.testing.assert_close(state_BD[row], last_D, atol=1e-5, rtol=1e-4)


def test_average_is_the_mean_of_both_passes(world: PreparedDataset, histories: Histories) -> None:
    network = network_of(world)
    causal, mask, average = (
        NetworkScorer(network, run(name)) for name in ("causal", "masked", "average")
    )
    item_B = torch.tensor([2, 3, 4])
    torch.testing.assert_close(
        average.score(histories), (causal.score(histories) + mask.score(histories)) / 2
    )
    causal_BR = causal.rating_distribution(histories, item_B)
    mask_BR = mask.rating_distribution(histories, item_B)
    torch.testing.assert_close(
        average.rating_distribution(histories, item_B), (causal_BR + mask_BR) / 2
    )
    assert not torch.allclose(causal.score(histories), mask.score(histories), atol=1e-3)


@pytest.mark.parametrize("scoring", ["causal", "masked"])
def test_request_time_changes_scores(
    world: PreparedDataset, histories: Histories, scoring: str
) -> None:
    scorer = NetworkScorer(network_of(world), run(scoring))
    assert not torch.equal(scorer.score(histories), scorer.score(histories.without_request_time()))


def test_one_history_can_rate_many_items(world: PreparedDataset, histories: Histories) -> None:
    scorer = NetworkScorer(network_of(world), run("causal"))
    one, item_B = histories.take(np.array([1])), torch.arange(FIRST_ITEM, FIRST_ITEM + 5)
    probability_BR = scorer.rating_distribution(one, item_B)
    assert probability_BR.shape == (5, 5)
    torch.testing.assert_close(probability_BR[3], scorer.rating_distribution(one, item_B[3:4])[0])


def test_model_without_ratings_predicts_none(world: PreparedDataset, histories: Histories) -> None:
    scorer = NetworkScorer(network_of(world, TaskWeights(rating_prediction=0.0)), run("causal"))
    assert scorer.predicts_ratings is False
    with pytest.raises(DataError, match="trained without ratings"):
        scorer.rating_distribution(histories, torch.tensor([2, 3, 4]))


def test_feature_preferences_are_probabilities_of_each_genre(
    world: PreparedDataset, histories: Histories
) -> None:
    preference = NetworkScorer(network_of(world), run("causal")).feature_preferences(histories)
    assert list(preference) == ["genres"]
    assert preference["genres"].shape == (3, 5)
    torch.testing.assert_close(preference["genres"].sum(1), torch.ones(3))


def test_model_without_preference_task_has_no_preferences(
    world: PreparedDataset, histories: Histories
) -> None:
    network = network_of(world, TaskWeights(user_preference=0.0))
    assert NetworkScorer(network, run("causal")).feature_preferences(histories) == {}


def test_attention_weights_are_of_one_user(world: PreparedDataset, histories: Histories) -> None:
    scorer = NetworkScorer(network_of(world), run("causal"))
    weights = scorer.attention_weights(histories.take(np.array([0])))
    # 2 layers; the start token and 3 events
    assert [layer.shape for layer in weights["layers"]] == [(1, 2, 4, 4)] * 2
    assert [user.shape for user in weights["user"]] == [(4, 5, 2)]
    with pytest.raises(ValueError, match="one user at a time, not 3"):
        scorer.attention_weights(histories)


def test_recording_attention_changes_no_score(world: PreparedDataset, histories: Histories) -> None:
    scorer = NetworkScorer(network_of(world), run("causal"))
    before = scorer.score(histories)
    scorer.attention_weights(histories.take(np.array([0])))
    assert torch.equal(scorer.score(histories), before)


def test_model_trained_without_request_times_ignores_them(
    world: PreparedDataset, histories: Histories
) -> None:
    def scores(setting: str, histories: Histories) -> torch.Tensor:
        network = network_of(world, request_time=setting)
        return NetworkScorer(network, settings(request_time=setting)).score(histories)

    unknown = histories.without_request_time()
    assert torch.equal(scores("never", histories), scores("never", unknown))
    assert not torch.equal(scores("sometimes", histories), scores("sometimes", unknown))


def test_scorer_is_never_in_training_mode(world: PreparedDataset, histories: Histories) -> None:
    network = network_of(world, dropout=0.5).train()
    scorer = NetworkScorer(network, run("causal"))
    assert torch.equal(scorer.score(histories), scorer.score(histories))


def test_scores_and_ratings_of_the_same_histories_encode_them_once(
    world: PreparedDataset, histories: Histories, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = NetworkScorer(network_of(world), run("auto"))
    calls, other = [], histories.take(np.array([0, 1]))
    encode = scorer.network.encode

    def counted(*arguments: object, **options: object) -> torch.Tensor:
        calls.append(arguments)
        return encode(*arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(scorer.network, "encode", counted)
    item_B = torch.full((3,), FIRST_ITEM)
    score_BV, probability_BR = (
        scorer.score(histories),
        scorer.rating_distribution(histories, item_B),
    )
    assert len(calls) == 1
    scorer.score(other)
    assert len(calls) == 2
    assert torch.equal(scorer.score(histories), score_BV)
    assert torch.equal(scorer.rating_distribution(histories, item_B), probability_BR)
    assert len(calls) == 3
