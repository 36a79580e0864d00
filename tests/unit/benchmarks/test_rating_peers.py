"""Input and choice of the rating peer; Surprise itself is not run."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from bert4rec import artefact
from bert4rec.config import ModelConfig, RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, make_split
from bert4rec.evaluation.evaluate import evaluate_by_request_time, true_ratings
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.network import Bert4Rec
from small_worlds import dataset_of, leave_one_out


@pytest.fixture
def rating_peers(benchmark_script: Callable[[str], ModuleType]) -> ModuleType:
    return benchmark_script("rating_peers")


@pytest.fixture
def right_on(rating_peers: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peer that errs by 1 on validation with its defaults, and by 1 on test with others."""

    def fit_svd(
        dataset: PreparedDataset,
        split: Split,
        settings: Sequence[Mapping[str, Any]],
        seed: int,
        python: Path,
    ) -> tuple[np.ndarray, dict[str, Any]]:
        validation, test = (
            true_ratings(dataset, split.validation),
            true_ratings(dataset, split.test),
        )
        off = [(0, 1) if chosen else (1, 0) for chosen in settings]
        predicted = [np.concatenate([validation + one, test + other]) for one, other in off]
        return np.stack(predicted), {"seconds": [0.0] * len(settings), "seed": seed}

    monkeypatch.setattr(rating_peers, "fit_svd", fit_svd)


def measured(rating_peers: ModuleType, folder: Path, output: Path, *flags: str) -> Any:
    words = [
        "--data",
        str(folder),
        "--output",
        str(output),
        "--peers_python",
        sys.executable,
        *flags,
    ]
    rating_peers.main(words)
    return json.loads(output.read_text())


@pytest.mark.usefixtures("right_on")
def test_svd_setting_is_chosen_on_validation_only(
    rating_peers: ModuleType, world_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = measured(rating_peers, world_folder, tmp_path / "out.json")
    rows = document["rows"]
    assert document["svd"]["chosen"] == rating_peers.GRID[0]
    assert rows["SVD, defaults"]["rating_rmse"]["value"] == 0
    assert rows["SVD, best on validation"]["rating_rmse"]["value"] == 1
    assert document["minus_svd"]["SVD, defaults"]["rating_rmse"] == {
        "value": -1,
        "low": -1,
        "high": -1,
    }
    assert set(rows) == {
        "global mean",
        "user and item biases",
        "SVD, defaults",
        "SVD, best on validation",
    }
    assert "SVD was chosen on validation: n_epochs 5, lr_all 0.002" in capsys.readouterr().out


@pytest.mark.usefixtures("right_on")
def test_rating_head_predicts_the_same_cases(
    rating_peers: ModuleType, world_folder: Path, tmp_path: Path
) -> None:
    dataset = PreparedDataset.open(world_folder)
    run = RunConfig(ModelConfig(hidden_size=8, num_heads=2, num_layers=1, seq_length=5))
    split = make_split(dataset, run.split)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    artefact.save(tmp_path / "model", network, run, dataset, split)
    flags = ["--no_grid", "--model", f"mine={tmp_path / 'model'}"]
    document = measured(rating_peers, world_folder, tmp_path / "out.json", *flags)
    reports = evaluate_by_request_time(
        artefact.load(tmp_path / "model").scorer(), dataset, split, "test"
    )
    for row, report in reports.items():
        errors = document["rows"][f"mine, {row.replace('_', ' ')}"]
        for metric in ("rating_rmse", "rating_mae"):
            assert errors[metric]["value"] == pytest.approx(report.metrics[metric].value, abs=1e-5)


def test_svd_input_holds_no_ratings_of_the_cases(
    rating_peers: ModuleType,
) -> None:
    dataset = dataset_of([0, 1, 2, 3, 4], [4, 3, 2], ratings=[[1, 2, 0, 4, 5], [3, 4, 5]])
    given = rating_peers.svd_input(dataset, leave_one_out(dataset))
    assert list(
        zip(given["user_N"], given["item_N"] - FIRST_ITEM, given["rating_N"], strict=True)
    ) == [
        (1, 0, 1),
        (1, 1, 2),
        (2, 4, 3),
    ]
    assert given["user_C"].tolist() == [1, 2, 1, 2]
    assert (given["item_C"] - FIRST_ITEM).tolist() == [3, 3, 4, 2]
    assert set(given) == {"user_N", "item_N", "rating_N", "level_R", "user_C", "item_C"}


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--peers_python", "nowhere"], "make peers"),
        (["--model", "runs/small"], "must be NAME=FOLDER"),
    ],
)
def test_missing_parts_are_refused_before_anything_is_fitted(
    rating_peers: ModuleType, capsys: pytest.CaptureFixture[str], flags: list[str], part: str
) -> None:
    with pytest.raises(SystemExit):
        rating_peers.main(["--data", "nowhere", "--peers_python", sys.executable, *flags])
    assert part in capsys.readouterr().err
