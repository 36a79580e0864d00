"""Bytes, JSON and checksums of a stored model's files. Failures become errors of one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bert4rec.errors import ArtefactError

_REPAIR = "copy the whole folder again or train it again"


def to_json(content: Mapping[str, Any]) -> bytes:
    """Indented JSON of plain values."""
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def sha256(content: bytes) -> str:
    """SHA-256 checksum in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def read_bytes(path: Path) -> bytes:
    """Content of a file. Raises ArtefactError where it cannot be read."""
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ArtefactError(f"{path}: cannot be read ({problem.strerror}); {_REPAIR}") from problem


def read_json(path: Path) -> dict[str, Any]:
    """JSON object of a file. Raises ArtefactError where it holds none."""
    try:
        content = json.loads(read_bytes(path))
    except ValueError as problem:
        raise ArtefactError(f"{path}: is damaged (not JSON); {_REPAIR}") from problem
    if not isinstance(content, dict):
        raise ArtefactError(f"{path}: is damaged (not a JSON object); {_REPAIR}")
    return content


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turn a failure to write into an ArtefactError that names the path."""
    try:
        yield
    except OSError as problem:
        raise ArtefactError(
            f"{path}: cannot be written ({problem.strerror or problem}); the model was not saved"
        ) from problem
