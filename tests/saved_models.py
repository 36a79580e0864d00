"""Saved models small enough for a test of their files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from bert4rec import artefact
from bert4rec.artefact.checked_files import digest_of, sha256, to_json
from bert4rec.config import ModelConfig, RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.model.network import Bert4Rec

ARRAYS = ("start_U1", "item_N", "time_N", "rating_N", "rating_levels")


def save_untrained(folder: Path, dataset: PreparedDataset, **settings: object) -> Bert4Rec:
    """Save an untrained network of one layer, and return it."""
    config = ModelConfig(hidden_size=8, num_heads=2, num_layers=1, seq_length=5, **settings)  # type: ignore[arg-type]
    run = RunConfig(config)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    artefact.save(folder, network, run, dataset, make_split(dataset, run.split))
    return network


def sign(folder: Path) -> None:
    """Recompute the checksums of an edited model folder, as a stranger who hides edits does."""
    path = folder / "config.json"
    config = json.loads(path.read_text())
    if isinstance(config.get("files"), dict):
        present = [name for name in config["files"] if (folder / name).is_file()]
        config["files"].update({name: sha256((folder / name).read_bytes()) for name in present})
    path.write_bytes(to_json({**config, "digest": digest_of(config)}))


def assert_same_data(loaded: PreparedDataset, saved: PreparedDataset) -> None:
    """Assert that two datasets have the same ids, titles, events and features."""
    assert list(loaded.items.ids) == list(saved.items.ids)
    assert list(loaded.users.ids) == list(saved.users.ids)
    assert loaded.titles == saved.titles
    assert (loaded.name, loaded.checksum) == (saved.name, saved.checksum)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(loaded, name), getattr(saved, name))
    for owner in ("item_features", "user_features"):
        for name, (feature, table) in getattr(saved, owner).items():
            assert getattr(loaded, owner)[name][0] == feature
            np.testing.assert_array_equal(getattr(loaded, owner)[name][1], table)
