"""Identity of a run: events, features, split and settings."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bert4rec import artefact
from bert4rec.data.checksums import features_checksum
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ConfigError, DataError, UsageError
from bert4rec.evaluation.comparison import compare
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.training.train import train
from small_runs import run_of
from small_worlds import constant, leave_one_out


def with_other_years(world: PreparedDataset) -> PreparedDataset:
    """The same events, and another year for every item."""
    feature, year_V = world.item_features["year"]
    turned_V = np.where(np.asarray(year_V) > 0, feature.rows - np.asarray(year_V), 0)
    features = {**world.item_features, "year": (feature, turned_V)}
    checksum = features_checksum(world.titles, features.values(), world.user_features.values())
    manifest: dict[str, Any] = {**world.manifest, "features_checksum": checksum}
    return replace(world.in_memory(), item_features=features, manifest=manifest)


@pytest.fixture
def world(world_folder: Path) -> PreparedDataset:
    return PreparedDataset.open(world_folder)


def test_other_features_of_the_same_events_are_another_identity(world: PreparedDataset) -> None:
    other = with_other_years(world)
    assert other.checksum == world.checksum
    assert other.features_checksum != world.features_checksum
    titles = ["another", *list(world.titles or [])[1:]]
    tables = world.item_features.values(), world.user_features.values()
    assert features_checksum(titles, *tables) != world.features_checksum


def test_a_run_on_other_features_is_neither_done_nor_resumed(
    world: PreparedDataset, tmp_path: Path
) -> None:
    config = run_of(max_epochs=1)
    train(world, config, tmp_path / "run", log=lambda line: None)
    for resume in (False, True):
        with pytest.raises(UsageError, match="with other features of the same events"):
            train(with_other_years(world), config, tmp_path / "run", resume=resume)


def test_a_model_folder_names_the_features_it_was_trained_on(
    world: PreparedDataset, model_folder: Path
) -> None:
    trained_on = artefact.training_data_of(model_folder)
    assert trained_on["features_checksum"] == world.features_checksum
    assert artefact.load(model_folder).dataset.features_checksum == world.features_checksum


def test_models_of_other_features_are_not_averaged(model_folder: Path) -> None:
    model = artefact.load(model_folder)
    data = {**model.training_data, "features_checksum": "0" * 16}
    other = replace(model, source=Path("other"), training_data=data)
    with pytest.raises(DataError, match="same events with different features"):
        artefact.scorer_of([model, other])


def test_reports_on_other_features_are_compared_and_both_are_named(world: PreparedDataset) -> None:
    other = with_other_years(world)
    reports = [evaluate(constant(data), data, leave_one_out(data)) for data in (world, other)]
    protocol = compare(*reports).protocol
    assert protocol["features_checksum"] == (
        f"{world.features_checksum} of the first and {other.features_checksum} of the second"
    )
    assert f"features {world.features_checksum}" in reports[0].protocol_line()


def test_a_teacher_that_knows_user_features_by_other_values_is_refused(
    world: PreparedDataset, model_folder: Path, tmp_path: Path
) -> None:
    gender, table_U = world.user_features["gender"]
    turned = replace(gender, values=list(reversed(gender.values)))
    other = replace(
        world.in_memory(), user_features={**world.user_features, "gender": (turned, table_U)}
    )
    config = run_of(max_epochs=1, teacher=[str(model_folder)])
    with pytest.raises(ConfigError, match=r"knows the user features .* with other values"):
        train(other, config, tmp_path / "student", log=lambda line: None)


def test_a_warm_start_on_other_features_says_so(world: PreparedDataset, tmp_path: Path) -> None:
    lines: list[str] = []
    train(world, run_of(max_epochs=1), tmp_path / "first", log=lines.append)
    config = run_of(max_epochs=1, warm_start_from=str(tmp_path / "first"))
    train(with_other_years(world), config, tmp_path / "second", log=lines.append)
    assert any("the events are the same, the features differ" in line for line in lines)
