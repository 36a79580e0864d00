"""One small trained model of the synthetic world, made once, and its engine."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import ModelConfig, RunConfig, TrainingConfig
from bert4rec.data.prepared import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.training.fit import train

SEQ_LENGTH = 12  # shorter than half of the histories (20 and 10 events)

RUN = RunConfig(
    ModelConfig(
        hidden_size=32, num_heads=2, num_layers=1, seq_length=SEQ_LENGTH, dropout=0.1, feature_size=8, user_size=8
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
    return train(PreparedDataset.open(world_folder), RUN, folder, report=lambda line: None)


@pytest.fixture
def own_folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "own", ignore=shutil.ignore_patterns("training")))


@pytest.fixture(scope="session")
def model(model_folder: Path) -> Artefact:
    return artefact.load(model_folder)


@pytest.fixture(scope="session")
def engine(model: Artefact) -> RecommendationEngine:
    return RecommendationEngine(model)
