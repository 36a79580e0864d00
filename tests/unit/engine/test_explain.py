"""Explanations are measured: each effect is a difference of two scores that anyone can ask for."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, TaskWeights
from bert4rec.data.prepared import Names, PreparedDataset
from bert4rec.engine import explain
from bert4rec.engine.answers import EventEffect, Explanation
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.explain import sentence_of
from bert4rec.errors import UnknownItem, UnknownUser, UsageError
from bert4rec.model.network import Bert4Rec

SEQUENCE = [104, 108, 103, 112, 116]
TIMES = [1_000_000_000 + 40_000 * place for place in range(5)]
RATINGS = [5, 4, 1, None, 5]
MOMENT = TIMES[-1] + 3_600


def score(engine: RecommendationEngine, item_id: int, **asked: object) -> float:
    found = engine.get_recommendations(**asked, k=24, filter_seen=False)  # type: ignore[arg-type]
    return next(item.score for item in found if item.item_id == item_id)


def full(engine: RecommendationEngine) -> Explanation:
    return engine.explain_recommendation(
        2, SEQUENCE, 120, timestamps=TIMES, ratings=RATINGS, request_time=MOMENT, user_features={"gender": "F"}
    )


def test_an_effect_is_the_score_with_everything_minus_the_score_without_the_event(engine: RecommendationEngine) -> None:
    explained = full(engine)
    asked = {"user_id": 2, "request_time": MOMENT, "user_features": {"gender": "F"}}
    base = score(engine, 120, item_sequence=SEQUENCE, timestamps=TIMES, ratings=RATINGS, **asked)
    assert explained.score == pytest.approx(base, abs=1e-5)
    assert sorted(event.position for event in explained.events) == [0, 1, 2, 3, 4]
    for event in explained.events:
        items, times, ratings = (
            [*values[: event.position], *values[event.position + 1 :]] for values in (SEQUENCE, TIMES, RATINGS)
        )
        without = score(engine, 120, item_sequence=items, timestamps=times, ratings=ratings, **asked)
        assert event.item_id == SEQUENCE[event.position]
        assert event.effect == pytest.approx(base - without, abs=1e-5)


def test_the_effect_of_what_is_known_is_measured_by_hiding_it(engine: RecommendationEngine) -> None:
    side = full(engine).side_information
    assert side.keys() == {"user_id", "gender", "age_group", "occupation_code", "request_time"}
    own = engine.get_user_profile(2)
    known = {"gender": "F", "age_group": own["age_group"], "occupation_code": own["occupation_code"]}
    asked = {"item_sequence": SEQUENCE, "timestamps": TIMES, "ratings": RATINGS}
    base = score(engine, 120, user_id=2, user_features=known, request_time=MOMENT, **asked)
    hidden = {
        "user_id": score(engine, 120, user_features=known, request_time=MOMENT, **asked),
        "request_time": score(engine, 120, user_id=2, user_features=known, **asked),
        **{
            name: score(engine, 120, user_id=2, user_features={**known, name: None}, request_time=MOMENT, **asked)
            for name in known
        },
    }
    assert side == pytest.approx({name: base - without for name, without in hidden.items()}, abs=1e-5)


def test_what_is_not_known_has_no_effect_to_list(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(item_sequence=SEQUENCE, recommended_item_id=120)
    assert explained.side_information == {}
    new = engine.explain_recommendation(None, [], 120, user_features={"gender": "M"})
    assert new.side_information.keys() == {"gender"}
    assert new.events == []
    assert "No past event is known." in new.sentence


def test_events_are_sorted_by_the_strength_of_their_effect(engine: RecommendationEngine) -> None:
    strengths = [abs(event.effect) for event in full(engine).events]
    assert strengths == sorted(strengths, reverse=True)


def test_the_last_event_explains_what_follows_it(engine: RecommendationEngine) -> None:
    """In the synthetic world the last event alone decides what comes next."""
    hits = 0
    for user_id in range(1, 81):
        top = engine.get_recommendations(user_id, k=1)[0].item_id
        events = engine.explain_recommendation(user_id, recommended_item_id=top).events
        hits += events[0].position == max(event.position for event in events)
    assert hits >= 64


def test_rank_and_score_are_those_of_the_list(engine: RecommendationEngine) -> None:
    for listed in engine.get_recommendations(2, k=5):
        explained = engine.explain_recommendation(2, recommended_item_id=listed.item_id)
        assert (explained.rank, explained.seen, explained.title) == (listed.rank, False, listed.title)
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
    seq_length = engine.model.run.model.seq_length
    sequence = [101 + place for place in range(seq_length + 5)]
    explained = engine.explain_recommendation(item_sequence=sequence, recommended_item_id=124)
    assert sorted(event.position for event in explained.events) == list(range(5, seq_length + 5))
    assert {event.item_id for event in explained.events} == set(sequence[5:])
    base = score(engine, 124, item_sequence=sequence)
    assert base == score(engine, 124, item_sequence=sequence[5:])
    for event in explained.events:  # where one of the events is left out, the one before the oldest moves up
        without = score(engine, 124, item_sequence=sequence[: event.position] + sequence[event.position + 1 :])
        assert event.effect == pytest.approx(base - without, abs=1e-5)


def test_an_item_that_was_seen_may_be_asked_about(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(item_sequence=[*SEQUENCE, 112], recommended_item_id=112)
    assert explained.seen
    assert "would be number" in explained.sentence
    assert [event.item_id for event in explained.events].count(112) == 2
    listed = engine.get_recommendations(item_sequence=[*SEQUENCE, 112], k=24, filter_seen=False).item_ids
    assert explained.rank == [item for item in listed if item not in SEQUENCE or item == 112].index(112) + 1


def test_many_variants_are_scored_piece_by_piece_alike(
    engine: RecommendationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = full(engine).to_dict()
    monkeypatch.setattr(explain, "VARIANTS_AT_ONCE", 3)
    pieces = full(engine).to_dict()
    assert [event["position"] for event in pieces["events"]] == [event["position"] for event in whole["events"]]
    assert pieces["side_information"] == pytest.approx(whole["side_information"], abs=1e-5)


def test_the_item_must_be_named_and_known(engine: RecommendationEngine) -> None:
    with pytest.raises(UsageError, match="recommended_item_id is missing"):
        engine.explain_recommendation(2)
    for unknown in (7, "120", 120.0):
        with pytest.raises(UnknownItem, match=repr(unknown)):
            engine.explain_recommendation(2, recommended_item_id=unknown)  # type: ignore[arg-type]
    with pytest.raises(UnknownUser):
        engine.explain_recommendation(9999, recommended_item_id=120)


def test_an_explanation_is_plain_values(engine: RecommendationEngine) -> None:
    explained = engine.explain_recommendation(np.int64(2), recommended_item_id=np.int64(120), request_time=MOMENT)  # type: ignore[arg-type]
    document = json.loads(json.dumps(explained.to_dict()))
    assert (document["user_id"], document["item_id"], document["title"]) == (2, 120, "Item 19")
    assert document["events"][0].keys() == {"item_id", "effect", "rank_without", "position", "title"}


def test_the_sentence_says_what_was_measured_and_nothing_else() -> None:
    events = [EventEffect(1, -3.0, 1, 0), EventEffect(2, 1.5, 9, 1, "Two"), EventEffect(3, 0.5, 4, 2)]
    said = sentence_of("Item 7", 2, 4.0, False, events, {"gender": 0.25, "request_time": -0.5})
    assert said == (
        "Item 7 is number 2 among the unseen items, with score 4.00. What raises it most: Two (+1.50; without it "
        "number 9), item 3 (+0.50; without it number 4). Of what is known of the user and the request, request_time "
        "matters most (-0.50)."
    )
    assert "No past event raises its score." in sentence_of("Item 7", 2, 4.0, False, events[:1], {})


@pytest.mark.parametrize("scoring", ["causal", "mask", "average"])
def test_effects_are_those_of_whatever_reading_scores(world_folder: Path, scoring: Any) -> None:
    """Also with a history longer than what is read, and without titles, ratings and features."""
    engine = bare_engine(world_folder, ModelConfig(hidden_size=8, num_heads=2, seq_length=4, scoring=scoring))
    explained = engine.explain_recommendation(item_sequence=SEQUENCE, recommended_item_id=120)
    base = score(engine, 120, item_sequence=SEQUENCE)
    assert len(explained.events) == 4
    for event in explained.events:
        without = score(engine, 120, item_sequence=SEQUENCE[: event.position] + SEQUENCE[event.position + 1 :])
        assert event.effect == pytest.approx(base - without, abs=1e-5)
    assert (explained.title, explained.expected_rating, explained.rating_interval) == (None, None, None)
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
        given_names=Names(world.items, world.users, None),
    )
    network = Bert4Rec.for_dataset(config, bare, TaskWeights())
    return RecommendationEngine(Artefact(Path("bare"), RunConfig(config), network, bare, {}, {}))
