"""The model folder: everything needed to answer, in files that run no code when they are read.

    config.json          settings, sizes, fingerprints of data, split and files; written last: it means complete
    model.safetensors    weights
    metadata.json        raw ids, titles, what feature values mean
    data.safetensors     histories and feature tables by row number
    metrics.json, training.json, README.md    what the run reached and cost, and the model card

A published folder holds neither `metadata.json` nor `data.safetensors` and no feature table: whoever has the data that
it was trained on names it when loading.

The same content fits into the documented pair: `best_model.pt` (plain tensors, loaded with `weights_only=True`) and
`metadata.json`. A pair or a folder whose files do not belong together is refused.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_in_model_folder import dataset_from, dataset_metadata, dataset_tensors
from bert4rec.data.splits import Split
from bert4rec.errors import ArtefactError, ConfigError, DataError, UsageError
from bert4rec.files import write_atomically
from bert4rec.model.ensemble import EnsembleScorer
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.model.table_sizes import TableSizes
from bert4rec.version import __version__

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
METADATA_FILE = "metadata.json"
DATA_FILE = "data.safetensors"
METRICS_FILE = "metrics.json"
TRAINING_FILE = "training.json"
_FINGERPRINTED = (WEIGHTS_FILE, DATA_FILE, METADATA_FILE, METRICS_FILE)
_OF_DATA = (DATA_FILE, METADATA_FILE)
_TABLE = "table_O"
"""The last part of the names of those tensors that are features of items and users, not learned weights."""


@dataclass(frozen=True)
class Artefact:
    """A trained model and what it knows."""

    source: Path
    """Where it was loaded from."""
    run: RunConfig
    network: Bert4Rec
    dataset: PreparedDataset
    """Histories, features and names, in memory."""
    training_data: Mapping[str, str]
    """Name and checksum of the data it was trained on; those of `dataset` unless it was published without."""
    split: Mapping[str, str]
    """Name and checksum of the split it was trained on."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The reports of its run, by row."""

    def scorer(self) -> NetworkScorer:
        """The model, ready to be asked."""
        return NetworkScorer(self.network, self.run, name=self.source.name)


def scorer_of(models: Sequence[Artefact]) -> NetworkScorer | EnsembleScorer:
    """The scorer of one model, or that of several as an ensemble.

    Raises UsageError where none or one twice is named, DataError with both folders where two models are not of the
    same data, split and catalogue.
    """
    if not models:
        raise UsageError("no model is named; name a model folder, or several")
    refuse_duplicates(models)
    first, *others = models
    for model in others:
        for obstacle in _differences(first, model):
            raise DataError(f"{first.source} and {model.source}: {obstacle}")
    return EnsembleScorer([model.scorer() for model in models]) if others else first.scorer()


def refuse_duplicates(models: Sequence[Artefact]) -> None:
    """Raises UsageError where a folder is named twice: its model would count twice in a mean, which nobody means."""
    places = [model.source.resolve() for model in models]
    for number, model in enumerate(models):
        if places[number] in places[:number]:
            raise UsageError(f"{model.source}: named twice; a mean is that of different models")


def _differences(first: Artefact, other: Artefact) -> Iterator[str]:
    """Why two models cannot answer together."""
    if first.training_data["checksum"] != other.training_data["checksum"]:
        yield (
            f"trained on different data ({first.training_data['name']}, checksum {first.training_data['checksum']}, and "
            f"{other.training_data['name']}, {other.training_data['checksum']}); take models of the same prepared folder"
        )
    if first.split["checksum"] != other.split["checksum"]:
        yield (
            f"trained on different splits ({first.split['name']}, checksum {first.split['checksum']}, and "
            f"{other.split['name']}, {other.split['checksum']}); take models of the same split"
        )
    if list(first.dataset.items.ids) != list(other.dataset.items.ids):
        yield "trained on different catalogues; take models of the same prepared folder"


def incompatibilities(model: Artefact, dataset: PreparedDataset, split: Split) -> Iterator[str]:
    """Why a run on this data and split cannot learn from the model: it means other rows, or may know the answers."""
    if model.training_data["checksum"] != dataset.checksum:
        yield (
            f"was trained on {model.training_data['name']} (data checksum {model.training_data['checksum']}), this run is on "
            f"{dataset.name} ({dataset.checksum}); take a model of the same prepared folder"
        )
    if model.split["checksum"] != split.checksum:
        yield (
            f"was trained on split {model.split['name']} (checksum {model.split['checksum']}), this run is on "
            f"{split.name} ({split.checksum}), whose answers it may have seen; take a model of the same split"
        )


def save(
    folder: Path,
    network: Bert4Rec,
    run: RunConfig,
    dataset: PreparedDataset,
    split: Split,
    *,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    card: str = "",
    with_data: bool = True,
    half: bool = False,
) -> None:
    """Writes a model folder, or replaces one; until the last file is there it is no model folder.

    Without the data nothing of it is written but counts and fingerprints: no histories, features, ids or titles. In
    `half` the weights are numbers of 16 bits; `round_to_half_precision` makes those of the network the same.

    Raises ArtefactError, and leaves no half-written file, where it cannot be written.
    """
    weights = _weights(network) if with_data else _learned(_weights(network))
    files = {
        WEIGHTS_FILE: safetensors.torch.save(_in_half(weights) if half else weights),
        METRICS_FILE: _json(metrics or {}),
        TRAINING_FILE: _json(training or {}),
        "README.md": card.encode(),
    }
    if with_data:
        files |= {
            DATA_FILE: safetensors.torch.save(dataset_tensors(dataset)),
            METADATA_FILE: _json(dataset_metadata(dataset)),
        }
    config = {
        **_described(network, run, dataset),
        "split": {"name": split.name, "checksum": split.checksum},
        "catalogue": _catalogue(dataset),
        "files": {name: _sha256(files[name]) for name in _FINGERPRINTED if name in files},
    }
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)
        for name in set(_OF_DATA) - files.keys():  # of a model that was there before
            (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
        write_atomically(folder / CONFIG_FILE, _json(config))


def round_to_half_precision(network: Bert4Rec) -> None:
    """Leaves nothing in the weights that would be lost in 16 bits; feature tables, which are data, stay."""
    network.load_state_dict(_in_half(_learned(_weights(network))), strict=False)


def load(folder: str | Path, data: PreparedDataset | None = None) -> Artefact:
    """The model of a folder, with the data that it holds, or with `data`: what a published one was trained on, or newer
    events of the same users and items.

    Raises ArtefactError where the folder is absent or incomplete, was written by a newer version, holds a file that
    is truncated or of another model, was published and no data is named, or where the data has another catalogue.
    """
    folder = Path(folder)
    config = _read_config(folder)
    published, content = _is_published(config), _whole(folder, config)
    try:
        tensors = {
            name: safetensors.torch.load(content[name])
            for name in (WEIGHTS_FILE, DATA_FILE)
            if name in content
        }
    except SafetensorError as problem:
        raise ArtefactError(f"{folder}: {problem}") from problem
    stored = (
        None
        if published
        else _dataset_of(folder, json.loads(content[METADATA_FILE]), tensors[DATA_FILE])
    )
    dataset = _chosen(folder, config, stored, data)
    return _assemble(
        folder, config, tensors[WEIGHTS_FILE], dataset, json.loads(content[METRICS_FILE])
    )


def verified_training_data(folder: str | Path) -> dict[str, str]:
    """As `training_data_of`, of a folder whose files are all there and belong together, published or not.

    Raises ArtefactError for any other.
    """
    config = _read_config(Path(folder))
    _whole(Path(folder), config)
    return dict(config["dataset"])


def _whole(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """The content of the files that the configuration names."""
    published = _is_published(config)
    content = {
        name: _read(folder / name)
        for name in _FINGERPRINTED
        if not (published and name in _OF_DATA)
    }
    mixed = [name for name, read in content.items() if _sha256(read) != _named_sha256(config, name)]
    if mixed:
        raise ArtefactError(
            f"{folder}: {', '.join(mixed)} truncated or of another model, not what {CONFIG_FILE} names; "
            "copy the whole folder again or train it again"
        )
    return content


def load_for_dataset(folder: str | Path, dataset: PreparedDataset) -> Artefact:
    """The model of a folder with the data it holds, that of a published one with the dataset.

    Raises ArtefactError as `load` does.
    """
    return load(folder, dataset if is_published(Path(folder)) else None)


def stored_run_config(folder: str | Path) -> RunConfig:
    """The settings of the run that made a model folder."""
    return RunConfig.from_dict(_read_config(Path(folder))["settings"])


def training_data_of(folder: str | Path) -> dict[str, str]:
    """Name and checksum of the data that the model of a folder was trained on."""
    return dict(_read_config(Path(folder))["dataset"])


def _read_config(folder: Path) -> dict[str, Any]:
    if not (folder / CONFIG_FILE).is_file():
        reason = "is not a complete model folder" if folder.exists() else "does not exist"
        raise ArtefactError(f"{folder}: {reason}; 'bert4rec train --output {folder}' makes one")
    config = _read_json(folder / CONFIG_FILE)
    _check_version(folder / CONFIG_FILE, config)
    return config


def _is_published(config: Mapping[str, Any]) -> bool:
    """Whether the folder does without the files of the data."""
    return "catalogue" in config and _named_sha256(config, DATA_FILE) is None


def _chosen(
    folder: Path,
    config: Mapping[str, Any],
    stored: PreparedDataset | None,
    given: PreparedDataset | None,
) -> PreparedDataset:
    """The data that was given, if its rows mean what those of the weights mean; else what is stored."""
    name = config["dataset"]["name"]
    if given is None:
        if stored is None:
            raise ArtefactError(
                f"{folder}: was published without its data; name a prepared folder of {name} with --data, "
                "or where that release lies with --data_dir"
            )
        return stored
    if _catalogue(given) != (config["catalogue"] if stored is None else _catalogue(stored)):
        raise ArtefactError(
            f"{folder}: was trained on {name}, but {given.name} (checksum {given.checksum}) has other users, items or "
            f"features; name a prepared folder of {name}"
        )
    return given


def is_model_folder(folder: Path) -> bool:
    """Whether this program wrote the folder's `config.json`, in whatever version; its other files are not looked at."""
    try:
        return {"format_version", "bert4rec_version"} <= _read_json(folder / CONFIG_FILE).keys()
    except ArtefactError:
        return False


def is_published(folder: Path) -> bool:
    """Whether a model folder without its data is there."""
    return is_model_folder(folder) and _is_published(_read_json(folder / CONFIG_FILE))


def save_pair(source: Artefact, model_path: Path, metadata_path: Path) -> None:
    """The documented pair of files with the same content as a model folder; it belongs together by a fingerprint.

    Raises ArtefactError where they cannot be written.
    """
    metadata = _json(dataset_metadata(source.dataset))
    config = _json(
        {**_described(source.network, source.run, source.dataset), "split": dict(source.split)}
    )
    model = io.BytesIO()
    torch.save(
        {
            "config": json.loads(
                config
            ),  # plain values: a dataclass's own types would not load without running code
            "weights": _weights(source.network),
            "data": dataset_tensors(source.dataset),
            "metadata_sha256": _sha256(metadata),
        },
        model,
    )
    for path, content in ((metadata_path, metadata), (model_path, model.getvalue())):
        with _writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)


def load_pair(model_path: str | Path, metadata_path: str | Path) -> Artefact:
    """The model of a pair of files; `metrics` stay empty.

    Raises ArtefactError as `load` does, and with both paths where they are not of one run.
    """
    model_path, metadata_path = Path(model_path), Path(metadata_path)
    for path in (model_path, metadata_path):
        if not path.is_file():
            raise ArtefactError(f"{path}: no such file; 'python trainer.py' makes one")
    try:
        content = torch.load(model_path, map_location="cpu", weights_only=True)
        config, weights, data, of = (
            content[key] for key in ("config", "weights", "data", "metadata_sha256")
        )
        config = dict(config)
    except (
        Exception
    ) as problem:  # torch raises many kinds for a file that is cut off or not its own
        raise ArtefactError(f"{model_path}: truncated, or not a model of this program") from problem
    _check_version(model_path, config)
    metadata = _read(metadata_path)
    if of != _sha256(metadata):
        raise ArtefactError(
            f"{model_path} and {metadata_path} do not belong together; name the pair of one run"
        )
    return _assemble(
        model_path, config, weights, _dataset_of(model_path, json.loads(metadata), data), {}
    )


def _assemble(
    source: Path,
    config: Mapping[str, Any],
    weights: dict[str, Tensor],
    dataset: PreparedDataset,
    metrics: Mapping[str, Any],
) -> Artefact:
    with _putting_together(source):
        run = RunConfig.from_dict(config["settings"])
        network = Bert4Rec(
            run.model, TableSizes.from_dict(config["table_sizes"]), run.training.task_weights
        )
        network.load_features(dataset)
        network.load_state_dict({**_not_trained(network), **_learned(weights)})
        trained_on, split = dict(config["dataset"]), dict(config["split"])
    return Artefact(source, run, network.eval(), dataset, trained_on, split, metrics)


def _dataset_of(
    source: Path, metadata: Mapping[str, Any], data: Mapping[str, Tensor]
) -> PreparedDataset:
    with _putting_together(source):
        return dataset_from(metadata, data)


@contextmanager
def _putting_together(source: Path) -> Iterator[None]:
    """Turns parts that do not fit into one line about where they are from."""
    try:
        yield
    except (AttributeError, KeyError, TypeError, RuntimeError, ValueError, ConfigError) as problem:
        raise ArtefactError(
            f"{source}: {' '.join(str(problem).split())}; the model cannot be put together"
        ) from problem


def _described(network: Bert4Rec, run: RunConfig, dataset: PreparedDataset) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "bert4rec_version": __version__,
        "settings": run.to_dict(),
        "table_sizes": network.table_sizes.to_dict(),
        "dataset": {"name": dataset.name, "checksum": dataset.checksum},
    }


def _weights(network: Bert4Rec) -> dict[str, Tensor]:
    return {
        name: tensor.detach().cpu().contiguous().clone()
        for name, tensor in network.state_dict().items()
    }


def _not_trained(network: Bert4Rec) -> dict[str, Tensor]:
    """Feature tables, and what a folder of an earlier version does not hold."""
    trained = dict(network.named_parameters())
    return {name: tensor for name, tensor in _weights(network).items() if name not in trained}


def _learned(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in weights.items() if not name.endswith(_TABLE)}


def _in_half(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in weights.items()
    }


def _catalogue(dataset: PreparedDataset) -> str:
    """A fingerprint of everything that a row number of the weights may stand for."""
    named = ("items", "users", "rating_levels", "item_features", "user_features")
    metadata = dataset_metadata(dataset)
    return _sha256(_json({name: metadata[name] for name in named}))[:16]


def _check_version(path: Path, config: Mapping[str, Any]) -> None:
    version = config.get("format_version")
    if not isinstance(version, int):
        raise ArtefactError(
            f"{path}: names no format version; it is not of a model of this program"
        )
    if version > FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format version {version} is newer than this program reads ({FORMAT_VERSION}); update bert4rec"
        )


def _named_sha256(config: Mapping[str, Any], name: str) -> str | None:
    files = config.get("files")
    return files.get(name) if isinstance(files, dict) else None


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into one line about the place that could not be written."""
    try:
        yield
    except OSError as problem:
        raise ArtefactError(
            f"{path}: cannot be written ({problem.strerror or problem}); the model was not saved"
        ) from problem


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ArtefactError(
            f"{path}: cannot be read ({problem.strerror}); copy the whole folder again or train it again"
        ) from problem


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(_read(path))
    except ValueError as problem:
        raise ArtefactError(
            f"{path}: is damaged (not JSON); copy the whole folder again or train it again"
        ) from problem
    if not isinstance(content, dict):
        raise ArtefactError(
            f"{path}: is damaged (not a JSON object); copy the whole folder again or train it again"
        )
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
