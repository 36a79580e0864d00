"""Fixtures that every part of the tests shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.ingest.prepare import prepare_dataset
from bert4rec.log import Log

# Tests are small and run side by side: more threads would only wait for each other.
torch.set_num_threads(1)

SMALL_WORLD = {"seed": 0, "num_users": 80, "num_items": 24, "events_per_user": 20}


@pytest.fixture(scope="session")
def world() -> PreparedDataset:
    """Small synthetic world in memory: 80 users and 24 items, with a learnable next item."""
    return synthetic_dataset(**SMALL_WORLD)


@pytest.fixture(scope="session")
def world_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder of the same world. Tests that change it work on a copy."""
    folder = tmp_path_factory.mktemp("prepared") / "world"
    synthetic_dataset(**SMALL_WORLD, folder=folder)
    return folder


@pytest.fixture(scope="session")
def movielens() -> Path:
    """Folder of MovieLens archives that BERT4REC_DATA names; the test is skipped without one."""
    folder = os.environ.get("BERT4REC_DATA")
    if not folder:
        pytest.skip("BERT4REC_DATA names no folder with MovieLens archives")
    return Path(folder)


OwnTables = Callable[..., PreparedDataset]


@pytest.fixture
def own_tables(tmp_path: Path) -> OwnTables:
    """Prepare tables written in the test, in `tmp_path`.

    `own_tables(events, declared, name="e.csv", more="", log=…, **settings)`: `declared` is the rest
    of the schema's `events`, `more` holds other tables, `settings` are those of `PrepareConfig`.
    """

    def prepare(
        events: str | bytes,
        declared: str = "time: t, rating: r",
        name: str = "e.csv",
        more: str = "",
        log: Log = lambda line: None,
        **settings: Any,
    ) -> PreparedDataset:
        content = events if isinstance(events, bytes) else events.encode()
        (tmp_path / name).write_bytes(content)
        schema = tmp_path / "own.yaml"
        schema.write_text(f"events: {{file: {name}, user: u, item: i, {declared}}}\n{more}")
        config = PrepareConfig(schema=schema, output=tmp_path / "out", **settings)
        return prepare_dataset(config, log)

    return prepare
