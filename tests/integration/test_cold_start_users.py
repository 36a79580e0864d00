"""Cold-start users, in a world where gender and age group hint at the group they like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert4rec import artefact
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.studies.cold_start_users import MODEL, NO_DEMOGRAPHICS
from command_line import run, settings

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
        "user_dropout": 0.4,
        "cold_start_windows": 2,
    },
    "task_weights.item_prediction": 0,
}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder: 240 users, all of whom have a 20th event."""
    folder = tmp_path_factory.mktemp("cold") / "people"
    synthetic_dataset(seed=0, num_users=240, num_items=60, events_per_user=40, folder=folder)
    return folder


@pytest.fixture(scope="module")
def learned(people: Path) -> Path:
    """A model of those of them who train."""
    folder = people.with_name("learned")
    run(
        "train",
        "--data",
        people,
        "--output",
        folder,
        *settings(**LEARNS, split="cold-start-users", fold=1),
    ).succeeded()
    return folder


@pytest.fixture(scope="module")
def answered(learned: Path) -> dict[str, Any]:
    """What `evaluate` says of it, with its reports in a folder beside."""
    found = run("evaluate", "--model", learned, "--output", learned.with_name("reports"), "--json")
    return dict(json.loads(found.out))


def of(answered: dict[str, Any], name: str, k: int) -> tuple[float, list[float]]:
    (found,) = (
        entry["hit@10"] for entry in answered["cold_start_users"]["rows"][name] if entry["k"] == k
    )
    return found["value"], [found["low"], found["high"]]


def test_demographics_help_users_without_events(answered: dict[str, Any]) -> None:
    known, (low, _) = of(answered, MODEL, 0)
    assert known > of(answered, NO_DEMOGRAPHICS, 0)[0] + 0.15
    assert low > of(answered, "popularity", 0)[0]
    (gain,) = (
        pair["by_events"][0]["hit@10"]
        for pair in answered["cold_start_users"]["differences"]
        if pair["second"] == NO_DEMOGRAPHICS
    )
    assert gain["low"] > 0
    assert gain["p_value"] < 0.01


def test_each_visible_event_helps(answered: dict[str, Any]) -> None:
    assert of(answered, MODEL, 19)[0] > of(answered, MODEL, 0)[0] + 0.2


def test_all_visible_events_give_the_usual_report(answered: dict[str, Any]) -> None:
    assert (
        of(answered, MODEL, 19)[0]
        == answered["rows"]["request_time_on"]["metrics"]["hit@10"]["value"]
    )
    assert answered["protocol"]["split"] == "cold-start-users, fold 1"


def test_evaluate_writes_and_prints_the_few_shot_curve(
    answered: dict[str, Any], learned: Path
) -> None:
    reports = learned.with_name("reports")
    assert (
        json.loads((reports / "cold_start_users.json").read_text()) == answered["cold_start_users"]
    )
    assert (reports / "cold_start_users.png").read_bytes().startswith(b"\x89PNG")
    assert "| hit@10 after k events |" in (reports / "report.md").read_text()
    told = run("evaluate", "--model", learned).succeeded()
    for part in (
        "hit@10 after k events",
        "difference of ndcg@10",
        "popularity by gender and age_group",
    ):
        assert part in told
    assert max(map(len, told.splitlines())) <= 120


def test_engine_answers_a_cold_start_user_by_demographics(
    learned: Path,
) -> None:
    model = artefact.load(learned)
    engine, dataset = RecommendationEngine.load(learned), model.dataset
    user = int(make_split(dataset, model.config.split).test.user_C[0])
    said = {
        name: feature.values[table[user] - 1]
        for name, (feature, table) in dataset.user_features.items()
        if table[user]
    }
    known = engine.get_recommendations(user_id=dataset.users.raw(user), item_sequence=[101, 105])
    new = engine.get_recommendations(item_sequence=[101, 105], user_features=said)
    assert known.item_ids == new.item_ids
    for one, other in zip(known, new, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.expected_rating == pytest.approx(other.expected_rating, abs=1e-4)


def test_best_epoch_is_chosen_on_cold_start_users(learned: Path) -> None:
    model = artefact.load(learned)
    split = make_split(model.dataset, model.config.split)
    assert not np.isin(split.validation.user_C, split.test.user_C).any()
    rows = model.network.user.user.weight  # type: ignore[union-attr]
    same_U = (rows == rows[0]).all(1).numpy()
    assert np.flatnonzero(same_U).tolist() == split.cold_start_user_rows(model.dataset).tolist()


def test_models_of_different_folds_are_not_mixed(
    learned: Path, people: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    words = settings(max_epochs=1, split="cold-start-users")
    run("train", "--data", people, "--output", other, *words).succeeded()
    assert "trained on different splits" in run("evaluate", "--model", learned, other).refused(1)
    assert "split checksum differ" in run("compare", learned, other).refused(1)
    published = tmp_path / "open"
    run("publish", "--model", other, "--output", published).succeeded()
    assert "cold-start-users, fold 0" in json.dumps(
        json.loads((published / "config.json").read_text())["split"]
    )
    assert "different splits" in run(
        "evaluate", "--data", people, "--model", learned, published
    ).refused(1)
    started = [
        "--data",
        people,
        "--output",
        tmp_path / "started",
        *words,
        "--warm_start_from",
        learned,
    ]
    assert "take a model of the same split" in run("train", *started).refused(2)


def test_unknown_fold_is_refused(people: Path, tmp_path: Path) -> None:
    words = [
        "train",
        "--data",
        people,
        "--output",
        tmp_path / "run",
        *settings(split="cold-start-users", fold=5),
    ]
    assert "fold is 5: it must be a whole number from 0 to 4" in run(*words).refused(2)
    words = ["train", "--data", people, "--output", tmp_path / "run", *settings(fold=2)]
    assert "fold 2 is of the splits 'cold-start-users' and 'cold-start-items'" in run(
        *words
    ).refused(2)
    assert not (tmp_path / "run").exists()


def test_cold_start_split_needs_long_enough_histories(tmp_path: Path) -> None:
    synthetic_dataset(num_users=20, num_items=12, events_per_user=10, folder=tmp_path / "short")
    words = [
        "train",
        "--data",
        tmp_path / "short",
        "--output",
        tmp_path / "run",
        *settings(split="cold-start-users"),
    ]
    assert "needs 5 users with 20 events" in run(*words).refused(1)
