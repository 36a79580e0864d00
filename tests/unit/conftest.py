"""Fixtures: a small trained model of the synthetic world, its engine, and a run of seconds."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.log import Log
from bert4rec.training.train import train
from small_runs import RUN as SHORT_RUN
from small_runs import Train, run_of

SEQ_LENGTH = 12  # shorter than half of the histories (20 and 10 events)

RUN = RunConfig(
    ModelConfig(
        hidden_size=32,
        num_heads=2,
        num_layers=1,
        seq_length=SEQ_LENGTH,
        dropout=0.1,
        feature_embedding_size=8,
        user_embedding_size=8,
    ),
    TrainingConfig(
        batch_size=16,
        learning_rate=3e-3,
        max_epochs=80,
        patience=80,
        warmup_steps=10,
        windows="random",
        seed=1,
        accelerator="cpu",
    ),
)


@pytest.fixture(scope="session")
def model_folder(world_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder; tests that change it take `own_folder`."""
    folder = tmp_path_factory.mktemp("models") / "small"
    return train(PreparedDataset.open(world_folder), RUN, folder, log=lambda line: None)


@pytest.fixture
def own_folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(
        shutil.copytree(model_folder, tmp_path / "own", ignore=shutil.ignore_patterns("training"))
    )


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Artefact:
    return artefact.load(model_folder)


@pytest.fixture(scope="session")
def engine(model: Artefact) -> RecommendationEngine:
    return RecommendationEngine(model)


@pytest.fixture
def trained(world: PreparedDataset, tmp_path: Path) -> Train:
    """Function that trains and returns the model folder: `trained(max_epochs=1, resume=True)`."""

    def start(
        folder: str = "run",
        resume: bool = False,
        overwrite: bool = False,
        log: Log = lambda line: None,
        **changes: Any,
    ) -> Path:
        return train(
            world,
            run_of(**changes),
            tmp_path / folder,
            resume=resume,
            overwrite=overwrite,
            log=log,
        )

    return start


@pytest.fixture(scope="session")
def complete(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of an uninterrupted run; tests only read it."""
    return train(
        world, SHORT_RUN, tmp_path_factory.mktemp("complete") / "run", log=lambda line: None
    )
