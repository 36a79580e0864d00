"""Compatibility of stored models with one another, and with the data and split of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bert4rec.artefact.stored_model import Artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import DataError, UsageError
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.scorer import NetworkScorer


def scorer_of(models: Sequence[Artefact]) -> NetworkScorer | EnsembleScorer:
    """Scorer of one model, or an ensemble of several.

    Raises UsageError for no model, or one that is named twice; DataError, with both folders, for
    models of different data, splits or catalogues.
    """
    if not models:
        raise UsageError("no model is named; name a model folder, or several")
    refuse_duplicates(models)
    first, *others = models
    for model in others:
        for problem in _differences(first, model):
            raise DataError(f"{first.source} and {model.source}: {problem}")
    return EnsembleScorer([model.scorer() for model in models]) if others else first.scorer()


def refuse_duplicates(models: Sequence[Artefact]) -> None:
    """Raise UsageError for a folder that is named twice: its model would count twice in a mean."""
    named = set()
    for model in models:
        folder = model.source.resolve()
        if folder in named:
            raise UsageError(f"{model.source}: named twice; a mean is that of different models")
        named.add(folder)


def incompatibilities(model: Artefact, dataset: PreparedDataset, split: Split) -> Iterator[str]:
    """Reasons why a run on this data and split must not learn from the model.

    The rows of its weights may have another meaning, or it may have trained on held-out events.
    """
    data, trained_split = model.training_data, model.split
    if data["checksum"] != dataset.checksum:
        yield (
            f"was trained on {data['name']} (data checksum {data['checksum']}), this run is on "
            f"{dataset.name} ({dataset.checksum}); take a model of the same prepared folder"
        )
    if trained_split["checksum"] != split.checksum:
        yield (
            f"was trained on split {trained_split['name']} (checksum {trained_split['checksum']}), "
            f"this run is on {split.name} ({split.checksum}), "
            "whose held-out events it may have seen; take a model of the same split"
        )


def _differences(first: Artefact, other: Artefact) -> Iterator[str]:
    """Reasons why two models cannot be averaged."""
    data, other_data = first.training_data, other.training_data
    if data["checksum"] != other_data["checksum"]:
        yield (
            f"trained on different data ({data['name']}, checksum {data['checksum']}, and "
            f"{other_data['name']}, {other_data['checksum']}); "
            "take models of the same prepared folder"
        )
    elif data["features_checksum"] != other_data["features_checksum"]:
        yield (
            f"trained on the same events with different features (checksum "
            f"{data['features_checksum']}, and {other_data['features_checksum']}); "
            "take models of the same prepared folder"
        )
    if first.split["checksum"] != other.split["checksum"]:
        yield (
            f"trained on different splits ({first.split['name']}, checksum "
            f"{first.split['checksum']}, and {other.split['name']}, {other.split['checksum']}); "
            "take models of the same split"
        )
    if list(first.dataset.items.ids) != list(other.dataset.items.ids):
        yield "trained on different catalogues; take models of the same prepared folder"
