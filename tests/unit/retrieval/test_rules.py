"""Business rules: filters, boosts, caps and diversity, the moves of each, and complete lists."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import rank_items
from bert4rec.retrieval.reranking import MMR_CANDIDATES
from bert4rec.retrieval.rules import Rules
from small_worlds import dataset_of

USER = 2


def ids(engine: RecommendationEngine, **rules: Any) -> list[Any]:
    return engine.get_recommendations(USER, k=8, rules=rules).item_ids


def genres_of(engine: RecommendationEngine, item: Any) -> set[int]:
    row = engine.dataset.items.row(item)
    assert row is not None
    return set(np.asarray(engine.dataset.item_features["genres"][1])[row].tolist()) - {0}


def test_empty_rules_keep_the_order_of_scores_and_move_nothing(
    engine: RecommendationEngine,
) -> None:
    plain = engine.get_recommendations(USER, k=8)
    ruled = engine.get_recommendations(USER, k=8, rules={})
    assert ruled.item_ids == plain.item_ids
    assert all(item.moves is None for item in plain)
    assert all(item.moves == [] for item in ruled)
    assert "moves" not in plain[0].to_dict()
    assert ruled[0].to_dict()["moves"] == []


def test_filters_keep_the_order_of_the_other_items(engine: RecommendationEngine) -> None:
    every = engine.get_recommendations(USER, k=99).item_ids
    allowed, denied = every[3:20:2], every[5]
    assert (
        ids(engine, allow=allowed, deny=[denied])
        == [item for item in every if item in allowed and item != denied][:8]
    )
    named = f"item_id in ({every[4]}, {every[9]})"
    assert ids(engine, where=named) == [every[4], every[9]]


def test_moves_name_the_rule_and_the_ranks(engine: RecommendationEngine) -> None:
    every = engine.get_recommendations(USER, k=99).item_ids
    (first, second) = engine.get_recommendations(
        USER, k=2, rules={"deny": every[:3], "boosts": {f"item_id == {every[5]}": 99}}
    )
    assert first.item_id == every[5]
    assert [move.to_dict() for move in first.moves or ()] == [
        {"rule": "deny", "rank_before": 6, "rank_after": 3},
        {"rule": "boosts", "rank_before": 3, "rank_after": 1},
    ]
    assert second.item_id == every[3]
    assert [(move.rule, move.rank_before, move.rank_after) for move in second.moves or ()] == [
        ("deny", 4, 1),
        ("boosts", 1, 2),
    ]


def test_scores_are_those_without_boosts(engine: RecommendationEngine) -> None:
    plain = {item.item_id: item.score for item in engine.get_recommendations(USER, k=99)}
    boosted = engine.get_recommendations(USER, k=5, rules={"boosts": {"year >= 1993": 2.0}})
    assert [item.score for item in boosted] == pytest.approx(
        [plain[item.item_id] for item in boosted]
    )


@pytest.mark.parametrize("diversity", [0.0, 0.4])
def test_no_value_comes_more_often_than_its_cap(
    engine: RecommendationEngine, diversity: float
) -> None:
    listed = ids(engine, at_most={"genres": 2}, diversity=diversity)
    counts = Counter(genre for item in listed for genre in genres_of(engine, item))
    assert max(counts.values()) == 2
    uncapped = Counter(genre for item in ids(engine) for genre in genres_of(engine, item))
    assert max(uncapped.values()) > 2


def test_a_capped_list_holds_the_best_items_that_meet_the_cap() -> None:
    """Item i has score −i; of genre 1 (items 0 … 3) two at most."""
    listed = ruled(
        dataset_of(list(range(6)), genres=[[1], [1], [1], [1], [2], [3]]),
        at_most={"genres": 2},
        k=4,
    )
    assert listed == [0, 1, 4, 5]


def test_a_list_is_complete_if_items_that_meet_a_cap_rank_far_below() -> None:
    number = 5 * MMR_CANDIDATES
    genres = [[1]] * (number - 2) + [[2], [3]]
    dataset = dataset_of(list(range(number)), genres=genres)
    assert ruled(dataset, at_most={"genres": 1}, k=3) == [0, number - 2, number - 1]


def test_diversity_of_one_takes_dissimilar_items_and_of_zero_the_best() -> None:
    dataset = dataset_of(list(range(4)))
    vectors = F.normalize(torch.tensor([[1.0, 0], [1, 0.01], [1, 0.1], [0, 1]]), dim=1)
    assert ruled(dataset, vectors, diversity=0.0, k=3) == [0, 1, 2]
    assert ruled(dataset, vectors, diversity=1.0, k=2) == [0, 3]
    assert ruled(dataset, vectors, diversity=0.99, k=4) == [0, 3, 2, 1]


def ruled(
    dataset: PreparedDataset, vectors: torch.Tensor | None = None, *, k: int, **rules: Any
) -> list[int]:
    """Items of the list under rules; scores fall with the item's number."""
    score_V = np.concatenate(
        [np.full(FIRST_ITEM, EXCLUDED), -np.arange(dataset.num_items, dtype=float)]
    )
    own = torch.eye(4)[torch.arange(dataset.num_items) % 4] if vectors is None else vectors
    vector_VD = torch.cat([torch.zeros(FIRST_ITEM, own.shape[1]), own])
    ready = ItemRules.resolve(
        Rules(**rules), dataset, lambda item: int(str(item)) + FIRST_ITEM, vector_VD
    )
    ranking = rank_items(torch.from_numpy(score_V)[None], k, ready)
    return [item - FIRST_ITEM for item in ranking.items(0)]


def test_seen_items_stay_filtered_even_if_allowed(engine: RecommendationEngine) -> None:
    row = engine.dataset.users.row(USER)
    assert row is not None
    seen = engine.dataset.items.raw(int(engine.dataset.item_N[engine.dataset.start_U1[row]]))
    with pytest.raises(UsageError, match="of what the user has not seen no item is left"):
        ids(engine, allow=[seen])
    assert engine.get_recommendations(
        USER, k=3, filter_seen=False, rules={"allow": [seen]}
    ).item_ids == [seen]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"diversity": 1.5}, "diversity is 1.5: it must be between 0 and 1"),
        ({"diversity": "high"}, "diversity is 'high': it must be between 0 and 1"),
        ({"at_most": 3}, "at_most is 3; give a mapping to numbers"),
        ({"boosts": ["year > 1990"]}, "boosts is ['year > 1990']; give a mapping to numbers"),
        ({"at_most": {"genres": 0}}, "at_most of genres is 0"),
        ({"at_most": {"genres": True}}, "at_most of genres is True"),
        ({"at_most": {"price": 2}}, "'price' is no feature with values; there are genres, year"),
        ({"boosts": {"year > 1990": "much"}}, "the boost of 'year > 1990' is 'much'"),
        ({"boosts": {"year > 1990": float("nan")}}, "the boost of 'year > 1990' is nan"),
        (
            {"allow": [101], "deny": [101]},
            "allow and deny leave no item at all; they contradict each other",
        ),
        ({"where": "year > 3000"}, "where leave no item at all"),
        (
            {"novelty": 1},
            "unknown rule 'novelty'; there are allow, deny, where, boosts, at_most, diversity",
        ),
    ],
)
def test_rules_without_meaning_are_refused(
    engine: RecommendationEngine, rules: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        ids(engine, **rules)
    assert said in str(refused.value)


def test_unknown_ids_of_deny_are_ignored_and_counted(engine: RecommendationEngine) -> None:
    known = engine.get_recommendations(USER, k=3).item_ids[0]
    found = engine.get_recommendations(USER, k=3, rules={"deny": [777, known, "x", None]})
    assert found.item_ids == ids(engine, deny=[known])[:3]
    assert found.warnings == ["deny: 3 of 4 ids not in the catalogue, ignored: 777, 'x', None"]
    assert found.to_dict()["warnings"] == found.warnings
    assert "warnings" not in engine.get_recommendations(USER, k=3).to_dict()


def test_unknown_ids_of_allow_are_said(engine: RecommendationEngine) -> None:
    known = engine.get_recommendations(USER, k=3).item_ids[1]
    found = engine.get_recommendations(USER, rules={"allow": [*range(900, 910), known]})
    assert found.item_ids == [known]
    (said,) = found.warnings
    assert said == ("allow: 10 of 11 ids not in the catalogue, ignored: 900, 901, 902, 903, 904, …")


def test_a_list_of_unknown_allowed_ids_is_empty_and_says_why(engine: RecommendationEngine) -> None:
    rules = {"allow": [777, 778], "deny": [779], "where": "year > 1900"}
    found = engine.get_recommendations(USER, rules=rules)
    assert found.item_ids == []
    assert found.warnings[0].startswith(
        "allow: 2 of 2 ids not in the catalogue, so no item is allowed and the list is empty: 777"
    )
    with pytest.raises(UsageError, match="is no condition"):
        ids(engine, allow=[777], where="year >")


def test_rules_take_arrays_columns_and_generators(engine: RecommendationEngine) -> None:
    known = engine.get_recommendations(USER, k=3).item_ids
    expected = Rules(deny=known, boosts={"year > 1990": 0.5}, at_most={"genres": 2}, diversity=0.3)
    given = Rules(
        deny=np.array(known),  # type: ignore[arg-type]
        boosts={"year > 1990": np.float64(0.5)},
        at_most={"genres": np.int32(2)},  # type: ignore[dict-item]
        diversity="0.3",  # type: ignore[arg-type]
    )
    assert given == expected
    assert Rules(deny=(item for item in known)) == Rules(deny=known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ({"where": 5}, "where is 5: it must be a condition"),
        ({"where": ["year > 3"]}, "where is ['year > 3']: it must be a condition"),
        ({"where": ""}, "is no condition"),
        ({"boosts": []}, "boosts is []; give a mapping to numbers"),
        ({"boosts": {5: 1.0}}, "boosts maps 5; give a mapping of texts to numbers"),
        ({"boosts": {"year > 1": True}}, "the boost of 'year > 1' is True"),
        ({"boosts": {"year > 1": 1e300}}, "it must be a number, 1e+09 at most"),
        ({"at_most": "x"}, "at_most is 'x'; give a mapping to numbers"),
        ({"at_most": {"genres": -1}}, "at_most of genres is -1"),
        ({"at_most": {"genres": 1.5}}, "at_most of genres is 1.5"),
        ({"at_most": {"genres": float("nan")}}, "at_most of genres is nan"),
        ({"diversity": True}, "diversity is True"),
        ({"diversity": float("nan")}, "diversity is nan"),
        ({"allow": "101"}, "allow is the text '101'; give a list of item ids"),
        ({"deny": 101}, "deny is 101; give a list of item ids"),
        ({"deny": {"a": 1}}, "deny is {'a': 1}; give a list of item ids"),
        ({"deny": [[101]]}, "deny: [101] is no id"),
        ({5: 1}, "unknown rule 5"),
    ],
)
def test_rules_of_a_wrong_type_are_one_usage_error(
    engine: RecommendationEngine, rules: dict[Any, Any], said: str
) -> None:
    with pytest.raises(UsageError) as refused:
        engine.get_recommendations(USER, rules=rules)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_huge_caps_are_none(engine: RecommendationEngine) -> None:
    assert ids(engine, at_most={"genres": 10**30}) == ids(engine)


def test_many_users_get_the_ruled_lists_that_each_gets_alone(
    engine: RecommendationEngine,
) -> None:
    rules = {"where": "year >= 1980", "at_most": {"genres": 2}, "diversity": 0.3}
    (many,) = engine.recommend_many([3, USER, 9], k=5, rules=rules)
    for user in (3, USER, 9):
        alone = engine.get_recommendations(user, k=5, rules=rules)
        mask = many.user_id == user
        assert many.item_id[mask].tolist() == alone.item_ids
        assert many.rank[mask].tolist() == [item.rank for item in alone]
        assert many.score[mask].tolist() == pytest.approx([item.score for item in alone], abs=1e-4)


def test_users_without_candidates_have_no_rows(
    engine: RecommendationEngine,
) -> None:
    row = engine.dataset.users.row(USER)
    assert row is not None
    start_U1 = engine.dataset.start_U1
    seen = [
        set(engine.dataset.item_N[start_U1[at] : start_U1[at + 1]].tolist())
        for at in (row, row + 1)
    ]
    only = engine.dataset.items.raw(min(seen[0] - seen[1]))
    (many,) = engine.recommend_many([USER, USER + 1], k=3, rules={"allow": [only]})
    assert (many.user_id.tolist(), many.item_id.tolist()) == ([USER + 1], [only])
