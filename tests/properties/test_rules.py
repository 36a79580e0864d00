"""Rules keep what they promise, whatever the scores: filters, caps, complete lists and moves."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, PAD
from bert4rec.retrieval.candidates import EXCLUDED
from bert4rec.retrieval.conditions import items_where
from bert4rec.retrieval.item_rules import ItemRules
from bert4rec.retrieval.recommend import Ranking, rank_items
from bert4rec.retrieval.rules import Rules
from small_worlds import dataset_of

whatever_the_load = settings(deadline=None)
"""Each example ranks several times, which a busy machine may take long for."""

ITEMS = 12
GENRES = [[1], [1, 2], [2], [3], [1, 3], [2, 3], [], [1], [4], [4, 1], [2], [3]]
YEARS = [1990, 1991, 1992, 1993, 0, 1990, 1991, 1992, 1993, 0, 1990, 1991]
DATASET = dataset_of(list(range(ITEMS)), genres=GENRES, years=YEARS)
ITEM_VD = torch.from_numpy(np.random.default_rng(0).normal(size=(FIRST_ITEM + ITEMS, 3)))

score_values = st.one_of(st.just(EXCLUDED), st.sampled_from([-2.0, -0.5, 0.0, 0.5, 1.0, 3.0]))
score_rows = st.lists(score_values, min_size=ITEMS, max_size=ITEMS)
score_tables = st.lists(score_rows, min_size=1, max_size=3).map(
    lambda rows: torch.tensor([[EXCLUDED] * FIRST_ITEM + row for row in rows])
)
conditions = st.sampled_from(["year >= 1991", "'genre 1' in genres", "item_id > 5", "year != 1990"])
filters = st.fixed_dictionaries(
    {},
    optional={
        "allow": st.lists(st.integers(0, ITEMS - 1), min_size=3, unique=True),
        "deny": st.lists(st.integers(0, ITEMS - 1), max_size=2, unique=True),
        "where": conditions,
    },
)
boosts = st.dictionaries(conditions, st.sampled_from([-3.0, -0.5, 0.25, 2.0]), max_size=2)
caps = st.dictionaries(st.sampled_from(["genres", "year"]), st.integers(1, 3), max_size=2)
diversities = st.sampled_from([0.0, 0.3, 1.0])
sizes = st.integers(1, ITEMS + 3)


def resolved(**rules: Any) -> ItemRules:
    return ItemRules.resolve(Rules(**rules), DATASET, lambda item: int(item) + FIRST_ITEM, ITEM_VD)


def allowed_by(given: dict[str, Any]) -> set[int]:
    """Item rows that pass the filters, by hand."""
    allowed = {item + FIRST_ITEM for item in given.get("allow", range(ITEMS))}
    allowed -= {item + FIRST_ITEM for item in given.get("deny", ())}
    if "where" in given:
        allowed &= set(np.flatnonzero(items_where(given["where"], DATASET)).tolist())
    return allowed


def candidates_of(score_BV: Tensor, user: int) -> set[int]:
    return set(torch.nonzero(score_BV[user] > EXCLUDED)[:, 0].tolist())


def users_of(ranking: Ranking) -> range:
    return range(len(ranking.item_BK))


@given(score_tables, sizes)
def test_recommendations_without_rules_are_ordered_by_score(score_BV: Tensor, k: int) -> None:
    ranking = rank_items(score_BV, k)
    for user in users_of(ranking):
        scores = score_BV[user].tolist()
        ordered = sorted(candidates_of(score_BV, user), key=lambda item: (-scores[item], item))
        assert ranking.items(user) == ordered[:k]


@given(score_tables, sizes)
def test_empty_rules_change_nothing(score_BV: Tensor, k: int) -> None:
    plain, ruled = rank_items(score_BV, k), rank_items(score_BV, k, resolved())
    for user in users_of(plain):
        assert ruled.items(user) == plain.items(user)
        assert ruled.moves(user) == [[] for _ in plain.items(user)]


@given(score_tables, sizes, filters, boosts)
def test_filters_hold_and_recommendations_are_as_long_as_possible(
    score_BV: Tensor, k: int, given_filters: dict[str, Any], given_boosts: dict[str, float]
) -> None:
    allowed = allowed_by(given_filters)
    if not allowed:
        return
    ranking = rank_items(score_BV, k, resolved(**given_filters, boosts=given_boosts))
    for user in users_of(ranking):
        items, left = ranking.items(user), candidates_of(score_BV, user) & allowed
        assert set(items) <= left
        assert len(items) == len(set(items)) == min(k, len(left))


@whatever_the_load
@given(score_tables, sizes, filters, boosts, caps, diversities)
def test_recommendations_end_with_padding_and_scores_ignore_boosts(
    score_BV: Tensor,
    k: int,
    given_filters: dict[str, Any],
    given_boosts: dict[str, float],
    given_caps: dict[str, int],
    diversity: float,
) -> None:
    if not allowed_by(given_filters):
        return
    rules = resolved(**given_filters, boosts=given_boosts, at_most=given_caps, diversity=diversity)
    ranking = rank_items(score_BV, k, rules)
    for user in users_of(ranking):
        items = ranking.items(user)
        padding = ranking.item_BK.shape[1] - len(items)
        assert ranking.item_BK[user].tolist() == [*items, *[PAD] * padding]
        assert ranking.score_BK[user].tolist() == [
            *score_BV[user, items].tolist(),
            *[EXCLUDED] * padding,
        ]


@given(score_tables, sizes, caps, diversities)
def test_caps_hold_and_shorten_recommendations_only_where_needed(
    score_BV: Tensor, k: int, given_caps: dict[str, int], diversity: float
) -> None:
    ranking = rank_items(score_BV, k, resolved(at_most=given_caps, diversity=diversity))
    for user in users_of(ranking):
        items = ranking.items(user)
        counts = {name: counted(name, items) for name in given_caps}
        for name, cap in given_caps.items():
            assert max(counts[name].values(), default=0) <= cap
        if len(items) < k:
            for item in candidates_of(score_BV, user) - set(items):
                assert any(
                    counts[name][value] == cap
                    for name, cap in given_caps.items()
                    for value in values_of(name, item)
                )


def values_of(name: str, item: int) -> list[int]:
    """Known values of one item."""
    values = GENRES[item - FIRST_ITEM] if name == "genres" else [YEARS[item - FIRST_ITEM]]
    return [value for value in values if value]


def counted(name: str, items: list[int]) -> Counter[int]:
    return Counter(value for item in items for value in values_of(name, item))


@whatever_the_load
@given(score_tables, sizes, filters, boosts, caps, diversities)
def test_moves_add_up_from_the_rank_without_rules_to_the_final_rank(
    score_BV: Tensor,
    k: int,
    given_filters: dict[str, Any],
    given_boosts: dict[str, float],
    given_caps: dict[str, int],
    diversity: float,
) -> None:
    if not allowed_by(given_filters):
        return
    rules = resolved(**given_filters, boosts=given_boosts, at_most=given_caps, diversity=diversity)
    ranking, plain = rank_items(score_BV, k, rules), rank_items(score_BV, score_BV.shape[1])
    for user in users_of(ranking):
        before = {item: rank for rank, item in enumerate(plain.items(user), 1)}
        listed = zip(ranking.items(user), ranking.moves(user), strict=True)
        for rank, (item, moves) in enumerate(listed, 1):
            ranks = [before[item], *(move.rank_after for move in moves)]
            assert ranks[-1] == rank
            assert [move.rank_before for move in moves] == ranks[:-1]
            assert all(move.rank_before != move.rank_after for move in moves)


@whatever_the_load
@given(score_tables, sizes, filters, boosts, caps, diversities)
def test_recommendations_do_not_depend_on_the_batch(
    score_BV: Tensor,
    k: int,
    given_filters: dict[str, Any],
    given_boosts: dict[str, float],
    given_caps: dict[str, int],
    diversity: float,
) -> None:
    if not allowed_by(given_filters):
        return
    rules = resolved(**given_filters, boosts=given_boosts, at_most=given_caps, diversity=diversity)
    together = rank_items(score_BV, k, rules)
    for user in users_of(together):
        alone = rank_items(score_BV[user : user + 1], k, rules)
        assert together.items(user) == alone.items(0)


plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([10**400, -(10**400), "0.3", "7", b"x", np.float32("nan"), np.int8(3)]),
)
values = st.recursive(
    plain,
    lambda part: st.one_of(
        st.lists(part, max_size=3), st.dictionaries(st.one_of(st.text(max_size=5), plain), part)
    ),
    max_leaves=4,
)
rule_names = st.sampled_from(["allow", "deny", "where", "boosts", "at_most", "diversity", "other"])


@whatever_the_load
@given(st.dictionaries(rule_names, values, max_size=3))
def test_rules_of_any_values_are_rules_or_one_usage_error(given_rules: dict[str, Any]) -> None:
    try:
        rules = Rules.from_dict(given_rules)
        ready = ItemRules.resolve(rules, DATASET, lambda item: None, ITEM_VD)
        rank_items(torch.zeros(1, FIRST_ITEM + ITEMS), 3, ready)
        said = ""
    except UsageError as refused:
        said = str(refused)
    assert len(said.splitlines()) <= 1
