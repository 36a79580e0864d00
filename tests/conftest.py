"""Fixtures that every part of the tests shares."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from bert4rec.config import PrepareConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.ingest.prepare import prepare_dataset

torch.set_num_threads(
    1
)  # tests are small and run side by side: more threads would only wait for each other


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


OwnTables = Callable[..., PreparedDataset]


@pytest.fixture
def own_tables(tmp_path: Path) -> OwnTables:
    """Prepares tables written in the test: `own_tables(events, declared, items=…, users=…, name="e.csv", **settings)`.

    `declared` is the rest of the schema's `events`, and after it any other table; files lie in `tmp_path`.
    """

    def prepare(
        events: str | bytes,
        declared: str = "time: t, rating: r",
        name: str = "e.csv",
        more: str = "",
        **settings: object,
    ) -> PreparedDataset:
        (tmp_path / name).write_bytes(events if isinstance(events, bytes) else events.encode())
        schema = tmp_path / "own.yaml"
        schema.write_text(f"events: {{file: {name}, user: u, item: i, {declared}}}\n{more}")
        settings = {"report": lambda line: None, **settings}
        report = settings.pop("report")
        return prepare_dataset(
            PrepareConfig(schema=schema, output=tmp_path / "out", **settings), report
        )  # type: ignore[arg-type]

    return prepare
