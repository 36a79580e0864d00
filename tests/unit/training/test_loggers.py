"""Each task's loss is logged on its own, wherever it is logged to."""

from __future__ import annotations

import csv
import sqlite3
from pathlib import Path

import pytest

from bert4rec.errors import ConfigError
from bert4rec.training import lightning_trainer as trainer
from small_runs import Train

PARTS = {
    "train/item_prediction",
    "train/next_item",
    "train/rating_prediction",
    "train/user_preference",
    "train/loss",
}
VALIDATED = {"validation/hit@10", "validation/ndcg@10", "validation/mrr"}


def in_csv(folder: Path) -> dict[str, list[float]]:
    (table,) = (folder / "training").rglob("metrics.csv")
    with table.open() as rows:
        found = list(csv.DictReader(rows))
    return {name: [float(row[name]) for row in found if row[name]] for name in found[0]}


def test_metrics_csv_has_a_column_for_each_task_whatever_else_is_asked_for(trained: Train) -> None:
    logged = in_csv(trained(max_epochs=2))
    assert set(logged) >= PARTS | VALIDATED
    assert all(len(logged[part]) == 2 for part in PARTS)
    for epoch in range(2):
        parts = {part: logged[part][epoch] for part in PARTS}
        weighted = (
            parts["train/item_prediction"]
            + parts["train/next_item"]
            + 0.3 * parts["train/rating_prediction"]
            + 0.2 * parts["train/user_preference"]
        )
        assert parts["train/loss"] == pytest.approx(weighted, rel=1e-4)


def test_a_task_that_is_off_has_no_column(trained: Train) -> None:
    logged = in_csv(trained(max_epochs=1, task_weights={"rating_prediction": 0.0}))
    assert {name for name in logged if name.startswith("train/")} == PARTS - {
        "train/rating_prediction"
    }


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tensorboard")  # of numpy, in its own code
def test_tensorboard_has_a_curve_for_each_task(trained: Train) -> None:
    folder = trained(max_epochs=2, logger="tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = {path.parent for path in (folder / "training" / "tensorboard").rglob("events.out.*")}
    events = EventAccumulator(str(run)).Reload()
    assert set(events.Tags()["scalars"]) >= PARTS | VALIDATED
    assert [round(event.value, 4) for event in events.Scalars("train/next_item")] == [
        round(value, 4) for value in in_csv(folder)["train/next_item"]
    ]


def test_mlflow_has_a_metric_for_each_task_in_a_store_of_its_own(
    trained: Train, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)
    folder = trained(max_epochs=2, logger="mlflow")
    with sqlite3.connect(folder / "training" / "mlflow.db") as store:
        names = {name for (name,) in store.execute("select distinct key from metrics")}
        curve = store.execute(
            "select value from metrics where key = 'train/next_item' order by step"
        ).fetchall()
        settings = dict(store.execute("select key, value from params"))
    assert names >= {
        name.replace("@", "") for name in PARTS | VALIDATED
    }  # a metric's name may hold no @ there
    assert [value for (value,) in curve] == pytest.approx(
        in_csv(folder)["train/next_item"], rel=1e-4
    )
    assert settings["max_epochs"] == "2"
    assert [path.name for path in tmp_path.iterdir()] == [
        "run"
    ]  # nothing is written beside the output


def test_weights_and_biases_has_a_history_of_each_task(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folder = trained(max_epochs=2, use_wandb=True)
    wandb.teardown()  # as at the end of the process: until then records wait to be written
    (record,) = (folder / "training" / "wandb").rglob("run-*.wandb")
    written = record.read_bytes()
    assert [part for part in PARTS | VALIDATED if part.encode() not in written] == []
    assert set(in_csv(folder)) >= PARTS


def test_weights_and_biases_has_a_run_of_its_own_for_each_run_of_a_process(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    folders = [trained(name, max_epochs=1, use_wandb=True) for name in ("one", "other")]
    assert wandb.run is None
    records = [
        path.name
        for folder in folders
        for path in (folder / "training" / "wandb").rglob("run-*.wandb")
    ]
    wandb.teardown()
    assert len(set(records)) == 2


@pytest.mark.parametrize(
    ("asked", "extra"),
    [
        ({"logger": "tensorboard"}, "tensorboard"),
        ({"logger": "mlflow"}, "mlflow"),
        ({"use_wandb": True}, "wandb"),
    ],
)
def test_a_logger_that_is_not_installed_is_named_with_the_extra_that_installs_it(
    trained: Train, monkeypatch: pytest.MonkeyPatch, asked: dict[str, object], extra: str
) -> None:
    monkeypatch.setattr(trainer, "find_spec", lambda module: None)
    with pytest.raises(
        ConfigError,
        match=rf"logging to {extra} needs it installed: pip install 'bert4rec\[{extra}\]'",
    ):
        trained(**asked)
