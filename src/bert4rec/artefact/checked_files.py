"""Bytes, JSON and checksums of a stored model's files. Failures become errors of one line."""

from __future__ import annotations

import hashlib
import json
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bert4rec.errors import ArtefactError

DIGEST = "digest"
"""Entry of `config.json` with the checksum of all its other entries."""
MOST_JSON_BYTES = 2**32
"""Largest JSON file that is read: some tens of millions of ids and titles."""
_REPAIR = "copy the whole folder again or train it again"


def to_json(content: Mapping[str, Any]) -> bytes:
    """Indented JSON of plain values."""
    return json.dumps(content, ensure_ascii=False, indent=1).encode()


def sha256(content: bytes) -> str:
    """SHA-256 checksum in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest_of(config: Mapping[str, Any]) -> str:
    """SHA-256 checksum of a configuration without its own `digest`, in any layout of the file."""
    content = {name: value for name, value in config.items() if name != DIGEST}
    return sha256(json.dumps(content, sort_keys=True, ensure_ascii=True).encode())


def refuse_special_file(path: Path) -> None:
    """Raise ArtefactError for a pipe, a device or a folder: reading it might never end."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return  # reading says what is wrong
    if not stat.S_ISREG(mode):
        raise ArtefactError(f"{path}: is no regular file (a pipe, a device or a folder)")


def read_bytes(path: Path) -> bytes:
    """Content of a regular file. Raises ArtefactError where it cannot be read."""
    refuse_special_file(path)
    try:
        return path.read_bytes()
    except OSError as problem:
        raise ArtefactError(f"{path}: cannot be read ({problem.strerror}); {_REPAIR}") from problem


def read_json(path: Path) -> dict[str, Any]:
    """JSON object of a file. Raises ArtefactError where it holds none."""
    return parse_json(path, read_bytes(path))


def parse_json(path: Path, text: bytes) -> dict[str, Any]:
    """JSON object of a file's content. Raises ArtefactError where it is none, or too large."""
    if len(text) > MOST_JSON_BYTES:
        raise ArtefactError(f"{path}: has {len(text):,} bytes, above {MOST_JSON_BYTES:,}")
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as problem:
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
