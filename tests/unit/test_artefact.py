"""A model folder gives back what was saved, and anything less than whole is refused in one line."""

from __future__ import annotations

import errno
import json
import os
import pickle
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bert4rec import __version__, artefact
from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import ArtefactError
from bert4rec.model.network import Bert4Rec

FILES = ["model.safetensors", "data.safetensors", "metadata.json", "metrics.json"]


@pytest.fixture
def pair(model: Artefact, tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "checkpoints" / "best_model.pt", tmp_path / "elsewhere" / "metadata.json"
    artefact.save_pair(model, *paths)
    return paths


def save_untrained(folder: Path, dataset: PreparedDataset, **settings: object) -> Bert4Rec:
    run = RunConfig(ModelConfig(hidden_size=8, num_heads=2, num_layers=1, seq_length=5, **settings))  # type: ignore[arg-type]
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    artefact.save(folder, network, run, dataset, make_split(dataset, run.split))
    return network


def refusal(folder: Path) -> str:
    with pytest.raises(ArtefactError) as refused:
        artefact.load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def same_data(loaded: PreparedDataset, saved: PreparedDataset) -> None:
    assert list(loaded.items.ids) == list(saved.items.ids)
    assert list(loaded.users.ids) == list(saved.users.ids)
    assert (loaded.titles, loaded.name, loaded.checksum) == (
        saved.titles,
        saved.name,
        saved.checksum,
    )
    for name in ("start_U1", "item_N", "time_N", "rating_N", "rating_levels"):
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    for owner in ("item_features", "user_features"):
        for name, (feature, table) in getattr(saved, owner).items():
            assert getattr(loaded, owner)[name][0] == feature
            np.testing.assert_array_equal(getattr(loaded, owner)[name][1], table)


def test_a_folder_gives_back_network_settings_and_data(tmp_path: Path, world_folder: Path) -> None:
    dataset = PreparedDataset.open(world_folder)
    network = save_untrained(tmp_path / "m", dataset, dropout=0.4)
    loaded = artefact.load(tmp_path / "m")
    assert loaded.run.model == network.config
    assert loaded.network.table_sizes == network.table_sizes
    assert not loaded.network.training
    assert loaded.network.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(
            loaded.network.state_dict()[name], tensor, rtol=0, atol=0, equal_nan=True
        )
    same_data(loaded.dataset, dataset)


def test_a_model_knows_that_it_was_trained_on_shuffled_ties(
    tmp_path: Path, world: PreparedDataset
) -> None:
    shuffled = replace(world, manifest={**world.manifest, "ties": "shuffled"})
    save_untrained(tmp_path / "model", shuffled)
    assert artefact.load(tmp_path / "model").dataset.ties == "shuffled"


def test_data_and_split_are_named_by_their_checksums(model: Artefact, world_folder: Path) -> None:
    dataset = PreparedDataset.open(world_folder)
    split = make_split(dataset, model.run.split)
    assert dict(model.split) == {"name": "leave-one-out", "checksum": split.checksum}
    assert model.dataset.checksum == dataset.checksum
    assert "test_request_time_on" in model.metrics


def test_the_pair_answers_as_the_folder_does(model: Artefact, pair: tuple[Path, Path]) -> None:
    loaded = artefact.load_pair(*pair)
    same_data(loaded.dataset, model.dataset)
    assert loaded.run == model.run
    assert loaded.split == model.split
    histories = model.dataset.histories(np.array([1, 2]), model.dataset.start_U1[2:4])
    torch.testing.assert_close(
        loaded.scorer().score(histories), model.scorer().score(histories), rtol=0, atol=0
    )


def test_the_card_says_what_was_reached_under_which_protocol(model_folder: Path) -> None:
    card = (model_folder / "README.md").read_text()
    assert "synthetic" in card
    assert "| test request time on |" in card
    assert "all 24 items" in card
    assert "- hidden_size: 32" in card
    assert "licence" in card


def test_the_config_names_the_program_that_wrote_it(model_folder: Path) -> None:
    assert json.loads((model_folder / "config.json").read_text())["bert4rec_version"] == __version__


@pytest.mark.parametrize("name", FILES)
def test_a_truncated_file_is_named(own_folder: Path, name: str) -> None:
    path = own_folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert name in refusal(own_folder)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    assert str(own_folder / name) in refusal(own_folder)


def test_a_file_of_another_model_is_refused_though_it_is_whole(
    own_folder: Path, tmp_path: Path, world_folder: Path
) -> None:
    save_untrained(tmp_path / "other", PreparedDataset.open(world_folder))
    (own_folder / "model.safetensors").write_bytes(
        (tmp_path / "other" / "model.safetensors").read_bytes()
    )
    said = refusal(own_folder)
    assert "model.safetensors" in said
    assert "metadata.json" not in said


def test_a_newer_format_is_refused_by_its_version(own_folder: Path) -> None:
    edit(own_folder / "config.json", format_version=2)
    assert "format version 2 is newer than this program reads (1)" in refusal(own_folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[1, 2]", '"words"', "{}", '{"format_version": "1"}', "\x00\xff"]
)
def test_a_config_that_is_none_is_refused(own_folder: Path, content: str) -> None:
    (own_folder / "config.json").write_bytes(content.encode("latin-1"))
    assert "config.json" in refusal(own_folder)


@pytest.mark.parametrize(
    "changes",
    [
        {"files": None},
        {"files": []},
        {"table_sizes": {}},
        {"table_sizes": 3},
        {"settings": {"colour": 1}},
        {"split": None},
    ],
)
def test_a_config_with_damaged_entries_is_refused(
    own_folder: Path, changes: dict[str, object]
) -> None:
    edit(own_folder / "config.json", **changes)
    assert str(own_folder) in refusal(own_folder)


def test_settings_that_do_not_fit_the_weights_are_refused(own_folder: Path) -> None:
    settings = json.loads((own_folder / "config.json").read_text())["settings"]
    edit(own_folder / "config.json", settings={**settings, "num_layers": 2})
    assert "cannot be put together" in refusal(own_folder)


def test_a_place_without_a_model_says_how_to_make_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist; 'bert4rec train" in refusal(tmp_path / "absent")
    assert "is not a complete model folder" in refusal(tmp_path)
    assert "is not a complete model folder" in refusal(tmp_path / "file")


def test_a_pair_of_two_runs_is_refused_with_both_paths(
    pair: tuple[Path, Path], tmp_path: Path, world_folder: Path
) -> None:
    save_untrained(tmp_path / "other", PreparedDataset.open(world_folder))
    other = tmp_path / "other" / "metadata.json"
    other.write_text(other.read_text().replace("Item 3", "Item three"))
    with pytest.raises(ArtefactError, match="do not belong together") as refused:
        artefact.load_pair(pair[0], other)
    assert str(pair[0]) in str(refused.value)
    assert str(other) in str(refused.value)


def test_either_file_of_a_pair_may_be_missing_and_is_named(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    absent = tmp_path / "absent"
    for paths in ((absent, pair[1]), (pair[0], absent)):
        with pytest.raises(ArtefactError, match=f"{absent}: no such file"):
            artefact.load_pair(*paths)


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_a_damaged_model_file_is_refused(pair: tuple[Path, Path], content: bytes | None) -> None:
    whole = pair[0].read_bytes()
    pair[0].write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ArtefactError, match="truncated, or not a model of this program"):
        artefact.load_pair(*pair)


class Runs:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_a_model_file_runs_no_code(pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    pair[0].write_bytes(pickle.dumps({"config": Runs(made)}))
    with pytest.raises(ArtefactError):
        artefact.load_pair(*pair)
    torch.save({"config": Runs(made)}, pair[0])
    with pytest.raises(ArtefactError):
        artefact.load_pair(*pair)
    assert not made.exists()


@pytest.mark.parametrize("whole_files", range(7))
def test_a_full_disk_leaves_no_model_and_nothing_half_written(
    tmp_path: Path, world_folder: Path, monkeypatch: pytest.MonkeyPatch, whole_files: int
) -> None:
    dataset, folder = PreparedDataset.open(world_folder), tmp_path / "m"
    save_untrained(folder, dataset)
    written: list[int] = []

    def fsync(descriptor: int) -> None:
        if len(written) == whole_files:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(descriptor)

    with monkeypatch.context() as full:
        full.setattr(os, "fsync", fsync)
        with pytest.raises(ArtefactError, match=r"cannot be written \(No space left on device\)"):
            save_untrained(folder, dataset)
    assert "is not a complete model folder" in refusal(folder)
    assert not list(folder.glob("*unfinished*")) + list(folder.glob(".*"))
    save_untrained(folder, dataset)
    artefact.load(folder)


def test_a_pair_that_cannot_be_written_says_where(model: Artefact, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtefactError, match=r"file.best_model.pt: cannot be written"):
        artefact.save_pair(model, tmp_path / "file" / "best_model.pt", tmp_path / "metadata.json")


def test_a_model_saved_without_data_leaves_none_of_the_one_before(
    tmp_path: Path, world_folder: Path
) -> None:
    dataset = PreparedDataset.open(world_folder)
    network = save_untrained(tmp_path / "m", dataset)
    run = RunConfig(network.config)
    artefact.save(
        tmp_path / "m", network, run, dataset, make_split(dataset, run.split), with_data=False
    )
    assert {path.name for path in (tmp_path / "m").iterdir()}.isdisjoint(
        {"data.safetensors", "metadata.json"}
    )
    assert artefact.is_published(tmp_path / "m")
    assert artefact.load(tmp_path / "m", dataset).network.table_sizes == network.table_sizes


def test_rounding_leaves_nothing_that_16_bits_would_lose_and_the_data_as_it_is(
    model: Artefact,
) -> None:
    network = deepcopy(model.network)
    state = network.state_dict()
    tables = {
        name
        for name, tensor in state.items()
        if name.endswith("table_O") and tensor.is_floating_point()
    }
    assert tables
    for name in tables:
        state[name].fill_(0.1)
    before = {name: tensor.clone() for name, tensor in state.items()}
    artefact.round_to_half_precision(network)
    for name, tensor in network.state_dict().items():
        rounded = tensor.is_floating_point() and name not in tables
        assert torch.equal(tensor, before[name].half().float() if rounded else before[name])
