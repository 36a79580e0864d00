"""The documented pair of files: `best_model.pt` and `metadata.json`.

They hold what a model folder holds. The model file is of plain tensors and values, and is loaded
with `weights_only=True`.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bert4rec.artefact.checked_files import (
    parse_json,
    read_bytes,
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
from bert4rec.artefact.weights import stored_weights
from bert4rec.data.dataset_in_model_folder import dataset_metadata, dataset_tensors
from bert4rec.errors import ArtefactError
from bert4rec.files import write_atomically

_PARTS = ("config", "weights", "data", "metadata_sha256", "digest")


def save_pair(model: Artefact, model_path: Path, metadata_path: Path) -> None:
    """Write a model as a pair of files, which a checksum ties together.

    Raises ArtefactError where they cannot be written.
    """
    metadata = to_json(dataset_metadata(model.dataset))
    config = {**describe(model.network, model.config, model.dataset), "split": dict(model.split)}
    parts = {
        # Through JSON: a dataclass's own types would not load without running code.
        "config": json.loads(to_json(config)),
        "weights": stored_weights(model.network),
        "data": dataset_tensors(model.dataset),
        "metadata_sha256": sha256(metadata),
    }
    buffer = io.BytesIO()
    torch.save({**parts, "digest": _digest(parts)}, buffer)
    for path, content in ((metadata_path, metadata), (model_path, buffer.getvalue())):
        with write_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)


def load_pair(model_path: str | Path, metadata_path: str | Path) -> Artefact:
    """Model of a pair of files; its `metrics` are empty.

    Raises ArtefactError as `load` does, and with both paths where they are not of one run.
    """
    model_path, metadata_path = Path(model_path), Path(metadata_path)
    for path in (model_path, metadata_path):
        if not path.is_file():
            raise ArtefactError(f"{path}: no such file; 'python trainer.py' makes one")
    parts = _read_parts(model_path)
    check_version(model_path, parts["config"])
    if parts["digest"] != _digest(parts):
        raise ArtefactError(
            f"{model_path}: was changed or damaged (not what its digest names); copy it again"
        )
    with assembly_errors(model_path):
        check_description(parts["config"])
    metadata = read_bytes(metadata_path)
    if parts["metadata_sha256"] != sha256(metadata):
        raise ArtefactError(
            f"{model_path} and {metadata_path} do not belong together; name the pair of one run"
        )
    dataset = stored_dataset(model_path, parse_json(metadata_path, metadata), parts["data"])
    return assemble(model_path, parts["config"], parts["weights"], dataset, metrics={})


def _digest(parts: Mapping[str, Any]) -> str:
    """Checksum over everything that is loaded."""
    digest = hashlib.sha256(to_json(parts["config"]) + str(parts["metadata_sha256"]).encode())
    for group in ("weights", "data"):
        for name, tensor in sorted(parts[group].items()):
            digest.update(f"{group} {name} {tensor.dtype} {tuple(tensor.shape)}".encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def _read_parts(model_path: Path) -> dict[str, Any]:
    refuse_special_file(model_path)
    try:
        content = torch.load(model_path, map_location="cpu", weights_only=True)
        parts = {name: content[name] for name in _PARTS}
        _digest(parts)  # raises for parts that are no mappings of tensors
        return {**parts, "config": dict(parts["config"])}
    except Exception as problem:  # torch raises many kinds for a file that is not its own
        raise ArtefactError(f"{model_path}: truncated, or not a model of this program") from problem
