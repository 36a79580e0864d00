"""The model folder: everything needed to answer, in files that run no code when they are read.

    config.json          settings, sizes, fingerprints of data, split and files; written last: it means complete
    model.safetensors    weights
    metadata.json        raw ids, titles, what feature values mean
    data.safetensors     histories and feature tables by row number
    metrics.json, training.json, README.md    what the run reached and cost, and the model card

The same content fits into the documented pair: `best_model.pt` (plain tensors, loaded with `weights_only=True`) and
`metadata.json`. A pair or a folder whose files do not belong together is refused.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from bert4rec.config import RunConfig
from bert4rec.data.prepared import Feature, Names, PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import ArtefactError, ConfigError
from bert4rec.evaluation.card import model_card
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.model.spec import DataSpec

FORMAT_VERSION = 1
CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
METADATA_FILE = "metadata.json"
DATA_FILE = "data.safetensors"


@dataclass(frozen=True)
class Artefact:
    """A trained model and what it knows."""

    source: Path
    """Where it was loaded from."""
    run: RunConfig
    network: Bert4Rec
    dataset: PreparedDataset
    """Histories, features and names, in memory."""
    split: Mapping[str, str]
    """Name and checksum of the split it was trained on."""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """The reports of its run, by row."""

    def scorer(self) -> NetworkScorer:
        """The model, ready to be asked."""
        return NetworkScorer(self.network, self.run, name=self.source.name)


def save(
    folder: Path,
    network: Bert4Rec,
    run: RunConfig,
    dataset: PreparedDataset,
    split: Split,
    *,
    metrics: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
) -> None:
    """Writes a model folder, or replaces one; until the last file is there it is no model folder."""
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG_FILE).unlink(missing_ok=True)
        _write(folder / WEIGHTS_FILE, safetensors.torch.save(_weights(network)))
        _write(folder / DATA_FILE, safetensors.torch.save(_data(dataset)))
        _write(folder / METADATA_FILE, _json(_metadata(dataset)))
        _write(folder / "metrics.json", _json(metrics or {}))
        _write(folder / "training.json", _json(training or {}))
        card = model_card(folder.name, run, dataset.manifest, metrics or {}, training or {})
        _write(folder / "README.md", card.encode())
        hashes = {name: _sha256((folder / name).read_bytes()) for name in (WEIGHTS_FILE, DATA_FILE, METADATA_FILE)}
        _write(folder / CONFIG_FILE, _json({**_config(network, run, dataset, split), "files": hashes}))


def load(folder: str | Path) -> Artefact:
    """The model of a folder."""
    folder = Path(folder)
    if not (folder / CONFIG_FILE).is_file():
        reason = "is not a complete model folder" if folder.is_dir() else "does not exist"
        raise ArtefactError(f"{folder}: {reason}; 'bert4rec train --output {folder}' makes one")
    config = _read_json(folder / CONFIG_FILE)
    _check_version(folder / CONFIG_FILE, config)
    content = {name: _read(folder / name) for name in (WEIGHTS_FILE, DATA_FILE, METADATA_FILE)}
    for name, read in content.items():
        if _sha256(read) != config.get("files", {}).get(name):
            raise ArtefactError(
                f"{folder / name}: truncated or of another model, it is not the file that {CONFIG_FILE} names"
            )
    try:
        weights, data = (safetensors.torch.load(content[name]) for name in (WEIGHTS_FILE, DATA_FILE))
    except SafetensorError as problem:
        raise ArtefactError(f"{folder}: {problem}") from problem
    metrics = _read_json(folder / "metrics.json") if (folder / "metrics.json").is_file() else {}
    return _assemble(folder, config, weights, data, json.loads(content[METADATA_FILE]), metrics)


def save_files(source: Artefact, model_path: Path, metadata_path: Path) -> None:
    """The documented pair of files with the same content as a model folder."""
    with _writing(model_path):
        metadata = _json(_metadata(source.dataset))
        for path in (model_path, metadata_path):
            path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "config": {**_described(source.network, source.run, source.dataset), "split": dict(source.split)},
            "weights": _weights(source.network),
            "data": _data(source.dataset),
            "metadata_sha256": _sha256(metadata),
        }
        unfinished = model_path.with_name(f".{model_path.name}.unfinished")
        torch.save(content, unfinished)
        _write(metadata_path, metadata)
        unfinished.replace(model_path)


def load_files(model_path: str | Path, metadata_path: str | Path) -> Artefact:
    """The model of a pair of files."""
    model_path, metadata_path = Path(model_path), Path(metadata_path)
    metadata = _read(metadata_path)
    if not model_path.is_file():
        raise ArtefactError(f"{model_path}: no such file; 'python trainer.py' makes one")
    try:
        content = torch.load(model_path, map_location="cpu", weights_only=True)
        config, weights, data, of = (content[key] for key in ("config", "weights", "data", "metadata_sha256"))
    except Exception as problem:  # torch raises many kinds for a file that is cut off or not its own
        raise ArtefactError(f"{model_path}: truncated, or not a model of this program") from problem
    _check_version(model_path, config)
    if of != _sha256(metadata):
        raise ArtefactError(f"{model_path} and {metadata_path} do not belong together; name the pair of one run")
    return _assemble(model_path, config, weights, data, json.loads(metadata), {})


def _assemble(
    source: Path,
    config: Mapping[str, Any],
    weights: dict[str, Tensor],
    data: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    metrics: Mapping[str, Any],
) -> Artefact:
    try:
        run = RunConfig.from_dict(config["settings"])
        network = Bert4Rec(run.model, DataSpec.from_dict(config["spec"]), run.training.task_weights)
        network.load_state_dict(weights)
        dataset = _dataset(metadata, data)
    except (KeyError, TypeError, RuntimeError, ValueError, ConfigError) as problem:
        raise ArtefactError(
            f"{source}: {' '.join(str(problem).split())}; the model cannot be put together"
        ) from problem
    return Artefact(source, run, network.eval(), dataset, config["split"], metrics)


def _config(network: Bert4Rec, run: RunConfig, dataset: PreparedDataset, split: Split) -> dict[str, Any]:
    return {**_described(network, run, dataset), "split": {"name": split.name, "checksum": split.checksum}}


def _described(network: Bert4Rec, run: RunConfig, dataset: PreparedDataset) -> dict[str, Any]:
    return {
        "format_version": FORMAT_VERSION,
        "settings": run.to_dict(),
        "spec": network.spec.to_dict(),
        "dataset": {"name": dataset.name, "checksum": dataset.checksum},
    }


def _weights(network: Bert4Rec) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous().clone() for name, tensor in network.state_dict().items()}


def _data(dataset: PreparedDataset) -> dict[str, Tensor]:
    arrays = {
        "user_start": dataset.start_U1,
        "event_item": dataset.item_N,
        "event_time": dataset.time_N,
        "event_rating": dataset.rating_N,
    }
    for owner, features in (("item", dataset.item_features), ("user", dataset.user_features)):
        arrays |= {f"{owner}_feature_{number}": table for number, (_, table) in enumerate(features.values())}
    return {name: torch.tensor(np.asarray(array)) for name, array in arrays.items()}


def _metadata(dataset: PreparedDataset) -> dict[str, Any]:
    manifest = {key: dataset.manifest[key] for key in ("name", "checksum", "num_items", "has_times")}
    return {
        **manifest,
        "items": list(dataset.items.ids),
        "users": list(dataset.users.ids),
        "titles": None if dataset.titles is None else list(dataset.titles),
        "rating_levels": dataset.rating_levels.tolist(),
        "item_features": [asdict(feature) for feature, _ in dataset.item_features.values()],
        "user_features": [asdict(feature) for feature, _ in dataset.user_features.values()],
    }


def _dataset(metadata: Mapping[str, Any], data: Mapping[str, Tensor]) -> PreparedDataset:
    arrays = {name: tensor.numpy() for name, tensor in data.items()}
    features = {
        owner: {
            entry["name"]: (Feature.from_dict(entry), arrays[f"{owner}_feature_{number}"])
            for number, entry in enumerate(metadata[f"{owner}_features"])
        }
        for owner in ("item", "user")
    }
    return PreparedDataset(
        folder=None,
        manifest=metadata,
        start_U1=arrays["user_start"],
        item_N=arrays["event_item"],
        time_N=arrays["event_time"],
        rating_N=arrays["event_rating"],
        rating_levels=np.asarray(metadata["rating_levels"], dtype=np.float64),
        item_features=features["item"],
        user_features=features["user"],
        given_names=Names.of(metadata["items"], metadata["users"], metadata["titles"]),
    )


def _check_version(path: Path, config: Mapping[str, Any]) -> None:
    version = config.get("format_version")
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise ArtefactError(
            f"{path}: format version {version} is newer than this program reads ({FORMAT_VERSION}); update bert4rec"
        )


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Turns a failure to write into one line about the place that could not be written."""
    try:
        yield
    except (OSError, RuntimeError) as problem:  # torch.save says RuntimeError when the disk is full
        reason = getattr(problem, "strerror", None) or str(problem).splitlines()[0]
        for unfinished in (path if path.is_dir() else path.parent).glob(".*.unfinished"):
            unfinished.unlink(missing_ok=True)
        raise ArtefactError(f"{path}: cannot be written ({reason}); the model was not saved") from problem


def _write(path: Path, content: bytes) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    with unfinished.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    unfinished.replace(path)


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ArtefactError(f"{path}: cannot be read ({problem.strerror})") from problem


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_read(path)))
    except ValueError as problem:
        raise ArtefactError(f"{path}: is damaged (not JSON)") from problem


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
