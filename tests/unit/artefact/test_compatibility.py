from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.artefact import Artefact, incompatibilities, scorer_of
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.errors import DataError, UsageError
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.scorer import NetworkScorer
from small_networks import network_of, settings

OTHER_DATA = {"seed": 1, "num_users": 80, "num_items": 24, "events_per_user": 20}


def model(dataset: PreparedDataset, folder: str, rule: str = "leave-one-out") -> Artefact:
    run = settings(split=rule)
    split = make_split(dataset, run.split)
    return Artefact(
        source=Path(folder),
        config=run,
        network=network_of(dataset),
        dataset=dataset,
        training_data={
            "name": dataset.name,
            "checksum": dataset.checksum,
            "features_checksum": dataset.features_checksum,
        },
        split={"name": split.name, "checksum": split.checksum},
    )


def test_one_model_has_its_own_scorer_and_several_an_ensemble(world: PreparedDataset) -> None:
    first, other = model(world, "runs/a"), model(world, "runs/b")
    assert isinstance(scorer_of([first]), NetworkScorer)
    ensemble = scorer_of([first, other])
    assert isinstance(ensemble, EnsembleScorer)
    assert ensemble.name == "a + b"


def test_models_of_different_data_are_refused_with_both_folders(world: PreparedDataset) -> None:
    others = synthetic_dataset(**OTHER_DATA)
    with pytest.raises(
        DataError, match=rf"^runs/a and runs/b: trained on different data .+{others.checksum}"
    ):
        scorer_of([model(world, "runs/a"), model(others, "runs/b")])


def test_models_of_different_splits_are_refused_with_both_folders(world: PreparedDataset) -> None:
    with pytest.raises(
        DataError, match=r"^runs/a and runs/b: trained on different splits .+global-temporal"
    ):
        scorer_of([model(world, "runs/a"), model(world, "runs/b", "global-temporal")])


def test_folder_named_twice_is_refused(world: PreparedDataset) -> None:
    models = [model(world, folder) for folder in ("runs/a", "runs/b", "runs/../runs/a")]
    with pytest.raises(UsageError, match=r"named twice"):
        scorer_of(models)


def test_no_model_is_refused() -> None:
    with pytest.raises(UsageError, match=r"no model is named"):
        scorer_of([])


def test_run_on_the_same_data_and_split_is_compatible(world: PreparedDataset) -> None:
    split = make_split(world, settings().split)
    assert list(incompatibilities(model(world, "runs/a"), world, split)) == []


def test_run_on_other_data_or_another_split_is_incompatible(world: PreparedDataset) -> None:
    others = synthetic_dataset(**OTHER_DATA)
    split = make_split(others, settings().split)
    data, trained_split = incompatibilities(model(world, "runs/a"), others, split)
    assert others.checksum in data
    assert "take a model of the same prepared folder" in data
    assert split.checksum in trained_split
    assert "take a model of the same split" in trained_split
