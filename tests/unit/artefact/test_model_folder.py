from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bert4rec import __version__, artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import ArtefactError
from saved_models import assert_same_data, save_untrained, sign

FILES = ["model.safetensors", "data.safetensors", "metadata.json", "metrics.json"]


def refusal(folder: Path) -> str:
    with pytest.raises(ArtefactError) as refused:
        artefact.load(folder)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_loaded_folder_has_the_network_settings_and_data_that_were_saved(
    tmp_path: Path, world_folder: Path
) -> None:
    dataset = PreparedDataset.open(world_folder)
    network = save_untrained(tmp_path / "m", dataset, dropout=0.4)
    loaded = artefact.load(tmp_path / "m")
    assert loaded.config.model == network.config
    assert loaded.network.table_sizes == network.table_sizes
    assert not loaded.network.training
    assert loaded.network.state_dict().keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(
            loaded.network.state_dict()[name], tensor, rtol=0, atol=0, equal_nan=True
        )
    assert_same_data(loaded.dataset, dataset)


def test_folder_keeps_that_ties_were_shuffled(tmp_path: Path, world: PreparedDataset) -> None:
    shuffled = replace(world, manifest={**world.manifest, "ties": "shuffled"})
    save_untrained(tmp_path / "model", shuffled)
    assert artefact.load(tmp_path / "model").dataset.ties == "shuffled"


def test_model_names_its_data_and_split_by_their_checksums(
    model: Artefact, world_folder: Path
) -> None:
    dataset = PreparedDataset.open(world_folder)
    split = make_split(dataset, model.config.split)
    assert dict(model.split) == {"name": "leave-one-out", "checksum": split.checksum}
    assert model.dataset.checksum == dataset.checksum
    assert "test_request_time_on" in model.metrics


def test_model_card_has_metrics_protocol_and_settings(model_folder: Path) -> None:
    card = (model_folder / "README.md").read_text()
    assert "synthetic" in card
    assert "| test request time on |" in card
    assert "all 24 items" in card
    assert "- hidden_size: 32" in card
    assert "licence" in card


def test_config_names_the_version_that_wrote_it(model_folder: Path) -> None:
    assert json.loads((model_folder / "config.json").read_text())["bert4rec_version"] == __version__


@pytest.mark.parametrize("name", FILES)
def test_truncated_file_is_named(own_folder: Path, name: str) -> None:
    path = own_folder / name
    path.write_bytes(path.read_bytes()[:-1])
    assert name in refusal(own_folder)


@pytest.mark.parametrize("name", FILES)
def test_missing_file_is_named(own_folder: Path, name: str) -> None:
    (own_folder / name).unlink()
    assert str(own_folder / name) in refusal(own_folder)


def test_complete_file_of_another_model_is_refused(
    own_folder: Path, tmp_path: Path, world_folder: Path
) -> None:
    save_untrained(tmp_path / "other", PreparedDataset.open(world_folder))
    (own_folder / "model.safetensors").write_bytes(
        (tmp_path / "other" / "model.safetensors").read_bytes()
    )
    said = refusal(own_folder)
    assert "model.safetensors" in said
    assert "metadata.json" not in said


def test_newer_format_is_refused_with_its_version(own_folder: Path) -> None:
    edit(own_folder / "config.json", format_version=99)
    assert "format version 99 is newer than this program reads (2)" in refusal(own_folder)


def test_older_format_is_refused_with_its_version(own_folder: Path) -> None:
    edit(own_folder / "config.json", format_version=1)
    assert "format version 1 is older than this program reads (2)" in refusal(own_folder)


@pytest.mark.parametrize(
    "content", ["", "{", "[1, 2]", '"words"', "{}", '{"format_version": "1"}', "\x00\xff"]
)
def test_file_that_is_no_config_is_refused(own_folder: Path, content: str) -> None:
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
def test_config_with_damaged_entries_is_refused(
    own_folder: Path, changes: dict[str, object]
) -> None:
    edit(own_folder / "config.json", **changes)
    assert str(own_folder) in refusal(own_folder)


def test_settings_that_do_not_fit_the_weights_are_refused(own_folder: Path) -> None:
    settings = json.loads((own_folder / "config.json").read_text())["settings"]
    edit(own_folder / "config.json", settings={**settings, "num_layers": 2})
    sign(own_folder)
    assert "cannot be put together" in refusal(own_folder)


def test_folder_without_a_model_says_how_to_train_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "does not exist; 'bert4rec train" in refusal(tmp_path / "absent")
    assert "is not a complete model folder" in refusal(tmp_path)
    assert "is not a complete model folder" in refusal(tmp_path / "file")


@pytest.mark.parametrize("complete_files", range(7))
def test_full_disk_leaves_no_model_and_nothing_half_written(
    tmp_path: Path, world_folder: Path, monkeypatch: pytest.MonkeyPatch, complete_files: int
) -> None:
    dataset, folder = PreparedDataset.open(world_folder), tmp_path / "m"
    save_untrained(folder, dataset)
    written: list[int] = []

    def fsync(descriptor: int) -> None:
        if len(written) == complete_files:
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


def test_saving_without_data_removes_the_data_of_the_model_before(
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
