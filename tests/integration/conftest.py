"""Synthetic data and models of it, made by the commands. Tests that change a folder copy it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from bert4rec.data.synthetic import synthetic_dataset
from command_line import run, settings, zipped


@pytest.fixture(scope="session")
def model(world_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model folder of `bert4rec train`."""
    folder = tmp_path_factory.mktemp("cli") / "model"
    run("train", "--data", world_folder, "--output", folder, *settings()).succeeded()
    return folder


@pytest.fixture(scope="session")
def other_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared folder with as many users, items and events, but other ones."""
    folder = tmp_path_factory.mktemp("cli") / "other"
    synthetic_dataset(seed=1, num_users=80, num_items=24, events_per_user=20, folder=folder)
    return folder


@pytest.fixture(scope="session")
def other_model(other_world: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of other data."""
    folder = tmp_path_factory.mktemp("cli") / "other_model"
    run("train", "--data", other_world, "--output", folder, *settings(max_epochs=1)).succeeded()
    return folder


@pytest.fixture(scope="session")
def reports(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reports of the model and the baselines, written by `bert4rec evaluate --output`."""
    folder = tmp_path_factory.mktemp("cli") / "reports"
    run("evaluate", "--model", model, "--baselines", "--output", folder, "--json")
    return folder


Copy = Callable[[Path], Path]


@pytest.fixture
def copy(tmp_path: Path) -> Copy:
    """Copy of a folder without its checkpoints, for tests that damage it."""

    def made(folder: Path) -> Path:
        return Path(
            shutil.copytree(
                folder, tmp_path / folder.name, ignore=shutil.ignore_patterns("training")
            )
        )

    return made


@pytest.fixture
def release(tmp_path: Path) -> Path:
    """Archive `ml-1m.zip` in its own folder."""
    return zipped(tmp_path / "data" / "ml-1m.zip")
