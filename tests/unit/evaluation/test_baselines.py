"""Baselines against counts of plain Python on tiny worlds, and known figures of MovieLens 1M."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from bert4rec.config import PrepareConfig, SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature, Kind
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, make_split
from bert4rec.evaluation import baselines
from bert4rec.evaluation.baselines import (
    ContentNeighbours,
    ItemNeighbours,
    Popularity,
    PopularityByGroup,
    SequentialRules,
    fit_baselines,
    grouping_features,
)
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.ids import FIRST_ITEM
from bert4rec.ingest.prepare import prepare_dataset
from bert4rec.retrieval.scorers import Scorer
from small_worlds import dataset_of, leave_one_out, random_world

SEEDS = range(5)


def trained(dataset: PreparedDataset, split: Split) -> list[list[int]]:
    """Each user's training items, as rows."""
    edges = zip(dataset.start_U1.tolist(), split.train_stop_U.tolist(), strict=False)
    return [dataset.item_N[start:stop].tolist() for start, stop in edges]


def scores(scorer: Scorer, histories: Histories) -> np.ndarray:
    return scorer.score(histories)[:, FIRST_ITEM:].numpy()


def past_of(histories: Histories) -> list[list[int]]:
    edges = histories.start_B1.tolist()
    return [histories.item_N[low:high].tolist() for low, high in pairwise(edges)]


def rules_by_hand(dataset: PreparedDataset, split: Split, past: list[int]) -> list[float]:
    counts, together = Counter(), defaultdict(float)
    for items in trained(dataset, split):
        counts.update(items)
        for here, item in enumerate(items):
            for distance, later in enumerate(items[here + 1 : here + 11], 1):
                together[item, later] += 1 / distance
    return [
        sum(
            together[seen, item] / ((counts[seen] + 20) ** 0.5 * (counts[item] + 5) ** 0.25) / age
            for age, seen in enumerate(reversed(past[-10:]), 1)
        )
        for item in range(FIRST_ITEM, dataset.item_rows)
    ]


def neighbours_by_hand(dataset: PreparedDataset, split: Split, past: list[int]) -> list[float]:
    owners = defaultdict(set)
    for user, items in enumerate(trained(dataset, split)):
        for item in items:
            owners[item].add(user)

    def likeness(one: int, other: int) -> float:
        return len(owners[one] & owners[other]) / (sqrt(len(owners[one]) * len(owners[other])) + 20)

    candidates = range(FIRST_ITEM, dataset.item_rows)
    return [sum(likeness(seen, item) for seen in past if seen != item) for item in candidates]


@pytest.mark.parametrize("seed", SEEDS)
def test_rules_equal_a_count_in_plain_python(seed: int) -> None:
    dataset = random_world(seed, most_events=25)
    split = leave_one_out(dataset)
    histories = split.test.histories(dataset, request_time=False)
    expected = [rules_by_hand(dataset, split, past) for past in past_of(histories)]
    assert scores(SequentialRules(dataset, split), histories) == pytest.approx(
        np.array(expected), abs=1e-6
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_neighbours_equal_a_count_in_plain_python(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(baselines, "ITEMS_AT_ONCE", 3)
    dataset = random_world(seed)
    split = leave_one_out(dataset)
    histories = split.test.histories(dataset, request_time=False)
    expected = [neighbours_by_hand(dataset, split, past) for past in past_of(histories)]
    assert scores(ItemNeighbours(dataset, split), histories) == pytest.approx(
        np.array(expected), abs=1e-6
    )


def test_only_the_nearest_neighbours_vote(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ItemNeighbours, "neighbours", 1)
    dataset = dataset_of([0, 1, 2, 3, 3], [0, 1, 3, 3], [0, 2, 3, 3], [0, 1, 3, 3], num_items=4)
    split = leave_one_out(
        dataset
    )  # trains on [0, 1, 2], [0, 1], [0, 2], [0, 1]: 0 has 1 three times, 2 twice
    histories = dataset.histories(np.array([1]), dataset.start_U1[[1]] + 1)  # item 0 alone
    assert np.flatnonzero(scores(ItemNeighbours(dataset, split), histories)[0]).tolist() == [1]


def test_popularity_counts_training_events_and_nothing_else() -> None:
    dataset = dataset_of([0, 0, 1, 2, 3], [0, 2, 3], num_items=5)
    split = leave_one_out(dataset)
    histories = split.test.histories(dataset, request_time=False)
    assert scores(Popularity(dataset, split), histories).tolist() == [[3, 1, 0, 0, 0]] * 2


def test_popularity_by_group_counts_what_people_alike_had_and_a_little_of_everything() -> None:
    dataset = dataset_of([0, 0, 1, 2, 3], [0, 2, 3], [3, 3, 1, 2], num_items=5, gender=[1, 2, 1])
    scorer = PopularityByGroup(
        dataset, leave_one_out(dataset)
    )  # trains on [0, 0, 1], [0], [3, 3]: 3, 1, 0 and 2 of 6
    assert scorer.name == "popularity by gender"
    prior = np.array([3, 1, 0, 2, 0]) / 6 * PopularityByGroup.shrinkage
    histories = leave_one_out(dataset).test.histories(dataset, request_time=False)
    women, men = [2, 1, 0, 2, 0], [1, 0, 0, 0, 0]
    assert scores(scorer, histories) == pytest.approx(
        np.array([women, men, women]) + prior, rel=1e-6
    )
    given = replace(histories, user_features={"gender": np.array([2, 0, 1])})
    assert scores(scorer, given) == pytest.approx(np.array([men, [0] * 5, women]) + prior, rel=1e-6)


def test_groups_are_of_gender_and_age_or_of_all_that_is_categorical(world: PreparedDataset) -> None:
    assert grouping_features(world) == ["gender", "age_group"]
    other = replace(
        world, user_features={"occupation_code": world.user_features["occupation_code"]}
    )
    assert grouping_features(other) == ["occupation_code"]
    nobody = replace(world, user_features={})
    scorer, popularity = (
        of(nobody, make_split(nobody, SplitConfig())) for of in (PopularityByGroup, Popularity)
    )
    histories = make_split(world, SplitConfig()).test.histories(nobody, request_time=False)
    assert scorer.name == "popularity"
    order, expected = (
        scores(of, histories).argsort(1, kind="stable") for of in (scorer, popularity)
    )
    assert (order == expected).all()


@pytest.mark.parametrize("number", range(3))
def test_no_baseline_learns_from_held_out_events(number: int) -> None:
    """Another pair of held-out events: the same scores for the same histories."""
    one, other = (
        dataset_of([0, 1, 2, 3, 4], [1, 0, 2, 4]),
        dataset_of([0, 1, 2, 0, 1], [1, 0, 4, 1], num_items=5),
    )
    histories = one.histories(np.array([1, 2]), one.start_U1[[1, 2]] + 2)
    first, second = (
        fit_baselines(dataset, leave_one_out(dataset))[number] for dataset in (one, other)
    )
    assert (scores(first, histories) == scores(second, histories)).all()


def test_content_neighbours_are_alike_in_each_feature_and_to_the_newest_most() -> None:
    dataset = dataset_of(
        [0, 1], genres=[[1, 2], [2], [1], [], [3]], years=[1990, 0, 1990, 1990, 1991]
    )
    half = sqrt(1 / 2)
    # Columns: genres 1, 2, 3, years 1990, 1991. Each feature's part has length 1, then the row has.
    liking = [
        np.array([half, half, 0, 1, 0]) / sqrt(2),
        np.array([0, 1, 0, 0, 0]),
        np.array([1, 0, 0, 1, 0]) / sqrt(2),
        np.array([0, 0, 0, 1, 0]),
        np.array([0, 0, 1, 0, 1]) / sqrt(2),
    ]
    history = dataset.histories(np.array([1]), dataset.start_U1[[2]])
    true = [item @ (liking[1] + liking[0] / 2) for item in liking]
    assert scores(ContentNeighbours(dataset), history)[0] == pytest.approx(true, abs=1e-6)


def test_content_neighbours_ask_the_last_ten_events_alone() -> None:
    dataset = dataset_of([0, *[1] * 10], [0, *[1] * 9], genres=[[1], [2]])
    histories = dataset.histories(np.array([1, 2]), dataset.start_U1[[2, 3]])
    assert scores(ContentNeighbours(dataset), histories)[:, 0].tolist() == [
        0,
        pytest.approx(1 / 10),
    ]


def test_numbers_are_alike_that_are_near() -> None:
    price_V = np.array([np.nan, np.nan, 0.0, 0.5, -9.0, np.nan], dtype=np.float32)
    dataset = replace(
        dataset_of([0], num_items=4),
        item_features={"price": (Feature("price", Kind.NUMERIC, scale=1.0), price_V)},
    )
    history = dataset.histories(np.array([1]), dataset.start_U1[[2]])
    found = scores(ContentNeighbours(dataset), history)[0]
    assert found == pytest.approx(
        [1, np.cos(0.5), 0, 0], abs=1e-6
    )  # one is very far, of one nothing is known


def test_rules_find_the_rule_of_the_synthetic_world(world: PreparedDataset) -> None:
    split = make_split(world, SplitConfig())
    popularity, rules, neighbours = (
        evaluate(scorer, world, split) for scorer in fit_baselines(world, split)
    )
    assert (
        min(rules.metrics["ndcg@10"].value, neighbours.metrics["ndcg@10"].value)
        > 0.8
        > popularity.metrics["ndcg@10"].value
    )


@pytest.mark.movielens
def test_figures_of_movielens_1m_are_the_recorded_ones(movielens: Path, tmp_path: Path) -> None:
    dataset = prepare_dataset(
        PrepareConfig("ml-1m", data_dir=movielens, output=tmp_path / "p"), lambda line: None
    )
    split = make_split(dataset, SplitConfig())
    metrics = {
        scorer.name: evaluate(scorer, dataset, split).metrics
        for scorer in fit_baselines(dataset, split)
    }
    popularity, rules = metrics["popularity"], metrics["sequential rules"]
    assert popularity["hit@10"].value == pytest.approx(0.0369, abs=5e-5)
    assert popularity["ndcg@10"].value == pytest.approx(0.0180, abs=5e-5)
    assert rules["hit@10"].value == pytest.approx(0.276, abs=1e-3)
    assert rules["ndcg@10"].value == pytest.approx(0.162, abs=1e-3)
