"""Cold-start items, in a world where genre, year and price give an item's place in its cycle."""

from __future__ import annotations

import json
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset, Vocabularies
from bert4rec.data.features import Kind
from bert4rec.data.splits import Split, make_split
from bert4rec.data.synthetic import GROUPS, synthetic_dataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY
from bert4rec.model.network import Bert4Rec
from bert4rec.studies.cold_start_items import (
    COLD_AMONG_ALL,
    COLD_AMONG_COLD,
    COST,
    MODEL,
    RANDOM,
    WARM_AMONG_ALL,
    WARM_AMONG_WARM,
    cold_start_items,
)
from command_line import printed_columns, run, settings

LEARNS = {
    **{
        "hidden_size": 32,
        "num_layers": 1,
        "seq_length": 20,
        "feature_embedding_size": 8,
        "user_embedding_size": 8,
        "batch_size": 32,
    },
    **{
        "learning_rate": 0.01,
        "max_epochs": 10,
        "dropout": 0.0,
        "id_dropout": 0.3,
        "split": "cold-start-items",
        "fold": 3,
    },
    "task_weights.item_prediction": 0,
}


@pytest.fixture(scope="module")
def circles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder: 240 users, 100 items."""
    folder = tmp_path_factory.mktemp("cold_start_items") / "circles"
    synthetic_dataset(seed=0, num_users=240, num_items=100, events_per_user=40, folder=folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(circles: Path) -> Path:
    """A model to which a fifth of the items are new."""
    folder = circles.with_name("model_folder")
    run("train", "--data", circles, "--output", folder, *settings(**LEARNS)).succeeded()
    return folder


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Artefact:
    return artefact.load(model_folder)


@pytest.fixture(scope="module")
def split(model: Artefact) -> Split:
    return make_split(model.dataset, model.config.split)


@pytest.fixture(scope="module")
def evaluation(model_folder: Path) -> dict[str, Any]:
    """JSON of `evaluate`, with its reports in a folder beside."""
    found = run(
        "evaluate", "--model", model_folder, "--output", model_folder.with_name("reports"), "--json"
    )
    return dict(json.loads(found.out))


def interval(evaluation: dict[str, Any], row: str, column: str) -> list[float]:
    found = evaluation["cold_start_items"]["rows"][row][column]["ndcg@10"]
    return [found["low"], found["high"]]


def test_cold_start_items_rank_above_chance_among_themselves_and_in_the_catalogue(
    evaluation: dict[str, Any],
) -> None:
    for column in (COLD_AMONG_COLD, COLD_AMONG_ALL):
        assert (
            interval(evaluation, MODEL, column)[0] > interval(evaluation, RANDOM, column)[1] + 0.1
        ), column
        assert (
            interval(evaluation, "content kNN", column)[0] > interval(evaluation, RANDOM, column)[1]
        ), column


def test_cold_start_items_of_the_liked_group_rank_first(model: Artefact, split: Split) -> None:
    """User u likes group (u − 1) mod 4, and item i is of group i mod 4."""
    cold = np.flatnonzero(split.held_out_item_V)
    score_BV = model.scorer().score(split.test.histories(model.dataset, request_time=True)).numpy()
    best_B = cold[score_BV[:, cold].argmax(1)]
    is_liked_B = (best_B - FIRST_ITEM) % GROUPS == (split.test.user_C - 1) % GROUPS
    assert is_liked_B.mean() > 0.8  # by chance .25


def test_evaluate_writes_and_prints_the_cold_start_table(
    evaluation: dict[str, Any], model_folder: Path
) -> None:
    reports = model_folder.with_name("reports")
    assert (
        json.loads((reports / "cold_start_items.json").read_text())
        == evaluation["cold_start_items"]
    )
    written = (reports / "report.md").read_text()
    shown = run("evaluate", "--model", model_folder).succeeded()
    for column in (COLD_AMONG_COLD, COLD_AMONG_ALL, WARM_AMONG_ALL, WARM_AMONG_WARM, COST):
        assert column in written
        assert column in printed_columns(shown, MODEL)
    for part in ("content kNN", RANDOM, "targets are cold"):
        assert part in written
        assert part in shown
    assert max(map(len, shown.splitlines())) <= 120


def test_cold_start_item_is_known_by_its_metadata_only(model: Artefact, split: Split) -> None:
    network = model.network
    new = split.cold_start_item_rows(model.dataset)
    assert set(np.flatnonzero(split.held_out_item_V)) <= set(new)
    assert network.rating_head is not None
    assert network.rating_head.factors is not None
    for table in (network.item.weight, network.rating_head.factors.item.weight):
        is_zero_V = (table == 0).all(1).numpy()[FIRST_ITEM:]
        assert (FIRST_ITEM + np.flatnonzero(is_zero_V)).tolist() == new.tolist()


def test_added_items_score_like_cold_start_items(model: Artefact, split: Split) -> None:
    """Removing the cold-start items from the model and adding them again changes no answer."""
    cold = np.flatnonzero(split.held_out_item_V)
    grown = RecommendationEngine(without_items(model, cold)).add_items(
        [described(model.dataset, row) for row in cold]
    )
    engine = RecommendationEngine(model)
    for user in (1, 2, 3, 4):
        first, stop = model.dataset.start_U1[user : user + 2]
        history = [model.dataset.items.raw(int(row)) for row in model.dataset.item_N[first:stop]]
        assert split.held_out_item_V is not None
        assert split.held_out_item_V[model.dataset.item_N[first:stop]].any()
        for items in (history, history[:3], []):
            asked: dict[str, Any] = {
                "user_id": user,
                "item_sequence": items,
                "k": 100,
                "filter_seen": False,
            }
            one, other = engine.get_recommendations(**asked), grown.get_recommendations(**asked)
            assert len(one.item_ids) == model.dataset.num_items
            found = {item.item_id: (item.score, item.expected_rating) for item in other}
            for item in one:
                assert (item.score, item.expected_rating) == pytest.approx(
                    found[item.item_id], abs=1e-5
                )


def test_cold_item_penalty_keeps_the_allowed_share_of_warm_metrics(
    model: Artefact, split: Split
) -> None:
    penalty = model.network.get_buffer(COLD_ITEM_PENALTY)
    assert penalty > 0
    held_back = cold_start_items(model.scorer(), model.dataset, split)
    eager = deepcopy(model.network)
    eager.get_buffer(COLD_ITEM_PENALTY).zero_()
    as_scored = cold_start_items(replace(model, network=eager).scorer(), model.dataset, split)
    for column in (COLD_AMONG_COLD, WARM_AMONG_WARM):
        assert held_back.values[MODEL][column] == as_scored.values[MODEL][column]
    for column, sign in ((COLD_AMONG_ALL, -1), (WARM_AMONG_ALL, 1)):
        found, before = (
            table.values[MODEL][column]["ndcg@10"].value for table in (held_back, as_scored)
        )
        assert sign * (found - before) > 0, column
    assert held_back.costs[MODEL]["ndcg@10"].value < as_scored.costs[MODEL]["ndcg@10"].value


def without_items(model: Artefact, row_X: np.ndarray) -> Artefact:
    """The model as if it had never heard of some items; their events go as well."""
    dataset = model.dataset
    kept = np.setdiff1d(np.arange(dataset.item_rows), row_X)
    row_V = np.full(dataset.item_rows, -1)
    row_V[kept] = np.arange(len(kept))
    kept_N = row_V[dataset.item_N] >= 0
    ids = [dataset.items.raw(int(row)) for row in kept[FIRST_ITEM:]]
    fewer = replace(
        dataset.in_memory(),
        manifest={**dataset.manifest, "num_items": len(ids)},
        start_U1=np.append(0, np.cumsum(kept_N))[dataset.start_U1],
        item_N=row_V[dataset.item_N[kept_N]],
        time_N=dataset.time_N[kept_N],
        rating_N=dataset.rating_N[kept_N],
        item_features={
            name: (of, np.asarray(table)[kept])
            for name, (of, table) in dataset.item_features.items()
        },
        stored_vocabularies=Vocabularies.from_lists(
            ids, dataset.users.ids, [dataset.titles[row - FIRST_ITEM] for row in kept[FIRST_ITEM:]]
        ),
    )
    network = Bert4Rec.for_dataset(model.config.model, fewer, model.config.training.task_weights)
    kept_X = torch.from_numpy(kept)
    before, wanted = model.network.state_dict(), network.state_dict()
    network.load_state_dict(
        {name: w if w.shape == wanted[name].shape else w[kept_X] for name, w in before.items()}
    )
    item_X = network.cold_start_bias.get_buffer("item_I")
    item_X.copy_(torch.from_numpy(row_V)[item_X])
    return replace(model, network=network.eval(), dataset=fewer)


def described(dataset: PreparedDataset, row: int) -> dict[str, Any]:
    """An item as `add_items` takes it."""
    item: dict[str, Any] = {"item_id": dataset.items.raw(int(row))}
    for name, (feature, table) in dataset.item_features.items():
        value = np.asarray(table)[row]
        if feature.kind is Kind.NUMERIC:
            item[name] = float(value)
        elif feature.kind is Kind.MULTI:
            item[name] = [feature.values[entry - 1] for entry in value if entry]
        else:
            item[name] = feature.values[value - 1]
    return item


def test_model_without_metadata_is_evaluated_too(circles: Path, tmp_path: Path) -> None:
    words = settings(**{**LEARNS, "max_epochs": 1, "item_features": False})
    run("train", "--data", circles, "--output", tmp_path / "run", *words).succeeded()
    assert (
        artefact.load(tmp_path / "run").network.item.weight[FIRST_ITEM:].any(1).all()
    )  # nothing is forgotten
    shown = run("evaluate", "--model", tmp_path / "run").succeeded()
    assert COLD_AMONG_COLD in printed_columns(shown, MODEL)


def test_cold_start_split_needs_enough_items(tmp_path: Path) -> None:
    synthetic_dataset(num_users=20, num_items=4, events_per_user=10, folder=tmp_path / "few")
    words = [
        "train",
        "--data",
        tmp_path / "few",
        "--output",
        tmp_path / "run",
        *settings(split="cold-start-items"),
    ]
    assert "needs 5 items with 5 events" in run(*words).refused(1)
