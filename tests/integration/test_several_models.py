"""Commands that take or make several models: an ensemble's evaluation, distillation, a search."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from bert4rec import artefact
from bert4rec.result_tables import Estimate
from command_line import TINY, run, settings


@pytest.fixture(scope="session")
def second(world_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another model of the same data."""
    folder = tmp_path_factory.mktemp("several") / "second"
    run("train", "--data", world_folder, "--output", folder, *settings(seed=7)).succeeded()
    return folder


# An ensemble


def test_several_models_are_evaluated_as_an_ensemble(model: Path, second: Path) -> None:
    found = json.loads(run("evaluate", "--model", model, second, "--json").succeeded())
    alone = json.loads(run("evaluate", "--model", model, "--json").succeeded())
    assert found.keys() == alone.keys()
    assert found["protocol"] == alone["protocol"]
    assert set(found["metrics"]) == set(alone["metrics"])
    assert found["metrics"] != alone["metrics"]
    assert {row["name"] for row in found["rows"].values()} == {"model + second"}


def test_ensemble_report_is_compared_with_a_model(
    model: Path, second: Path, tmp_path: Path
) -> None:
    run("evaluate", "--model", model, second, "--output", tmp_path / "both").succeeded()
    report = tmp_path / "both" / "model_request_time_on.json"
    found = json.loads(run("compare", report, model, "--json").succeeded())
    assert (found["first"], found["second"]) == ("model + second", "model")


def test_ensemble_needs_models_of_one_dataset_and_split(
    model: Path, other_model: Path, world_folder: Path, tmp_path: Path
) -> None:
    said = run("evaluate", "--model", model, other_model).refused(1)
    assert said.startswith(f"{model} and {other_model}: trained on different data")
    by_time = tmp_path / "by_time"
    words = settings(max_epochs=1, split="global-temporal", test_share=0.3)
    run("train", "--data", world_folder, "--output", by_time, *words).succeeded()
    said = run("evaluate", "--model", model, by_time).refused(1)
    assert said.startswith(f"{model} and {by_time}: trained on different splits")
    assert "named twice" in run("evaluate", "--model", model, model).refused(2)


# Distillation


def test_distill_reports_the_student_beside_its_teachers(
    model: Path, second: Path, world_folder: Path, tmp_path: Path
) -> None:
    student = tmp_path / "student"
    words = [
        "--data",
        world_folder,
        "--output",
        student,
        *settings(max_epochs=1, distillation_weight=0.8),
    ]
    printed = run("distill", "--teachers", model, second, *words).succeeded()
    assert printed.startswith(f"learns from {model}, {second}: next_item and item_prediction\n")
    assert artefact.load(student).config.training.teacher == (str(model), str(second))
    _, validation, test, _ = re.sub(" +\n", "\n", printed).split("\n\n")
    names = ["student", "model", "second", "ensemble of 2 teachers"]
    assert [re.split(r"  +", line)[0] for line in validation.splitlines()] == ["validation", *names]
    reports = json.loads((student / "metrics.json").read_text())
    own = reports["validation_request_time_on"]["metrics"]["ndcg@10"]
    assert f"{own['value']:.4f} ±" in validation.splitlines()[1]
    rows = [re.split(r"  +", line) for line in test.splitlines()]
    assert rows[0] == ["test, student minus", "metric", "difference", "p"]
    metrics = ("hit@10", "ndcg@10", "rating_rmse")
    assert [row[:2] for row in rows[1:]] == [
        [name, metric] for name in names[1:] for metric in metrics
    ]
    compared = json.loads(run("compare", student, second, "--json").succeeded())
    found = Estimate(
        **{name: compared["difference"]["ndcg@10"][name] for name in ("value", "low", "high")}
    )
    assert rows[5][2] == f"{found:+.4f}"


def test_incompatible_teachers_are_refused_before_training(
    model: Path, other_model: Path, world_folder: Path, other_world: Path, tmp_path: Path
) -> None:
    words = ["--output", tmp_path / "student", *settings()]
    said = run("distill", "--teachers", model, other_model, "--data", world_folder, *words).refused(
        1
    )
    assert said.startswith(f"{model} and {other_model}: trained on different data")
    said = run("distill", "--teachers", model, "--data", other_world, *words).refused(2)
    assert said.startswith(f"teacher {model}: was trained on ")
    assert not (tmp_path / "student" / "training" / "log").exists()


# A search


@pytest.fixture
def asked(world_folder: Path, tmp_path: Path) -> list[Any]:
    """The words of a search of two settings from a preset."""
    (tmp_path / "preset.yaml").write_text(json.dumps({**TINY, "max_epochs": 1}))
    (tmp_path / "space.yaml").write_text(
        "learning_rate: {low: 1e-4, high: 1e-2, log: true}\nnum_layers: [1, 2]\n"
    )
    files = ["--config", tmp_path / "preset.yaml", "--space", tmp_path / "space.yaml"]
    return ["tune", "--data", world_folder, *files, "--output", tmp_path / "search"]


def test_search_ends_with_a_table_and_settings_that_train_reads(
    asked: list[Any], world_folder: Path, tmp_path: Path
) -> None:
    printed = run(*asked, "--trials", 2).succeeded()
    table = printed[printed.index("trials, on validation") :].splitlines()
    columns = [
        "trial",
        "learning_rate",
        "num_layers",
        "ndcg@10",
        "hit@10",
        "epochs",
        "seconds",
        "state",
    ]
    assert table[1].split() == columns
    first, second = (dict(zip(columns, line.split(), strict=True)) for line in table[2:4])
    assert first["ndcg@10"] >= second["ndcg@10"]
    best = tmp_path / "search" / f"trial-00{first['trial']}"
    assert table[-1] == f"best: {best}, settings: {tmp_path / 'search' / 'best.yaml'}"
    words = ["--data", world_folder, "--config", tmp_path / "search" / "best.yaml"]
    run("train", *words, "--output", tmp_path / "again").succeeded()
    assert artefact.load(tmp_path / "again").config == artefact.load(best).config
    assert "holds a search; --resume" in run(*asked).refused(2)
    again = run(*asked, "--trials", 2, "--resume").succeeded()
    assert again.strip().splitlines() == table  # nothing is trained again


def test_search_without_a_complete_trial_says_why(asked: list[Any], tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("num_heads: [3]\n")
    done = run(*asked, "--trials", 1)
    assert done.refused(1).startswith(
        f"{tmp_path / 'search'}: no trial has completed; the first one says: hidden_size 16"
    )
    assert "failed" in done.out
    assert not (tmp_path / "search" / "best.yaml").exists()


def test_search_needs_optuna_and_a_space(
    asked: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "space.yaml").write_text("hiden_size: [8]\n")
    assert (
        run(*asked)
        .refused(2)
        .startswith(f"{tmp_path / 'space.yaml'}: unknown setting 'hiden_size'")
    )
    monkeypatch.setattr("bert4rec.cli.tune.find_spec", lambda name: None)
    assert run(*asked).refused(2) == "tune needs Optuna installed: pip install 'bert4rec[tune]'"
    shutil.rmtree(tmp_path / "search", ignore_errors=True)
