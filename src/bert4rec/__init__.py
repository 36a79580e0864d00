"""Sequential recommendation with side information, time, evaluation and explanations.

Public names are imported on first use: `import bert4rec` alone is instant.

>>> from bert4rec import RecommendationEngine
>>> engine = RecommendationEngine.load("runs/small")
>>> engine.get_recommendations(item_sequence=[104, 108], k=1).item_ids
[112]
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from bert4rec.version import __version__

if TYPE_CHECKING:
    from bert4rec.config import (
        ModelConfig,
        PrepareConfig,
        RunConfig,
        SplitConfig,
        TaskWeights,
        TrainingConfig,
    )
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import make_split
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.engine.request import Request
    from bert4rec.errors import Bert4RecError, DataError, UnknownItem, UnknownUser, UsageError
    from bert4rec.evaluation.baselines import fit_baselines
    from bert4rec.evaluation.comparison import compare
    from bert4rec.evaluation.evaluate import evaluate
    from bert4rec.evaluation.report import Report
    from bert4rec.ingest.prepare import prepare_dataset
    from bert4rec.retrieval.rules import Rules
    from bert4rec.training.train import train

_HOME = {
    "ModelConfig": "config",
    "PrepareConfig": "config",
    "RunConfig": "config",
    "SplitConfig": "config",
    "TaskWeights": "config",
    "TrainingConfig": "config",
    "prepare_dataset": "ingest.prepare",
    "PreparedDataset": "data.dataset",
    "make_split": "data.splits",
    "RecommendationEngine": "engine.engine",
    "Request": "engine.request",
    "Rules": "retrieval.rules",
    "Bert4RecError": "errors",
    "DataError": "errors",
    "UnknownItem": "errors",
    "UnknownUser": "errors",
    "UsageError": "errors",
    "fit_baselines": "evaluation.baselines",
    "evaluate": "evaluation.evaluate",
    "Report": "evaluation.report",
    "compare": "evaluation.comparison",
    "train": "training.train",
}

__all__ = [
    "Bert4RecError",
    "DataError",
    "ModelConfig",
    "PrepareConfig",
    "PreparedDataset",
    "RecommendationEngine",
    "Report",
    "Request",
    "Rules",
    "RunConfig",
    "SplitConfig",
    "TaskWeights",
    "TrainingConfig",
    "UnknownItem",
    "UnknownUser",
    "UsageError",
    "__version__",
    "compare",
    "evaluate",
    "fit_baselines",
    "make_split",
    "prepare_dataset",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'bert4rec' has no attribute {name!r}")
    return getattr(import_module(f"bert4rec.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
