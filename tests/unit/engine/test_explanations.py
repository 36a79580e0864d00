"""Explanations are measured: each effect is a difference of two scores that anyone can ask for."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, TaskWeights
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.data.synthetic import GROUPS
from bert4rec.engine.answers import EventEffect, Explanation, SimilarItem
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.explanation_text import explanation_text
from bert4rec.engine.histories import request_history
from bert4rec.engine.request import Request
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.explanation import variants
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.network import Bert4Rec

SEQUENCE = [104, 108, 103, 112, 116]
TIMES = [1_000_000_000 + 40_000 * place for place in range(5)]
RATINGS = [5, 4, 1, None, 5]
MOMENT = TIMES[-1] + 3_600


def score(engine: RecommendationEngine, item_id: int, **asked: object) -> float:
    found = engine.get_recommendations(**asked, k=24, filter_seen=False)  # type: ignore[arg-type]
    return next(item.score for item in found if item.item_id == item_id)


def without_biases(model: Artefact) -> RecommendationEngine:
    """Scorer of the same network with its cold-start bias reset."""
    network = deepcopy(model.network)
    network.cold_start_bias.reset()
    return RecommendationEngine(replace(model, network=network))


def full(engine: RecommendationEngine) -> Explanation:
    return engine.explain_recommendation(
        2,
        SEQUENCE,
        120,
        timestamps=TIMES,
        ratings=RATINGS,
        request_time=MOMENT,
        user_features={"gender": "F"},
    )


def test_an_effect_is_the_score_with_everything_minus_the_score_without_the_event(
    engine: RecommendationEngine,
) -> None:
    explained = full(engine)
    asked = {"user_id": 2, "request_time": MOMENT, "user_features": {"gender": "F"}}
    base = score(engine, 120, item_sequence=SEQUENCE, timestamps=TIMES, ratings=RATINGS, **asked)
    assert explained.score == pytest.approx(base, abs=1e-5)
    assert sorted(event.position for event in explained.events) == [0, 1, 2, 3, 4]
    for event in explained.events:
        items, times, ratings = (
            [*values[: event.position], *values[event.position + 1 :]]
            for values in (SEQUENCE, TIMES, RATINGS)
        )
        without = score(
            engine, 120, item_sequence=items, timestamps=times, ratings=ratings, **asked
        )
        assert event.item_id == SEQUENCE[event.position]
        assert event.effect == pytest.approx(base - without, abs=1e-5)


def test_effect_alone_is_the_score_with_one_event_minus_the_score_with_none(
    engine: RecommendationEngine, model: Artefact
) -> None:
    """That is, what the network says of none: nothing is added as for cold_start_bias."""
    asked = {"user_id": 2, "request_time": MOMENT, "user_features": {"gender": "F"}}
    nothing = score(without_biases(model), 120, item_sequence=[], **asked)
    assert score(engine, 120, item_sequence=[], **asked) != pytest.approx(nothing, abs=1e-3)
    for event in full(engine).events:
        one = {
            name: [values[event.position]]
            for name, values in (("timestamps", TIMES), ("ratings", RATINGS))
        }
        alone = score(engine, 120, item_sequence=[event.item_id], **one, **asked)
        assert event.effect_alone == pytest.approx(alone - nothing, abs=1e-5)


def test_cold_start_bias_is_an_effect_of_user_features_and_not_of_events(model: Artefact) -> None:
    plain, welcoming = (without_biases(model) for _ in range(2))
    cold_start_bias = welcoming.scorer.network.cold_start_bias
    cold_start_bias.get_buffer("item_I")[0] = model.dataset.items.row(120)
    bias_FI = cold_start_bias.get_buffer("bias_FI")
    bias_FI[:, 0] = torch.arange(1.0, 1 + len(bias_FI))
    assert full(welcoming) == full(plain)
    new, before = (
        engine.explain_recommendation(None, [], 120, user_features={"gender": "F"})
        for engine in (welcoming, plain)
    )
    assert new.score > before.score + 1
    unknown, known = (
        cold_start_bias.first_column_of_features()["gender"],
        model.dataset.user_features["gender"][0].values.index("F") + 1,
    )
    change = new.context_effects["gender"] - before.context_effects["gender"]
    assert change == pytest.approx(
        float(bias_FI[unknown + known, 0] - bias_FI[unknown, 0]), abs=1e-4
    )


def test_the_effect_of_an_item_feature_is_measured_by_hiding_it(model: Artefact) -> None:
    """On a network whose table has the item without its genre."""
    engine = RecommendationEngine(model)
    found = full(engine)
    assert found.item_feature_effects.keys() == {"genres", "year", "price"}
    row = engine.dataset.items.row(120)
    assert row is not None
    for name, worth in found.item_feature_effects.items():
        network = deepcopy(model.network)
        assert network.metadata is not None
        encoder = next(
            feature for feature in network.metadata.features if feature.feature.name == name
        )  # type: ignore[union-attr]
        table_O = encoder.get_buffer("table_O")
        table_O[row] = torch.nan if table_O.is_floating_point() else 0
        hidden = RecommendationEngine(replace(model, network=network))
        assert worth == pytest.approx(found.score - full(hidden).score, abs=1e-5)


def test_similar_items_are_those_whose_vectors_point_the_same_way(
    engine: RecommendationEngine,
) -> None:
    sequence = [104, 101, 102, 108, 112, 104]
    similar = engine.explain_recommendation(
        item_sequence=sequence, recommended_item_id=116
    ).similar_items
    vector = {
        item: engine.scorer.item_VD[engine.dataset.items.row(item)] for item in {*sequence, 116}
    }
    cosine = {
        item: torch.cosine_similarity(vector[item], vector[116], dim=0).item()
        for item in set(sequence)
    }
    expected = sorted(cosine, key=lambda item: -cosine[item])[:3]
    assert [item.item_id for item in similar] == expected
    assert [item.similarity for item in similar] == pytest.approx(
        [cosine[item] for item in expected], abs=1e-6
    )
    latest = {104: 5, 101: 1, 102: 2, 108: 3, 112: 4}
    assert [item.position for item in similar] == [latest[item] for item in expected]
    assert not engine.explain_recommendation(
        item_sequence=[116, 116], recommended_item_id=116
    ).similar_items


def test_the_effect_of_a_context_feature_is_measured_by_hiding_it(
    engine: RecommendationEngine,
) -> None:
    side = full(engine).context_effects
    assert side.keys() == {"user_id", "gender", "age_group", "occupation_code", "request_time"}
    own = engine.get_user_profile(2)
    known = {
        "gender": "F",
        "age_group": own["age_group"],
        "occupation_code": own["occupation_code"],
    }
    asked = {"item_sequence": SEQUENCE, "timestamps": TIMES, "ratings": RATINGS}
    base = score(engine, 120, user_id=2, user_features=known, request_time=MOMENT, **asked)
    hidden = {
        "user_id": score(engine, 120, user_features=known, request_time=MOMENT, **asked),
        "request_time": score(engine, 120, user_id=2, user_features=known, **asked),
        **{
            name: score(
                engine,
                120,
                user_id=2,
                user_features={**known, name: None},
                request_time=MOMENT,
                **asked,
            )
            for name in known
        },
    }
    assert side == pytest.approx(
        {name: base - without for name, without in hidden.items()}, abs=1e-5
    )


def test_unknown_features_have_no_effect(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(item_sequence=SEQUENCE, recommended_item_id=120)
    assert explained.context_effects == {}
    new = engine.explain_recommendation(None, [], 120, user_features={"gender": "M"})
    assert new.context_effects.keys() == {"gender"}
    assert new.events == []
    assert "No past event is known." in new.sentence


def test_gradients_estimate_the_effects_of_the_events(engine: RecommendationEngine) -> None:
    """Their sum is what all events add; of each only the effect is told."""
    asked: dict[str, Any] = {"item_sequence": SEQUENCE, "timestamps": TIMES, "ratings": RATINGS}
    estimated = engine.explain_recommendation(
        2, recommended_item_id=120, **asked, method="gradients"
    )
    assert sorted(event.position for event in estimated.events) == [0, 1, 2, 3, 4]
    effects = [event.effect for event in estimated.events]
    assert effects == sorted(effects, reverse=True)
    assert all(event.effect_alone is event.rank_without is None for event in estimated.events)
    history = request_history(
        Request(2, SEQUENCE, timestamps=TIMES, ratings=RATINGS), engine.dataset
    )
    row = engine.dataset.items.row(120)
    assert row is not None
    shown, hidden = (
        engine.scorer.score_with_event_weights(history, row, torch.full((5,), share))
        for share in (1.0, 0.0)
    )
    assert shown.item() == pytest.approx(estimated.score, abs=1e-5)
    assert sum(effects) == pytest.approx((shown - hidden).item(), rel=0.1)
    assert not engine.explain_recommendation(
        item_sequence=[], recommended_item_id=120, method="gradients"
    ).events
    with pytest.raises(
        UsageError, match="method is 'guessed': there are leave-one-out and gradients"
    ):
        engine.explain_recommendation(2, recommended_item_id=120, method="guessed")  # type: ignore[arg-type]


def test_the_last_event_explains_what_follows_it(engine: RecommendationEngine) -> None:
    """In the synthetic world the next item of the last one's circle comes because of that one."""
    data, hits = engine.dataset, 0
    for user_id in range(1, 81):
        last = int(data.item_N[data.start_U1[user_id + 1] - 1]) - FIRST_ITEM
        follows = last + GROUPS if last + GROUPS < data.num_items else last % GROUPS
        asked = data.items.raw(follows + FIRST_ITEM)
        events = engine.explain_recommendation(user_id, recommended_item_id=asked).events
        hits += events[0].position == max(event.position for event in events)
    assert hits >= 70


def test_rank_and_score_are_those_of_the_list(engine: RecommendationEngine) -> None:
    for listed in engine.get_recommendations(2, k=5):
        explained = engine.explain_recommendation(2, recommended_item_id=listed.item_id)
        assert (explained.rank, explained.seen, explained.title) == (
            listed.rank,
            False,
            listed.title,
        )
        assert explained.score == pytest.approx(listed.score, abs=1e-5)
        assert explained.expected_rating == pytest.approx(listed.expected_rating, abs=1e-5)
        assert explained.rating_interval == listed.rating_interval


def test_the_rank_without_an_event_is_among_the_same_items(engine: RecommendationEngine) -> None:
    last = next(event for event in full(engine).events if event.position == 4)
    listed = engine.get_recommendations(
        2,
        SEQUENCE[:-1],
        k=24,
        timestamps=TIMES[:-1],
        ratings=RATINGS[:-1],
        request_time=MOMENT,
        user_features={"gender": "F"},
    ).item_ids
    assert last.rank_without == [item for item in listed if item not in SEQUENCE].index(120) + 1


def test_only_events_that_are_read_are_listed(engine: RecommendationEngine) -> None:
    seq_length = engine.model.config.model.seq_length
    sequence = [101 + place for place in range(seq_length + 5)]
    explained = engine.explain_recommendation(item_sequence=sequence, recommended_item_id=124)
    assert sorted(event.position for event in explained.events) == list(range(5, seq_length + 5))
    assert {event.item_id for event in explained.events} == set(sequence[5:])
    base = score(engine, 124, item_sequence=sequence)
    assert base == score(engine, 124, item_sequence=sequence[5:])
    for event in (
        explained.events
    ):  # where one of the events is left out, the one before the oldest moves up
        without = score(
            engine, 124, item_sequence=sequence[: event.position] + sequence[event.position + 1 :]
        )
        assert event.effect == pytest.approx(base - without, abs=1e-5)


def test_a_seen_item_can_be_explained(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(
        item_sequence=[*SEQUENCE, 112], recommended_item_id=112
    )
    assert explained.seen
    assert "would have rank" in explained.sentence
    assert [event.item_id for event in explained.events].count(112) == 2
    listed = engine.get_recommendations(
        item_sequence=[*SEQUENCE, 112], k=24, filter_seen=False
    ).item_ids
    assert (
        explained.rank
        == [item for item in listed if item not in SEQUENCE or item == 112].index(112) + 1
    )


def test_the_number_of_variants_at_once_changes_nothing(
    engine: RecommendationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = full(engine).to_dict()
    monkeypatch.setattr(variants, "VARIANTS_AT_ONCE", 3)
    pieces = full(engine).to_dict()
    assert [event["position"] for event in pieces["events"]] == [
        event["position"] for event in whole["events"]
    ]
    assert pieces["context_effects"] == pytest.approx(whole["context_effects"], abs=1e-5)


def test_the_item_must_be_named_and_known(engine: RecommendationEngine) -> None:
    with pytest.raises(UsageError, match="recommended_item_id is missing"):
        engine.explain_recommendation(2)
    for unknown in (7, "120", 120.0):
        with pytest.raises(UnknownItem, match=repr(unknown)):
            engine.explain_recommendation(2, recommended_item_id=unknown)  # type: ignore[arg-type]
    with pytest.raises(UnknownUser):
        engine.explain_recommendation(9999, recommended_item_id=120)


def test_an_explanation_is_plain_values(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(
        np.int64(2), recommended_item_id=np.int64(120), request_time=MOMENT
    )  # type: ignore[arg-type]
    document = json.loads(json.dumps(explained.to_dict()))
    assert (document["user_id"], document["item_id"], document["title"]) == (2, 120, "Item 19")
    assert document["events"][0].keys() == {
        "item_id",
        "effect",
        "effect_alone",
        "rank_without",
        "position",
        "title",
    }


def test_the_text_states_the_measured_values() -> None:
    events = [
        EventEffect(2, 1.5, 1, "Two", 2.0, 9),
        EventEffect(3, 0.5, 2),
        EventEffect(1, -3.0, 0, None, 1.0, 1),
    ]
    explained = Explanation(
        user_id=1,
        item_id=7,
        title=None,
        score=4.0,
        rank=2,
        seen=False,
        events=events,
        context_effects={"gender": 0.25, "request_time": -0.5},
        item_feature_effects={"year": 0.125},
        similar_items=[SimilarItem(2, 0.5, 1, "Two"), SimilarItem(3, 0.25, 2)],
        expected_rating=3.75,
        rating_interval=(3.0, 5.0),
    )
    assert explanation_text(explained) == (
        "Item 7 has rank 2 among the unseen items, with score 4.00. "
        "Raised most by: Two (+1.50; alone +2.00; rank 9 without it), item 3 (+0.50). "
        "Largest effect of a user or request feature: request_time (-0.50). "
        "Largest effect of an item feature: year (+0.12). "
        "Most similar in the history: Two, item 3. "
        "Its expected rating is 3.8, most likely 3 to 5."
    )
    assert "No past event raises its score." in explanation_text(
        replace(explained, events=events[2:])
    )
    assert "No past event is known." in explanation_text(replace(explained, events=[]))


@pytest.mark.parametrize("scoring", ["causal", "masked", "average"])
def test_effects_are_those_of_the_scoring_pass(world_folder: Path, scoring: Any) -> None:
    """Also with a history longer than what is read, and without titles, ratings and features."""
    engine = bare_engine(
        world_folder, ModelConfig(hidden_size=8, num_heads=2, seq_length=4, scoring=scoring)
    )
    explained = engine.explain_recommendation(item_sequence=SEQUENCE, recommended_item_id=120)
    base = score(engine, 120, item_sequence=SEQUENCE)
    assert len(explained.events) == 4
    for event in explained.events:
        without = score(
            engine, 120, item_sequence=SEQUENCE[: event.position] + SEQUENCE[event.position + 1 :]
        )
        assert event.effect == pytest.approx(base - without, abs=1e-5)
    assert (explained.title, explained.expected_rating, explained.rating_interval) == (
        None,
        None,
        None,
    )
    assert explained.sentence.startswith("Item 120 ")


def bare_engine(world_folder: Path, config: ModelConfig) -> RecommendationEngine:
    """An untrained model of ids and times alone."""
    torch.manual_seed(0)
    world = PreparedDataset.open(world_folder)
    bare = replace(
        world,
        rating_levels=np.array([]),
        rating_N=np.zeros_like(world.rating_N),
        user_features={},
        item_features={},
        stored_vocabularies=Vocabularies(world.items, world.users, None),
    )
    network = Bert4Rec.for_dataset(config, bare, TaskWeights())
    return RecommendationEngine(Artefact(Path("bare"), RunConfig(config), network, bare, {}, {}))
