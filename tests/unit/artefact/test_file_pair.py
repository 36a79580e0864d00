from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ArtefactError
from saved_models import assert_same_data, save_untrained


@pytest.fixture
def pair(model: Artefact, tmp_path: Path) -> tuple[Path, Path]:
    paths = tmp_path / "checkpoints" / "best_model.pt", tmp_path / "elsewhere" / "metadata.json"
    artefact.save_pair(model, *paths)
    return paths


def test_pair_scores_as_the_folder_does(model: Artefact, pair: tuple[Path, Path]) -> None:
    loaded = artefact.load_pair(*pair)
    assert_same_data(loaded.dataset, model.dataset)
    assert loaded.config == model.config
    assert loaded.split == model.split
    histories = model.dataset.histories(np.array([1, 2]), model.dataset.start_U1[2:4])
    torch.testing.assert_close(
        loaded.scorer().score(histories), model.scorer().score(histories), rtol=0, atol=0
    )


def test_files_of_two_runs_are_refused_with_both_paths(
    pair: tuple[Path, Path], tmp_path: Path, world_folder: Path
) -> None:
    save_untrained(tmp_path / "other", PreparedDataset.open(world_folder))
    other = tmp_path / "other" / "metadata.json"
    other.write_text(other.read_text().replace("Item 3", "Item three"))
    with pytest.raises(ArtefactError, match="do not belong together") as refused:
        artefact.load_pair(pair[0], other)
    assert str(pair[0]) in str(refused.value)
    assert str(other) in str(refused.value)


def test_missing_file_of_a_pair_is_named(pair: tuple[Path, Path], tmp_path: Path) -> None:
    absent = tmp_path / "absent"
    for paths in ((absent, pair[1]), (pair[0], absent)):
        with pytest.raises(ArtefactError, match=f"{absent}: no such file"):
            artefact.load_pair(*paths)


@pytest.mark.parametrize("content", [b"", b"words", None])
def test_damaged_model_file_is_refused(pair: tuple[Path, Path], content: bytes | None) -> None:
    content_before = pair[0].read_bytes()
    pair[0].write_bytes(content_before[: len(content_before) // 2] if content is None else content)
    with pytest.raises(ArtefactError, match="truncated, or not a model of this program"):
        artefact.load_pair(*pair)


class Runs:
    """Object that makes a folder when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.path),)


def test_model_file_runs_no_code(pair: tuple[Path, Path], tmp_path: Path) -> None:
    made = tmp_path / "made"
    pair[0].write_bytes(pickle.dumps({"config": Runs(made)}))
    with pytest.raises(ArtefactError):
        artefact.load_pair(*pair)
    torch.save({"config": Runs(made)}, pair[0])
    with pytest.raises(ArtefactError):
        artefact.load_pair(*pair)
    assert not made.exists()


def test_pair_that_cannot_be_written_names_the_path(model: Artefact, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ArtefactError, match=r"file.best_model.pt: cannot be written"):
        artefact.save_pair(model, tmp_path / "file" / "best_model.pt", tmp_path / "metadata.json")
