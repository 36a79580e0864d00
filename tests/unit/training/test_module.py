from __future__ import annotations

from typing import Any

import pytest

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.module import TrainingModule, value_tables
from small_networks import network_of, settings
from small_worlds import dataset_of


def test_validation_metrics_equal_those_of_evaluate(
    world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    split, run, network = make_split(world, SplitConfig()), settings(), network_of(world)
    module = TrainingModule(network, run, world)
    logged: dict[str, float] = {}
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.update(metrics))
    (batch,) = TrainingDataModule(world, split, run).val_dataloader()
    module.validation_step(batch, 0)
    report = evaluate(NetworkScorer(network, run), world, split, subset="validation")
    assert logged["validation/ndcg@10"] == pytest.approx(report.metrics["ndcg@10"].value)
    assert logged["validation/hit@10"] == pytest.approx(report.metrics["hit@10"].value)
    assert logged["validation/rating_rmse"].compute() == pytest.approx(
        report.metrics["rating_rmse"].value
    )  # type: ignore[attr-defined]


def test_value_tables_are_the_multi_valued_item_features() -> None:
    tables = value_tables(dataset_of([0, 1], genres=[[1, 2], [3]], years=[1990, 1991]))
    assert {name: table.tolist() for name, table in tables.items()} == {
        "genres": [[0, 0], [0, 0], [1, 2], [3, 0]]
    }


def test_a_batch_without_ratings_still_logs_the_rmse(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Devices add up their errors at the end of an epoch, so none may be missing."""
    unrated = dataset_of([0, 1, 2, 3, 4], ratings=[[5, 3, 1, 0, 0]])
    module = TrainingModule(network_of(unrated), settings(), unrated)
    logged: dict[str, Any] = {}
    monkeypatch.setattr(module, "log_dict", lambda metrics, **_: logged.update(metrics))
    (batch,) = TrainingDataModule(
        unrated, make_split(unrated, SplitConfig()), settings()
    ).val_dataloader()
    module.validation_step(batch, 0)
    assert logged["validation/rating_rmse"].compute().isnan()
