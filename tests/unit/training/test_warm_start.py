from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import ArtefactError, ConfigError
from bert4rec.model.network import Bert4Rec
from bert4rec.training.train import train
from bert4rec.training.warm_start import load_warm_start, open_warm_start
from small_runs import RUN, Train, run_of, same_weights, weights


@pytest.fixture(scope="module")
def folder(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model folder that runs start from; its rating head has no factors."""
    run = run_of(rating_factor_size=0, max_epochs=8, learning_rate=0.01)
    return train(world, run, tmp_path_factory.mktemp("start") / "first", log=lambda line: None)


def started(world: PreparedDataset, folder: Path | str, **changes: Any) -> tuple[Bert4Rec, str]:
    """A network as its training starts, and what was said."""
    run = run_of(**{"rating_factor_size": 0, "warm_start_from": str(folder), **changes})
    model, _ = open_warm_start(run, world, make_split(world, run.split))
    assert model is not None
    network = Bert4Rec.for_dataset(run.model, world, run.training.task_weights)
    return network, load_warm_start(network, model, world)


def test_a_run_starts_from_the_weights_of_the_model_that_is_named(
    folder: Path, world: PreparedDataset
) -> None:
    network, logged = started(world, folder)
    for name, tensor in weights(folder).items():
        np.testing.assert_array_equal(network.state_dict()[name], tensor, err_msg=name)
    assert logged == f"starts from {folder}"


def test_what_only_the_new_network_has_stays_as_it_was_made_and_is_named(
    folder: Path, world: PreparedDataset
) -> None:
    network, logged = started(world, folder, rating_factor_size=3)
    assert network.rating_head is not None
    assert network.rating_head.factors is not None
    assert network.rating_head.factors.item.weight.std() > 0
    assert torch.equal(network.item.weight, weights(folder)["item.weight"])
    factors = ("direction_R", "item.weight", "user.weight")
    assert logged == f"starts from {folder}; new are " + ", ".join(
        f"rating_head.factors.{of}" for of in factors
    )


def test_what_only_the_model_has_is_left_and_named(folder: Path, world: PreparedDataset) -> None:
    _, logged = started(world, folder, temporal_embedding=False)
    assert logged.startswith(f"starts from {folder}; left are temporal.day_of_year.weight, ")


def test_a_position_that_is_computed_is_not_overwritten_by_one_that_was_learned(
    world: PreparedDataset, trained: Train
) -> None:
    learned = trained("learned", max_epochs=1, position="learned", rating_factor_size=0)
    fresh = Bert4Rec.for_dataset(run_of().model, world, run_of().training.task_weights)
    network, logged = started(world, learned)
    assert network.position is not None
    assert fresh.position is not None
    assert torch.equal(network.position.weight, fresh.position.weight)
    assert logged == f"starts from {learned}; left are position.weight"


def test_training_goes_on_from_there(folder: Path, trained: Train) -> None:
    gently = {"max_epochs": 1, "learning_rate": 1e-6}
    fresh = trained("fresh", **gently)
    further = trained("further", **gently, warm_start_from=str(folder))
    assert last_loss(further) < last_loss(fresh) - 0.1


def last_loss(folder: Path) -> float:
    history = json.loads((folder / "training.json").read_text())["history"]
    return float(history[-1]["losses"]["next_item"])


def test_a_model_that_was_published_without_its_data_will_do(
    folder: Path, world: PreparedDataset, tmp_path: Path
) -> None:
    model = artefact.load(folder)
    published = tmp_path / "published"
    artefact.save(
        published, model.network, model.config, world, make_split(world, RUN.split), with_data=False
    )
    network, _ = started(world, published)
    assert torch.equal(network.item.weight, model.network.item.weight)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_size": 16},
            r"its [\w.]+ is [\d × ]+, this run's is [\d × ]+; take the same sizes in the settings",
        ),
        (
            {"split": "global-temporal"},
            "was trained on split leave-one-out .* "
            "whose held-out events it may have seen; take a model",
        ),
    ],
)
def test_another_network_or_split_is_refused(
    changes: dict[str, Any], message: str, folder: Path, world: PreparedDataset
) -> None:
    with pytest.raises(ConfigError, match=f"warm_start_from .*first: {message}"):
        started(world, folder, **changes)


def test_a_folder_that_holds_no_model_is_refused_before_anything_is_touched(
    trained: Train, tmp_path: Path
) -> None:
    with pytest.raises(ArtefactError, match="does not exist"):
        trained(warm_start_from=str(tmp_path / "nowhere"))
    kept = trained(max_epochs=1)
    with pytest.raises(ArtefactError, match="does not exist"):
        trained(overwrite=True, warm_start_from=str(tmp_path / "nowhere"))
    assert artefact.is_model_folder(kept)


def test_a_resumed_run_needs_its_start_no_more(
    folder: Path, trained: Train, tmp_path: Path
) -> None:
    start = shutil.copytree(folder, tmp_path / "start")

    def stop(line: str) -> None:
        if line.startswith("epoch   2/"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained("run", max_epochs=3, warm_start_from=str(start), log=stop)
    shutil.rmtree(start)
    resumed = trained("run", max_epochs=3, warm_start_from=str(start), resume=True)
    whole = trained("whole", max_epochs=3, warm_start_from=str(folder))
    assert same_weights(resumed, whole)
    assert [comparison(of)["difference"] for of in (resumed, whole)] == [
        comparison(whole)["difference"]
    ] * 2
    assert not (resumed / "training" / "warm_start").exists()


def test_what_a_run_starts_from_is_compared_as_it_was(folder: Path, trained: Train) -> None:
    further = trained(
        max_epochs=1, learning_rate=1e-6, logit_scale=1.0, seq_length=2, warm_start_from=str(folder)
    )
    before, after = (
        json.loads((of / "metrics.json").read_text())["test_request_time_on"]["metrics"]
        for of in (folder, further)
    )
    assert before["ndcg@10"] != after["ndcg@10"]
    assert comparison(further)["difference"]["ndcg@10"]["value"] == pytest.approx(
        after["ndcg@10"]["value"] - before["ndcg@10"]["value"]
    )


def comparison(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "comparison.json").read_text())["request_time_on"])


def test_a_run_does_not_start_from_its_own_folder(
    folder: Path, world: PreparedDataset, tmp_path: Path
) -> None:
    own = shutil.copytree(folder, tmp_path / "own")
    with pytest.raises(ConfigError, match="is the output as well"):
        train(world, run_of(warm_start_from=str(own)), own, overwrite=True, log=lambda line: None)
    assert artefact.load(own).config == artefact.load(folder).config
