"""`Artefact`: a trained model with its data, its description in JSON, and its assembly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from bert4rec.artefact.consistency import check_weights
from bert4rec.artefact.weights import feature_tables, stored_weights, without_feature_tables
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_in_model_folder import dataset_from
from bert4rec.errors import ArtefactError, ConfigError
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.model.table_sizes import TableSizes
from bert4rec.version import __version__

_MOST_SHOWN = 300
FORMAT_VERSION = 2
"""Version of the files of a stored model."""


@dataclass(frozen=True)
class Artefact:
    """A trained model and the data it answers from."""

    source: Path
    """Folder or file that it was loaded from."""
    config: RunConfig
    """Settings of the training run."""
    network: Bert4Rec
    dataset: PreparedDataset
    """Histories, features and names, in memory."""
    training_data: Mapping[str, str]
    """Name and checksums of the training data; `dataset` may be newer."""
    split: Mapping[str, str]
    """Name and checksum of the split that it was trained on."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Reports of the training run, by row."""

    def scorer(self) -> NetworkScorer:
        """Scorer of the network, named after the source."""
        return NetworkScorer(self.network, self.config, name=self.source.name)


def describe(network: Bert4Rec, config: RunConfig, dataset: PreparedDataset) -> dict[str, Any]:
    """Plain values from which, with weights and data, `assemble` makes the model again."""
    return {
        "format_version": FORMAT_VERSION,
        "bert4rec_version": __version__,
        "settings": config.to_dict(),
        "table_sizes": network.table_sizes.to_dict(),
        "dataset": {
            "name": dataset.name,
            "checksum": dataset.checksum,
            "features_checksum": dataset.features_checksum,
        },
    }


def check_version(path: Path, description: Mapping[str, Any]) -> None:
    """Raise ArtefactError for a description of another format, or of none."""
    version = description.get("format_version")
    if type(version) is not int:
        raise ArtefactError(
            f"{path}: names no format version; it is not of a model of this program"
        )
    if version > FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format version {version} is newer than this program reads "
            f"({FORMAT_VERSION}); update bert4rec"
        )
    if version < FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format version {version} is older than this program reads "
            f"({FORMAT_VERSION}); train the model again"
        )


def assemble(
    source: Path,
    description: Mapping[str, Any],
    weights: Mapping[str, Tensor],
    dataset: PreparedDataset,
    metrics: Mapping[str, Any],
) -> Artefact:
    """The model of a description, weights and data. Feature tables are those of the data.

    Raises ArtefactError where they do not fit together.
    """
    with assembly_errors(source):
        config = RunConfig.from_dict(description["settings"])
        table_sizes = TableSizes.from_dict(description["table_sizes"])
        check_weights(config, table_sizes, dataset, weights)
        network = Bert4Rec(config.model, table_sizes, config.training.task_weights)
        network.load_features(dataset)
        tables = feature_tables(stored_weights(network))
        network.load_state_dict({**tables, **without_feature_tables(weights)})
        training_data, split = dict(description["dataset"]), dict(description["split"])
    return Artefact(source, config, network.eval(), dataset, training_data, split, metrics)


def stored_dataset(
    source: Path, metadata: Mapping[str, Any], tensors: Mapping[str, Tensor]
) -> PreparedDataset:
    """The data of a stored model. Raises ArtefactError where metadata and tensors do not fit."""
    with assembly_errors(source):
        return dataset_from(metadata, tensors)


@contextmanager
def assembly_errors(source: Path) -> Iterator[None]:
    """Turn an error about parts that do not fit into an ArtefactError that names the source."""
    try:
        yield
    except (
        AttributeError,
        IndexError,
        KeyError,
        MemoryError,
        OverflowError,
        TypeError,
        RuntimeError,
        ValueError,
        ConfigError,
    ) as problem:
        reason = " ".join(str(problem).split())[:_MOST_SHOWN]
        raise ArtefactError(f"{source}: {reason}; the model cannot be put together") from problem
