"""Fixtures that every part of the tests shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.synthetic import synthetic_dataset

torch.set_num_threads(2)


@pytest.fixture(scope="session")
def world() -> PreparedDataset:
    """A small synthetic world, in memory: 80 users, 24 items, what comes next is nearly always a rule."""
    return synthetic_dataset(seed=0, num_users=80, num_items=24, events_per_user=20)


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same world as a prepared folder. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("prepared") / "world"
    synthetic_dataset(seed=0, num_users=80, num_items=24, events_per_user=20, folder=folder)
    return folder


@pytest.fixture(scope="session")
def movielens() -> Path:
    """The folder with MovieLens archives that BERT4REC_DATA names; the test is skipped without one."""
    folder = os.environ.get("BERT4REC_DATA")
    if not folder:
        pytest.skip("BERT4REC_DATA names no folder with MovieLens archives")
    return Path(folder)
