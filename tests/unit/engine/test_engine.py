"""Each row of the engine's table of cases, and agreement with the scorer of the evaluation."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, TaskWeights
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.synthetic import GROUPS
from bert4rec.engine import recommend_many
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.histories import request_history
from bert4rec.engine.new_histories import NewHistories
from bert4rec.engine.request import Request
from bert4rec.errors import Diverged, UnknownItem, UnknownUser, UsageError
from bert4rec.evaluation.rating_intervals import rating_intervals
from bert4rec.ids import NO_RATING, NO_TIME, UNKNOWN
from bert4rec.model.network import Bert4Rec
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import top_k

USER, COLD_START_USER = 2, 9999
ALL_ITEMS = 24


def history_of(engine: RecommendationEngine, user_id: int) -> list[int]:
    data, row = engine.dataset, engine.dataset.users.row(user_id)
    assert row is not None
    return [
        data.items.raw(item) for item in data.item_N[data.start_U1[row] : data.start_U1[row + 1]]
    ]  # type: ignore[return-value]


def scores(engine: RecommendationEngine, **asked: object) -> dict[int, float]:
    found = engine.get_recommendations(**asked, k=ALL_ITEMS, filter_seen=False)  # type: ignore[arg-type]
    return {item.item_id: item.score for item in found}


def test_recommendations_are_the_best_unseen_items_of_the_scorer(
    engine: RecommendationEngine, model: Artefact
) -> None:
    row = engine.dataset.users.row(USER)
    stored = engine.dataset.histories(np.array([row]), engine.dataset.start_U1[[row + 1]])
    seen_N = torch.tensor(stored.item_N, dtype=torch.long)
    score_BV = exclude(model.scorer().score(stored), torch.zeros_like(seen_N), seen_N)
    item_BK, best_BK = top_k(score_BV, 5)
    found = engine.get_recommendations(USER, k=5)
    assert found.item_ids == [engine.dataset.items.raw(item) for item in item_BK[0].tolist()]
    assert [item.score for item in found] == pytest.approx(best_BK[0].tolist(), abs=1e-5)
    assert [item.rank for item in found] == [1, 2, 3, 4, 5]


def test_a_trained_model_recommends_the_next_item(engine: RecommendationEngine) -> None:
    """After item 101 + i comes 101 + i + 4, around the circle of 24."""
    hits = 0
    for last in range(109, 125):
        following = 101 + (last - 101 + GROUPS) % ALL_ITEMS
        walk = [last - 2 * GROUPS, last - GROUPS, last]
        hits += engine.get_recommendations(item_sequence=walk, k=1).item_ids == [following]
    assert hits >= 14


def test_a_sequence_replaces_the_stored_history_and_keeps_the_user_features(
    engine: RecommendationEngine,
) -> None:
    sequence = [101, 105]
    given = engine.get_recommendations(USER, sequence, k=ALL_ITEMS)
    assert set(given.item_ids) == set(engine.dataset.items.ids) - set(sequence)
    assert scores(engine, user_id=USER, item_sequence=sequence) != scores(
        engine, item_sequence=sequence
    )


def test_the_stored_history_is_the_sequence_with_its_times_and_ratings(
    engine: RecommendationEngine,
) -> None:
    data, row = engine.dataset, engine.dataset.users.row(USER)
    events = slice(data.start_U1[row], data.start_U1[row + 1])
    spelled_out = scores(
        engine,
        user_id=USER,
        item_sequence=history_of(engine, USER),
        timestamps=data.time_N[events].tolist(),
        ratings=data.rating_levels[data.rating_N[events] - 1].tolist(),
    )
    assert spelled_out == pytest.approx(scores(engine, user_id=USER), abs=1e-5)
    plain = scores(engine, user_id=USER, item_sequence=history_of(engine, USER))
    assert plain != pytest.approx(spelled_out, abs=1e-5)


def test_the_error_for_an_unknown_user_says_to_pass_a_sequence(
    engine: RecommendationEngine,
) -> None:
    with pytest.raises(UnknownUser, match="9999: pass an item_sequence"):
        engine.get_recommendations(COLD_START_USER)


def test_an_unknown_user_with_a_sequence_is_a_cold_start_user(engine: RecommendationEngine) -> None:
    assert scores(engine, user_id=COLD_START_USER, item_sequence=[101]) == scores(
        engine, item_sequence=[101]
    )
    assert engine.get_recommendations(COLD_START_USER, [101]).user_id == COLD_START_USER


def test_a_cold_start_user_gets_recommendations_from_demographics_alone(
    engine: RecommendationEngine,
) -> None:
    """Liked group by gender and age: F and 18-24 group 0, M and 18-24 group 1, F and 25-34 2, …"""
    liked = 0
    for group, (age, gender) in enumerate(
        [("18-24", "F"), ("18-24", "M"), ("25-34", "F"), ("25-34", "M")]
    ):
        known = {"gender": gender, "age_group": age, "occupation_code": 7}
        listed = engine.get_recommendations(user_features=known, k=4).item_ids
        assert (
            engine.get_recommendations(item_sequence=[], user_features=known, k=4).item_ids
            == listed
        )
        liked += sum((item - 101) % GROUPS == group for item in listed)
    assert liked >= 12  # of 16; 4 by chance


def test_passed_features_replace_the_stored_ones(engine: RecommendationEngine) -> None:
    stored = engine.get_user_profile(USER)
    own = {name: stored[name] for name in ("gender", "age_group", "occupation_code")}
    assert scores(engine, user_id=USER, user_features=own) == scores(engine, user_id=USER)
    other = {"gender": "F" if own["gender"] == "M" else "M"}
    assert scores(engine, user_id=USER, user_features=other) != scores(engine, user_id=USER)
    assert scores(engine, user_id=USER, user_features={"gender": None}) != scores(
        engine, user_id=USER
    )


def test_an_empty_sequence_is_no_error(engine: RecommendationEngine) -> None:
    assert len(engine.get_recommendations(item_sequence=[])) == 10
    assert len(engine.get_recommendations(USER, [], k=ALL_ITEMS)) == ALL_ITEMS
    assert len(engine.get_recommendations(item_sequence=[], timestamps=[], ratings=[])) == 10


def test_unknown_items_are_named_or_left_out(engine: RecommendationEngine) -> None:
    with pytest.raises(UnknownItem, match="7, 8: the model does not know") as refused:
        engine.get_recommendations(item_sequence=[101, 7, 105, 8])
    assert refused.value.item_ids == [7, 8]
    asked = {"timestamps": [10, 20, 30], "ratings": [5, 1, None]}
    left_out = scores(engine, item_sequence=[101, 7, 105], ignore_unknown_items=True, **asked)
    assert left_out == scores(
        engine, item_sequence=[101, 105], timestamps=[10, 30], ratings=[5, None]
    )
    assert scores(engine, item_sequence=[7], ignore_unknown_items=True) == scores(
        engine, item_sequence=[]
    )


def test_k_above_the_number_of_candidates_gives_the_shorter_list(
    engine: RecommendationEngine,
) -> None:
    items = list(engine.dataset.items.ids)
    assert (
        sorted(engine.get_recommendations(item_sequence=items[3:], k=10**6).item_ids) == items[:3]
    )
    assert len(engine.get_recommendations(item_sequence=items)) == 0


@pytest.mark.parametrize("k", [0, -1, 2.0, "3", None, True])
def test_k_is_a_whole_number_from_one(engine: RecommendationEngine, k: object) -> None:
    with pytest.raises(UsageError, match=r"k is .*: it must be a whole number, 1 or more"):
        engine.get_recommendations(USER, k=k)  # type: ignore[arg-type]


def test_k_may_be_a_numpy_integer(engine: RecommendationEngine) -> None:
    assert len(engine.get_recommendations(USER, k=np.int64(3))) == 3  # type: ignore[arg-type]


def test_without_filtering_every_item_is_recommended_once(
    engine: RecommendationEngine,
) -> None:
    listed = engine.get_recommendations(USER, k=ALL_ITEMS + 2, filter_seen=False).item_ids
    assert sorted(listed) == list(engine.dataset.items.ids)  # PAD and MASK have no raw id
    filtered = engine.get_recommendations(USER, k=ALL_ITEMS).item_ids
    seen = set(history_of(engine, USER))
    assert filtered == [item for item in listed if item not in seen]


def test_many_users_get_the_recommendations_that_each_gets_alone(
    engine: RecommendationEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {"k": 30, "request_time": 1_000_000_000}
    whole = list(engine.recommend_many(**asked))
    assert [len(piece) for piece in whole] == [
        sum(24 - seen(engine, user) for user in range(1, 81))
    ]
    monkeypatch.setattr(recommend_many, "USERS_AT_ONCE", 7)
    pieces = list(engine.recommend_many([5, 80, 5, np.int64(1)], **asked)) + list(
        engine.recommend_many(**asked)
    )
    assert len(pieces) == 1 + 12
    for user in (5, 80, 1):
        alone = engine.get_recommendations(user, **asked)
        for piece in (whole[0], pieces[0]):
            mask = piece.user_id == user
            times = 2 if user == 5 and piece is pieces[0] else 1
            assert piece.item_id[mask].tolist() == alone.item_ids * times
            assert piece.rank[mask].tolist() == [item.rank for item in alone] * times
            assert piece.score[mask].tolist() == pytest.approx(
                [item.score for item in alone] * times, abs=1e-4
            )
    seen_too = next(engine.recommend_many([5], k=24, filter_seen=False))
    assert sorted(seen_too.item_id.tolist()) == list(range(101, 125))


def seen(engine: RecommendationEngine, user: int) -> int:
    """Number of items that a user has seen."""
    start_U1 = engine.dataset.start_U1
    return len(set(engine.dataset.item_N[start_U1[user] : start_U1[user + 1]].tolist()))


def test_many_users_are_checked_before_the_first_table(engine: RecommendationEngine) -> None:
    with pytest.raises(UnknownUser, match="9999"):
        engine.recommend_many([1, 9999])
    with pytest.raises(UsageError, match="k is 0"):
        engine.recommend_many(k=0)
    assert not list(engine.recommend_many([]))


def test_items_that_score_minus_infinity_are_never_recommended(
    engine: RecommendationEngine,
) -> None:
    class Refusing:
        name, predicts_ratings = "refusing", False

        def score(self, histories: Histories) -> torch.Tensor:
            score_BV = torch.zeros(len(histories), engine.dataset.item_rows)
            score_BV[:, 5:] = -torch.inf
            return score_BV

    refusing = RecommendationEngine(engine.model)
    refusing.scorer = Refusing()  # type: ignore[assignment]
    assert refusing.get_recommendations(item_sequence=[], filter_seen=False).item_ids == [
        101,
        102,
        103,
    ]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_scores_that_are_not_finite_are_one_error_and_no_empty_list(
    engine: RecommendationEngine, wrong: float
) -> None:
    class Broken:
        name, predicts_ratings, item_VD = "broken", False, engine.scorer.item_VD

        def score(self, histories: Histories) -> torch.Tensor:
            return torch.full((len(histories), engine.dataset.item_rows), wrong)

    broken = RecommendationEngine(engine.model)
    broken.scorer = Broken()  # type: ignore[assignment]
    for ask in (
        lambda: broken.get_recommendations(USER),
        lambda: list(broken.recommend_many()),
        lambda: broken.explain_recommendation(USER, recommended_item_id=101),
    ):
        with pytest.raises(Diverged, match=r"broken: scored (NaN|infinity)"):
            ask()


def test_the_request_time_counts_and_is_unknown_by_default(engine: RecommendationEngine) -> None:
    assert scores(engine, user_id=USER, request_time=None) == scores(engine, user_id=USER)
    moment = datetime(2001, 6, 1, 12, tzinfo=UTC)
    timed = scores(engine, user_id=USER, request_time=moment)
    assert timed != scores(engine, user_id=USER)
    assert timed == scores(engine, user_id=USER, request_time=int(moment.timestamp()))
    assert timed == scores(engine, user_id=USER, request_time=moment.replace(tzinfo=None))
    assert len(engine.get_recommendations(USER, request_time="now")) > 0
    assert (
        len(engine.get_recommendations(USER, request_time=0)) > 0
    )  # long before the history: no error


def test_the_expected_rating_is_the_mean_of_the_heads_distribution(
    engine: RecommendationEngine,
) -> None:
    found = engine.get_recommendations(USER, k=4)
    row, network = engine.dataset.users.row(USER), engine.model.network
    stored = engine.dataset.histories(np.array([row] * 4), engine.dataset.start_U1[[row + 1] * 4])
    item_B = torch.tensor([engine.dataset.items.row(item) for item in found.item_ids])
    with torch.no_grad():
        (state_BD,) = engine.scorer.user_states(stored)
        user_B = torch.full_like(item_B, row)
        likely_BR = network.rating_head(
            state_BD, network.item_embeddings()[item_B], user_B, item_B
        ).softmax(1)
    expected = (likely_BR * torch.tensor([1.0, 2, 3, 4, 5])).sum(1).tolist()
    assert [item.expected_rating for item in found] == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 1e-3
    first_B, last_B, _ = rating_intervals(likely_BR.numpy())
    assert [item.rating_interval for item in found] == list(
        zip(first_B + 1.0, last_B + 1.0, strict=True)
    )


def test_ids_are_compared_with_their_type(engine: RecommendationEngine) -> None:
    assert engine.get_recommendations(np.int64(USER)) == engine.get_recommendations(USER)
    assert engine.get_recommendations(item_sequence=np.array([101])) == engine.get_recommendations(
        item_sequence=[101]
    )
    for user_id in ("2", 2.0, [2]):
        with pytest.raises(UnknownUser):
            engine.get_recommendations(user_id)  # type: ignore[arg-type]
    for item_id in ("101", 101.0, [101], True):
        with pytest.raises(UnknownItem):
            engine.get_recommendations(item_sequence=[item_id])  # type: ignore[list-item]


def test_a_request_without_user_or_history_is_a_usage_error(engine: RecommendationEngine) -> None:
    with pytest.raises(UsageError, match="user_id, an item_sequence, or both"):
        engine.get_recommendations()
    with pytest.raises(UsageError, match="go with an item_sequence"):
        engine.get_recommendations(USER, ratings=[5])


def test_an_answer_is_a_sequence_and_plain_values(engine: RecommendationEngine) -> None:
    found = engine.get_recommendations(np.int64(USER), k=3)
    assert (len(found), found[0].rank, [item.rank for item in found]) == (3, 1, [1, 2, 3])
    document = json.loads(json.dumps(found.to_dict()))
    assert document["user_id"] == USER
    assert document["items"][0].keys() == {
        "item_id",
        "rank",
        "score",
        "title",
        "expected_rating",
        "rating_interval",
    }


def test_an_engine_loads_from_a_folder_or_a_pair(
    model_folder: Path, model: Artefact, tmp_path: Path
) -> None:
    artefact.save_pair(model, tmp_path / "best_model.pt", tmp_path / "metadata.json")
    folder = RecommendationEngine.load(model_folder)
    pair = RecommendationEngine.load(
        model_path=tmp_path / "best_model.pt", metadata_path=str(tmp_path / "metadata.json")
    )
    assert folder.get_recommendations(USER) == pair.get_recommendations(USER)


@pytest.mark.parametrize(
    "named",
    [
        {},
        {"folder": "a", "model_path": "b"},
        {"model_path": "b"},
        {"metadata_path": "c"},
        {"folder": "a", "metadata_path": "c"},
    ],
)
def test_a_model_is_named_in_one_way(named: dict[str, str]) -> None:
    with pytest.raises(
        UsageError, match="name a model folder, or model_path and metadata_path together"
    ):
        RecommendationEngine.load(**named)  # type: ignore[arg-type]


def test_a_cold_start_user_has_the_unknown_row_and_no_times(engine: RecommendationEngine) -> None:
    history = request_history(Request(COLD_START_USER, [101, 102]), engine.dataset)
    assert (history.user_B.tolist(), history.time_N.tolist()) == ([UNKNOWN], [NO_TIME] * 2)
    assert (history.rating_N.tolist(), history.request_time_B.tolist()) == (
        [NO_RATING] * 2,
        [NO_TIME],
    )


def test_a_model_without_user_features_gives_all_users_the_same_scores(world_folder: Path) -> None:
    torch.manual_seed(0)
    dataset = PreparedDataset.open(world_folder)
    config = ModelConfig(hidden_size=8, num_heads=2, num_layers=1, user_features="none")
    network = Bert4Rec.for_dataset(config, dataset, TaskWeights())
    plain = RecommendationEngine(
        Artefact(world_folder, RunConfig(config), network, dataset, {}, {})
    )
    given = {"item_sequence": [101], "user_features": {"gender": "F"}}
    assert scores(plain, **given) == scores(plain, user_id=USER, item_sequence=[101])


def test_forgotten_events_are_ignored(engine: RecommendationEngine) -> None:
    history = history_of(engine, USER)
    gone = history[-1]
    kept = [item for item in history if item != gone]
    forgetful = scores(engine, user_id=USER, item_sequence=history, forget=[gone])
    assert forgetful == pytest.approx(scores(engine, user_id=USER, item_sequence=kept))
    assert forgetful != pytest.approx(scores(engine, user_id=USER, item_sequence=history))


def test_forgotten_items_stay_seen(engine: RecommendationEngine) -> None:
    gone = history_of(engine, USER)[-1]
    assert gone not in engine.get_recommendations(USER, k=ALL_ITEMS, forget=[gone]).item_ids
    assert (
        gone
        in engine.get_recommendations(USER, k=ALL_ITEMS, forget=[gone], filter_seen=False).item_ids
    )


def test_forgetting_the_main_reason_of_a_recommendation_lowers_its_score(
    engine: RecommendationEngine,
) -> None:
    (best,) = engine.get_recommendations(USER, k=1)
    explained = engine.explain_recommendation(USER, recommended_item_id=best.item_id)
    reason = max(explained.events, key=lambda event: event.effect)
    after = engine.explain_recommendation(
        USER, recommended_item_id=best.item_id, forget=[reason.item_id]
    )
    assert after.score < best.score
    assert reason.item_id not in [event.item_id for event in after.events]


def test_only_items_of_the_history_can_be_forgotten(engine: RecommendationEngine) -> None:
    absent = next(item for item in engine.dataset.items.ids if item not in history_of(engine, USER))
    with pytest.raises(
        UsageError, match=f"forget: {absent} cannot be forgotten: not in the history"
    ):
        engine.get_recommendations(USER, forget=[absent])
    with pytest.raises(UnknownItem, match="9999"):
        engine.explain_recommendation(USER, recommended_item_id=101, forget=[9999])


def test_new_histories_replace_stored_ones_and_keep_unknown_users(
    engine: RecommendationEngine,
) -> None:
    new = NewHistories.of_events(
        engine.dataset,
        [2, "ann", 2, "ann"],
        [105, 101, 101, 777],
        [20, 10, 10, 30],
        [5, None, 4, 3],
    )
    assert (new.events_of_unknown_items, new.unknown_items) == (1, 1)
    (table,) = engine.recommend_many([3, "ann", 2], k=4, histories=new)
    given = {"timestamps": [10, 20], "ratings": [4, 5], "k": 4}
    alone = [
        engine.get_recommendations(3, k=4),
        engine.get_recommendations(item_sequence=[101], timestamps=[10], k=4),
        engine.get_recommendations(2, [101, 105], **given),  # type: ignore[arg-type]
    ]
    assert table.user_id.tolist() == [3] * 4 + ["ann"] * 4 + [2] * 4
    assert table.item_id.tolist() == [item for found in alone for item in found.item_ids]


def test_unknown_users_are_skipped_or_answered_as_cold_start_users(
    engine: RecommendationEngine,
) -> None:
    skipped = engine.recommend_many([9999, 2], k=2, unknown_users="skip")
    assert (skipped.num_users, skipped.unknown_users) == (1, [9999])
    assert next(skipped).user_id.tolist() == [2, 2]
    (cold,) = engine.recommend_many([9999], k=2, unknown_users="cold_start")
    assert cold.item_id.tolist() == engine.get_recommendations(item_sequence=[], k=2).item_ids
    with pytest.raises(UsageError, match="there are error, skip, cold_start"):
        engine.recommend_many([2], unknown_users="ignore")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="user_ids is the text '23'"):
        engine.recommend_many("23")
