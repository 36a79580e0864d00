"""A run of seconds, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bert4rec.data.prepared import PreparedDataset
from bert4rec.training.fit import train
from small_runs import RUN, Train, run_of


@pytest.fixture
def trained(world: PreparedDataset, tmp_path: Path) -> Train:
    """Trains: `trained(max_epochs=1)`, `trained(folder="other")`, `trained(resume=True)`; the model folder."""

    def start(
        folder: str = "run",
        resume: bool = False,
        overwrite: bool = False,
        report: Callable[[str], None] = lambda line: None,
        **changes: Any,
    ) -> Path:
        return train(world, run_of(**changes), tmp_path / folder, resume=resume, overwrite=overwrite, report=report)

    return start


@pytest.fixture(scope="session")
def complete(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the run as it is, uninterrupted; tests only look at it."""
    return train(world, RUN, tmp_path_factory.mktemp("complete") / "run", report=lambda line: None)
