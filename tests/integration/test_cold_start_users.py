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
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prepared folder: 240 users, all of whom have a 20th event."""
    folder = tmp_path_factory.mktemp("cold") / "data"
    synthetic_dataset(seed=0, num_users=240, num_items=60, events_per_user=40, folder=folder)
    return folder


@pytest.fixture(scope="module")
def model_folder(data: Path) -> Path:
    """A model of those of them who train."""
    folder = data.with_name("model_folder")
    run(
        "train",
        "--data",
        data,
        "--output",
        folder,
        *settings(**LEARNS, split="cold-start-users", fold=1),
    ).succeeded()
    return folder


@pytest.fixture(scope="module")
def evaluation(model_folder: Path) -> dict[str, Any]:
    """JSON of `evaluate`, with its reports in a folder beside."""
    found = run(
        "evaluate", "--model", model_folder, "--output", model_folder.with_name("reports"), "--json"
    )
    return dict(json.loads(found.out))


def hit_rate(evaluation: dict[str, Any], name: str, k: int) -> tuple[float, list[float]]:
    (found,) = (
        entry["hit@10"] for entry in evaluation["cold_start_users"]["rows"][name] if entry["k"] == k
    )
    return found["value"], [found["low"], found["high"]]


def test_demographics_help_users_without_events(evaluation: dict[str, Any]) -> None:
    known, (low, _) = hit_rate(evaluation, MODEL, 0)
    assert known > hit_rate(evaluation, NO_DEMOGRAPHICS, 0)[0] + 0.15
    assert low > hit_rate(evaluation, "popularity", 0)[0]
    (gain,) = (
        pair["by_events"][0]["hit@10"]
        for pair in evaluation["cold_start_users"]["differences"]
        if pair["second"] == NO_DEMOGRAPHICS
    )
    assert gain["low"] > 0
    assert gain["p_value"] < 0.01


def test_each_visible_event_helps(evaluation: dict[str, Any]) -> None:
    assert hit_rate(evaluation, MODEL, 19)[0] > hit_rate(evaluation, MODEL, 0)[0] + 0.2


def test_all_visible_events_give_the_usual_report(evaluation: dict[str, Any]) -> None:
    assert (
        hit_rate(evaluation, MODEL, 19)[0]
        == evaluation["rows"]["request_time_on"]["metrics"]["hit@10"]["value"]
    )
    assert evaluation["protocol"]["split"] == "cold-start-users, fold 1"


def test_evaluate_writes_and_prints_the_few_shot_curve(
    evaluation: dict[str, Any], model_folder: Path
) -> None:
    reports = model_folder.with_name("reports")
    assert (
        json.loads((reports / "cold_start_users.json").read_text())
        == evaluation["cold_start_users"]
    )
    assert (reports / "cold_start_users.png").read_bytes().startswith(b"\x89PNG")
    assert "| hit@10 after k events |" in (reports / "report.md").read_text()
    text = run("evaluate", "--model", model_folder).succeeded()
    for part in (
        "hit@10 after k events",
        "difference of ndcg@10",
        "popularity by gender and age_group",
    ):
        assert part in text
    assert max(map(len, text.splitlines())) <= 120


def test_engine_answers_a_cold_start_user_by_demographics(
    model_folder: Path,
) -> None:
    model = artefact.load(model_folder)
    engine, dataset = RecommendationEngine.load(model_folder), model.dataset
    user = int(make_split(dataset, model.config.split).test.user_C[0])
    demographics = {
        name: feature.values[table[user] - 1]
        for name, (feature, table) in dataset.user_features.items()
        if table[user]
    }
    known = engine.get_recommendations(user_id=dataset.users.raw(user), item_sequence=[101, 105])
    new = engine.get_recommendations(item_sequence=[101, 105], user_features=demographics)
    assert known.item_ids == new.item_ids
    for one, other in zip(known, new, strict=True):
        assert one.score == pytest.approx(other.score, abs=1e-4)
        assert one.expected_rating == pytest.approx(other.expected_rating, abs=1e-4)


def test_best_epoch_is_chosen_on_cold_start_users(model_folder: Path) -> None:
    model = artefact.load(model_folder)
    split = make_split(model.dataset, model.config.split)
    assert not np.isin(split.validation.user_C, split.test.user_C).any()
    rows = model.network.user.user.weight  # type: ignore[union-attr]
    same_U = (rows == rows[0]).all(1).numpy()
    assert np.flatnonzero(same_U).tolist() == split.cold_start_user_rows(model.dataset).tolist()


def test_models_of_different_folds_are_not_mixed(
    model_folder: Path, data: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    words = settings(max_epochs=1, split="cold-start-users")
    run("train", "--data", data, "--output", other, *words).succeeded()
    assert "trained on different splits" in run("evaluate", "--model", model_folder, other).refused(
        1
    )
    assert "split checksum differ" in run("compare", model_folder, other).refused(1)
    published = tmp_path / "open"
    run("publish", "--model", other, "--output", published).succeeded()
    assert "cold-start-users, fold 0" in json.dumps(
        json.loads((published / "config.json").read_text())["split"]
    )
    assert "different splits" in run(
        "evaluate", "--data", data, "--model", model_folder, published
    ).refused(1)
    started = [
        "--data",
        data,
        "--output",
        tmp_path / "started",
        *words,
        "--warm_start_from",
        model_folder,
    ]
    assert "take a model of the same split" in run("train", *started).refused(2)


def test_unknown_fold_is_refused(data: Path, tmp_path: Path) -> None:
    words = [
        "train",
        "--data",
        data,
        "--output",
        tmp_path / "run",
        *settings(split="cold-start-users", fold=5),
    ]
    assert "fold is 5: it must be a whole number from 0 to 4" in run(*words).refused(2)
    words = ["train", "--data", data, "--output", tmp_path / "run", *settings(fold=2)]
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
