"""Model folder: save it, load it, and read its configuration alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError

from bert4rec.artefact.checked_files import (
    DIGEST,
    digest_of,
    parse_json,
    read_bytes,
    read_json,
    refuse_special_file,
    sha256,
    to_json,
    write_errors,
)
from bert4rec.artefact.consistency import check_description
from bert4rec.artefact.stored_model import (
    Artefact,
    assemble,
    assembly_errors,
    check_version,
    describe,
    stored_dataset,
)
from bert4rec.artefact.weights import in_half_precision, stored_weights, without_feature_tables
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_in_model_folder import dataset_metadata, dataset_tensors
from bert4rec.data.splits import Split
from bert4rec.errors import ArtefactError
from bert4rec.files import write_atomically
from bert4rec.model.network import Bert4Rec

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
METADATA_FILE = "metadata.json"
DATA_FILE = "data.safetensors"
METRICS_FILE = "metrics.json"
TRAINING_FILE = "training.json"
CARD_FILE = "README.md"

_CHECKED = (WEIGHTS_FILE, DATA_FILE, METADATA_FILE, METRICS_FILE)
"""Files whose checksums stand in the configuration."""
_OF_DATA = (DATA_FILE, METADATA_FILE)
"""Files that a published folder does without."""
_CATALOGUE = ("items", "users", "rating_levels", "item_features", "user_features")
"""Metadata that give the rows of the weights their meaning."""


def save(
    folder: Path,
    network: Bert4Rec,
    run_config: RunConfig,
    dataset: PreparedDataset,
    split: Split,
    *,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    card: str = "",
    with_data: bool = True,
    half: bool = False,
) -> None:
    """Write a model folder, or replace one.

    With `with_data=False` only sizes and checksums of the data are written. `half` stores 16-bit
    weights; call `round_to_half_precision` to evaluate the same values. `config.json` is written
    last: a folder without it is no model folder.

    Raises ArtefactError, and leaves no half-written file, where the folder cannot be written.
    """
    weights = stored_weights(network)
    if not with_data:
        weights = without_feature_tables(weights)
    files = {
        WEIGHTS_FILE: safetensors.torch.save(in_half_precision(weights) if half else weights),
        METRICS_FILE: to_json(metrics or {}),
        TRAINING_FILE: to_json(training or {}),
        CARD_FILE: card.encode(),
    }
    if with_data:
        files[DATA_FILE] = safetensors.torch.save(dataset_tensors(dataset))
        files[METADATA_FILE] = to_json(dataset_metadata(dataset))
    config = {
        **describe(network, run_config, dataset),
        "split": {"name": split.name, "checksum": split.checksum},
        "catalogue": _catalogue_checksum(dataset),
        "files": {name: sha256(files[name]) for name in _CHECKED if name in files},
    }
    _write(folder, files, {**config, DIGEST: digest_of(config)})


def load(folder: str | Path, data: PreparedDataset | None = None) -> Artefact:
    """Model of a folder, with the data that it holds or with `data` in its place.

    `data` is the training data of a published model, or newer events of the same users and items.

        model = load("runs/ml-1m")
        scores = model.scorer().score(histories)

    Raises ArtefactError where the folder is absent, incomplete or of a newer version, where a file
    is truncated or of another model, where it was published and no data is given, or where the data
    has another catalogue.
    """
    folder = Path(folder)
    config = _read_config(folder)
    content = _read_checked_files(folder, config)
    try:
        tensors = {
            name: safetensors.torch.load(content[name])
            for name in (WEIGHTS_FILE, DATA_FILE)
            if name in content
        }
    except (SafetensorError, KeyError, ValueError, TypeError) as problem:
        raise ArtefactError(f"{folder}: {problem}") from problem
    if data is not None:
        _refuse_other_catalogue(folder, config, data)
    elif _is_published(config):
        raise ArtefactError(
            f"{folder}: was published without its data; name a prepared folder of "
            f"{config['dataset']['name']} with --data, or where that release lies with --data_dir"
        )
    else:
        metadata = parse_json(folder / METADATA_FILE, content[METADATA_FILE])
        data = stored_dataset(folder, metadata, tensors[DATA_FILE])
    metrics = parse_json(folder / METRICS_FILE, content[METRICS_FILE])
    return assemble(folder, config, tensors[WEIGHTS_FILE], data, metrics)


def load_for_dataset(folder: str | Path, dataset: PreparedDataset) -> Artefact:
    """Model of a folder with the data that it holds; that of a published one with the dataset.

    Raises ArtefactError as `load` does.
    """
    return load(folder, dataset if is_published(Path(folder)) else None)


def stored_run_config(folder: str | Path) -> RunConfig:
    """Settings of the run that trained the model of a folder."""
    config = _read_config(Path(folder))
    with assembly_errors(Path(folder)):
        return RunConfig.from_dict(config["settings"])


def training_data_of(folder: str | Path) -> dict[str, str]:
    """Name and checksum of the data that the model of a folder was trained on."""
    return dict(_read_config(Path(folder))["dataset"])


def verified_training_data(folder: str | Path) -> dict[str, str]:
    """Name and checksum of the training data, of a folder whose files belong together.

    Raises ArtefactError where a file is missing, truncated or of another model.
    """
    config = _read_config(Path(folder))
    _read_checked_files(Path(folder), config)
    return dict(config["dataset"])


def is_model_folder(folder: Path) -> bool:
    """True if this program wrote the folder's `config.json`, in any version."""
    try:
        return {"format_version", "bert4rec_version"} <= read_json(folder / CONFIG_FILE).keys()
    except ArtefactError:
        return False


def is_published(folder: Path) -> bool:
    """True for a model folder that was saved without its data."""
    return is_model_folder(folder) and _is_published(read_json(folder / CONFIG_FILE))


def _write(folder: Path, files: Mapping[str, bytes], config: Mapping[str, Any]) -> None:
    """Write the files, and the configuration after them."""
    with write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        # The configuration means "complete": it goes first and comes last.
        (folder / CONFIG_FILE).unlink(missing_ok=True)
        for name in _OF_DATA:
            if name not in files:  # a model with data may have been there before
                (folder / name).unlink(missing_ok=True)
        for name, content in files.items():
            write_atomically(folder / name, content)
        write_atomically(folder / CONFIG_FILE, to_json(config))


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG_FILE
    refuse_special_file(path)
    if not path.is_file():
        reason = "is not a complete model folder" if folder.exists() else "does not exist"
        raise ArtefactError(f"{folder}: {reason}; 'bert4rec train --output {folder}' makes one")
    config = read_json(path)
    check_version(path, config)
    if config.get(DIGEST) != digest_of(config):
        raise ArtefactError(
            f"{path}: was changed or damaged (not what its {DIGEST} names); "
            "copy the whole folder again or train it again"
        )
    with assembly_errors(folder):
        check_description(config)
    return config


def _read_checked_files(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Content of the files whose checksums the configuration names."""
    absent = _OF_DATA if _is_published(config) else ()
    content = {name: read_bytes(folder / name) for name in _CHECKED if name not in absent}
    checksums = _checksums(config)
    mixed = [name for name, read in content.items() if sha256(read) != checksums.get(name)]
    if mixed:
        raise ArtefactError(
            f"{folder}: {', '.join(mixed)} truncated or of another model, not what {CONFIG_FILE} "
            "names; copy the whole folder again or train it again"
        )
    return content


def _is_published(config: Mapping[str, Any]) -> bool:
    return DATA_FILE not in _checksums(config)


def _checksums(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Checksums of the files by name; none where the entry is damaged."""
    files = config.get("files")
    return files if isinstance(files, dict) else {}


def _refuse_other_catalogue(folder: Path, config: Mapping[str, Any], data: PreparedDataset) -> None:
    """Raise ArtefactError for data whose rows mean others than those of the weights."""
    with assembly_errors(folder):
        name, catalogue = config["dataset"]["name"], config["catalogue"]
    if _catalogue_checksum(data) != catalogue:
        raise ArtefactError(
            f"{folder}: was trained on {name}, but {data.name} (checksum {data.checksum}) has "
            f"other users, items or features; name a prepared folder of {name}"
        )


def _catalogue_checksum(dataset: PreparedDataset) -> str:
    """Checksum of everything that a row number of the weights may stand for."""
    metadata = dataset_metadata(dataset)
    return sha256(to_json({name: metadata[name] for name in _CATALOGUE}))[:16]
