"""Rows of item and user tables without events: counted, and on request kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bert4rec import artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from command_line import run, settings

SCHEMA = """
events: {file: e.csv, user: u, item: i, time: t}
items: {file: i.csv, item: id, title: name, features: {color: categorical, price: numeric}}
users: {file: u.csv, user: id, features: {gender: categorical, age: numeric}}
"""
COLORS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """20 users and 12 items with events; items 13, 14 and users 21, 22 have none."""
    folder = tmp_path_factory.mktemp("tables")
    events = [
        f"{user},{(user + step) % 12 + 1},{1_000_000 + 100 * step}"
        for user in range(1, 21)
        for step in range(6)
    ]
    items = [f"{item},Item {item},{COLORS[item % 3]},{item}" for item in range(1, 15)]
    users = [f"{user},{'FM'[user % 2]},{20 + user}" for user in range(1, 23)]
    for name, header, rows in (
        ("e", "u,i,t", events),
        ("i", "id,name,color,price", items),
        ("u", "id,gender,age", users),
    ):
        (folder / f"{name}.csv").write_text("\n".join([header, *rows, ""]))
    (folder / "s.yaml").write_text(SCHEMA)
    return folder


@pytest.fixture(scope="module")
def kept(tables: Path) -> Path:
    folder = tables / "kept"
    words = ["--keep_without_events", "all", "--output", folder]
    run("prepare", "--schema", tables / "s.yaml", *words).succeeded()
    return folder


@pytest.fixture(scope="module")
def model(kept: Path, tables: Path) -> Path:
    few = settings(max_epochs=1, id_dropout=0.3)
    run("train", "--data", kept, "--output", tables / "model", *few).succeeded()
    return tables / "model"


def test_rows_without_events_are_counted_and_the_flag_is_named(tables: Path) -> None:
    said = run("prepare", "--schema", tables / "s.yaml", "--output", tables / "out").succeeded()
    assert "2 items of i.csv without events (left out; --keep_without_events items" in said
    assert "2 users of u.csv without events (left out; --keep_without_events users" in said
    dataset = PreparedDataset.open(tables / "out")
    assert (dataset.num_items, dataset.num_users) == (12, 20)


@pytest.mark.parametrize(("what", "counts"), [("items", (14, 20)), ("users", (12, 22))])
def test_either_kind_of_row_is_kept_alone(tables: Path, what: str, counts: tuple[int, int]) -> None:
    words = ["--keep_without_events", what, "--output", tables / what]
    run("prepare", "--schema", tables / "s.yaml", *words).succeeded()
    dataset = PreparedDataset.open(tables / what)
    assert (dataset.num_items, dataset.num_users) == counts


def test_kept_rows_have_their_titles_and_features(kept: Path) -> None:
    dataset = PreparedDataset.open(kept)
    assert list(dataset.items.ids) == list(range(1, 15))
    assert list(dataset.titles or [])[-1] == "Item 14"
    price, price_V = dataset.item_features["price"]
    assert price.is_whole
    assert price_V[2:].tolist() == list(range(1, 15))
    assert np.diff(dataset.start_U1)[-2:].tolist() == [0, 0]


def test_items_without_events_are_recommended_by_their_features(model: Path) -> None:
    engine = RecommendationEngine.load(model)
    found = engine.get_recommendations(1, k=14, filter_seen=False)
    assert {13, 14} <= set(found.item_ids)
    weight = artefact.load(model).network.item.weight
    assert (weight[-2:] == 0).all()


def test_a_user_without_events_is_answered_as_a_cold_start_user(model: Path) -> None:
    engine = RecommendationEngine.load(model)
    known = engine.get_recommendations(22, k=5)
    as_new = engine.get_recommendations(user_features={"gender": "F", "age": 42}, k=5)
    assert known.item_ids == as_new.item_ids
    assert [item.score for item in known] == [item.score for item in as_new]
    profile = engine.get_user_profile(22)
    assert (profile["gender"], profile["age"], profile["num_events"]) == ("F", 42, 0)


def test_lists_for_many_hold_users_without_events(model: Path, tmp_path: Path) -> None:
    (tmp_path / "users.txt").write_text("22\n1\n")
    words = ["--users", tmp_path / "users.txt", "--output", tmp_path / "lists.csv", "--k", "3"]
    run("recommend", "--model", model, *words).succeeded()
    lines = (tmp_path / "lists.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == ["22"] * 3 + ["1"] * 3


def test_evaluation_ranks_among_all_items(model: Path) -> None:
    said = json.loads(run("evaluate", "--model", model, "--json").succeeded())
    assert "14" in json.dumps(said)


@pytest.mark.parametrize("split", ["leave-one-out", "global-temporal", "cold-start-items"])
def test_every_split_trains_with_users_and_items_without_events(
    kept: Path, tmp_path: Path, split: str
) -> None:
    few = settings(max_epochs=1, split=split, windows="sliding", cold_start_windows=1)
    run("train", "--data", kept, "--output", tmp_path / "m", *few).succeeded()


def test_an_id_that_would_make_all_ids_text_is_refused(tables: Path) -> None:
    text = (tables / "i.csv").read_text()
    (tables / "other.csv").write_text(text + "x9,Item x,red,1\n")
    schema = (tables / "s.yaml").read_text().replace("i.csv", "other.csv")
    (tables / "other.yaml").write_text(schema)
    words = ["--keep_without_events", "items", "--output", tables / "refused"]
    said = run("prepare", "--schema", tables / "other.yaml", *words).refused(1)
    assert "other.csv, row 16, field 'id': 'x9' is no whole number" in said
