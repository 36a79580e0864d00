"""Flags that name a model and its data.

Without postponed annotations: to resolve those, jsonargparse would run the imports for type
checkers, torch among them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from bert4rec.cli.output import notes
from bert4rec.config import PrepareConfig
from bert4rec.errors import DataError, UsageError

if TYPE_CHECKING:
    from bert4rec.artefact import Artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.data.splits import Split
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.log import Log


@dataclass(frozen=True)
class ModelFlags:
    """Model of a command, and its data."""

    model: Path | None = None
    """The model folder."""
    model_path: Path | None = None
    """The model file of trainer.py, with --metadata_path, in place of --model."""
    metadata_path: Path | None = None
    """The metadata file that belongs to --model_path."""
    data: Path | None = None
    """The prepared folder; default: the data stored with the model."""
    data_dir: Path | None = None
    """In place of --data: the folder of the MovieLens release that the model was trained on."""

    def engine(self) -> "RecommendationEngine":
        """Engine of the model. Raises UsageError unless the flags name exactly one."""
        from bert4rec.engine.engine import RecommendationEngine

        if self.model is None and self.model_path is None:
            raise UsageError(
                "name a model: --model FOLDER, or --model_path FILE --metadata_path FILE"
            )
        if self.model is not None:
            (model,) = open_models([self.model], self.data, self.data_dir)
            return RecommendationEngine(model)
        if self.data is not None or self.data_dir is not None:
            raise UsageError("--data and --data_dir go with --model; a --model_path holds its data")
        return RecommendationEngine.load(
            model_path=self.model_path, metadata_path=self.metadata_path
        )


def open_models(
    folders: Sequence[Path], data: Path | None, data_dir: Path | None, log: "Log | None" = None
) -> "list[Artefact]":
    """Models of folders on the data of --data or --data_dir; without a flag each on its own."""
    from bert4rec.artefact import load

    dataset = _named_dataset(folders[0], data, data_dir, log)
    return [load(folder, dataset) for folder in folders]


def data_of(model: "Artefact") -> "tuple[PreparedDataset, Split]":
    """Dataset and split that a model is evaluated on.

    Raises DataError where they are not those it was trained on.
    """
    from bert4rec.data.splits import make_split

    dataset, trained_on = model.dataset, model.training_data
    if dataset.checksum != trained_on["checksum"]:
        raise DataError(
            f"{dataset.folder or dataset.name}: has checksum {dataset.checksum}, "
            f"but {model.source} was trained on {trained_on['checksum']} ({trained_on['name']}); "
            "name the data it was trained on"
        )
    if dataset.features_checksum != trained_on["features_checksum"]:
        raise DataError(
            f"{dataset.folder or dataset.name}: has the events of {model.source} but other "
            f"features (checksum {dataset.features_checksum}, "
            f"not {trained_on['features_checksum']}); name the data it was trained on"
        )
    split = make_split(dataset, model.config.split)
    if split.checksum != model.split["checksum"]:
        raise DataError(
            f"{model.source}: was trained on another split "
            f"({model.split['checksum']}, not {split.checksum})"
        )
    return dataset, split


def _named_dataset(
    model: Path, data: Path | None, data_dir: Path | None, log: "Log | None"
) -> "PreparedDataset | None":
    """Dataset that a flag names; None without one."""
    from bert4rec.data.dataset import PreparedDataset

    if data is not None and data_dir is not None:
        raise UsageError("--data names a prepared folder, --data_dir raw files: name one of them")
    if data_dir is not None:
        return _prepare_training_data(model, data_dir, log)
    return None if data is None else PreparedDataset.open(data)


def _prepare_training_data(model: Path, data_dir: Path, log: "Log | None") -> "PreparedDataset":
    """Release that the model was trained on, prepared in memory from its raw files."""
    from bert4rec.artefact import training_data_of
    from bert4rec.ingest.movielens import RELEASES
    from bert4rec.ingest.prepare import prepare_dataset

    name = training_data_of(model)["name"]
    if name not in RELEASES:
        raise UsageError(
            f"{model}: was trained on {name}, which is no MovieLens release; "
            "prepare it and name it by --data"
        )
    with TemporaryDirectory(prefix="bert4rec-") as scratch:
        config = PrepareConfig(dataset=name, data_dir=data_dir, output=Path(scratch) / name)
        return prepare_dataset(config, log or notes(to_stderr=True)).in_memory()
