"""The prepared folder, read and written: `.npy` arrays, ids and titles as JSON, a manifest.

The manifest is written last: its presence means that the folder is complete. A new folder is
written beside the final one and renamed at the end. Meaning of the arrays is left to `dataset`.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.errors import DataError, PreparedDataError, UsageError
from bert4rec.ids import RawId

FORMAT_VERSION = 2
MANIFEST = "manifest.json"
VOCABULARY = "vocabulary.json"
TITLES = "titles.json"
EVENT_ARRAYS = ("user_start", "event_item", "event_time", "event_rating")

Manifest = dict[str, Any]
Arrays = dict[str, NDArray[Any]]


def read_manifest(folder: Path) -> Manifest:
    """Manifest of a complete folder, in whatever format version."""
    if not (folder / MANIFEST).is_file():
        reason = "is not complete" if folder.is_dir() else "does not exist"
        command = f"bert4rec prepare --dataset NAME --output {folder}"
        raise PreparedDataError(
            f"{folder}: the prepared folder {reason}; "
            f"make it with '{command}' (own tables: --schema FILE)"
        )
    manifest = _read_json(folder / MANIFEST)
    if not isinstance(manifest, dict):
        raise PreparedDataError(f"{folder / MANIFEST}: is damaged; prepare the data again")
    return manifest


def read_prepared_folder(folder: Path) -> tuple[Manifest, Arrays]:
    """Manifest and memory-mapped arrays of a folder of this format version."""
    manifest = read_manifest(folder)
    version = manifest.get("format_version")
    if version != FORMAT_VERSION:
        raise PreparedDataError(
            f"{folder}: format version {version} of the prepared folder is not the one "
            f"this version reads ({FORMAT_VERSION}); prepare the data again"
        )
    names = [*EVENT_ARRAYS, *_table_names("item", manifest), *_table_names("user", manifest)]
    return manifest, {name: _map_array(folder / f"{name}.npy") for name in names}


def _table_names(owner: str, manifest: Manifest) -> list[str]:
    features = manifest.get(f"{owner}_features")
    count = len(features) if isinstance(features, list) else 0
    return [f"{owner}_feature_{number}" for number in range(count)]


def read_vocabularies(
    folder: Path,
) -> tuple[Sequence[RawId], Sequence[RawId], Sequence[str] | None]:
    """Raw item ids, raw user ids and titles, each in row order."""
    ids = _read_json(folder / VOCABULARY)
    return ids["items"], ids["users"], _read_json(folder / TITLES).get("titles")


def verify_checksums(folder: Path, manifest: Manifest) -> None:
    """Check that every file is the one whose checksum the manifest holds."""
    checksums = manifest.get("files")
    if not isinstance(checksums, dict):
        raise PreparedDataError(
            f"{folder}: its {MANIFEST} names no checksums; prepare the data again"
        )
    for name, checksum in checksums.items():
        path = folder / name
        if not path.is_file() or _sha256(path) != checksum:
            raise PreparedDataError(
                f"{path}: not the file that {MANIFEST} names; prepare the data again"
            )


def write_prepared_folder(
    folder: Path,
    manifest: Mapping[str, Any],
    arrays: Mapping[str, NDArray[Any]],
    ids: Mapping[str, Sequence[RawId]],
    titles: Sequence[str] | None,
) -> None:
    """Write a complete folder in place of an older one.

    Raises:
        UsageError: The path holds something else than a prepared folder.
        DataError: The folder cannot be written; an older one is kept.
    """
    # `numpy.save` writes without pickling: such a folder can be opened without trust in its origin.
    with _replaced_folder(folder) as unfinished:
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        _write_json(unfinished / VOCABULARY, ids)
        _write_json(unfinished / TITLES, {"titles": titles})
        checksums = {path.name: _sha256(path) for path in sorted(unfinished.iterdir())}
        described = {"format_version": FORMAT_VERSION, **manifest, "files": checksums}
        _write_json(unfinished / MANIFEST, described)


def refuse_foreign_folder(folder: Path) -> None:
    """Raise UsageError for a folder that holds something else, which must not be replaced."""
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if folder.exists() and not is_empty and not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder}: exists and is no prepared folder; choose another --output")


@contextmanager
def _replaced_folder(folder: Path) -> Iterator[Path]:
    """Folder to write into that replaces `folder` at the end, or leaves no trace."""
    refuse_foreign_folder(folder)
    folder = folder.absolute()
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    try:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        yield unfinished
        if folder.exists():
            shutil.rmtree(folder)
        unfinished.rename(folder)
    except OSError as problem:  # numpy reports a full disk without an errno
        reason = problem.strerror or f"is the disk full? {problem}"
        raise DataError(f"{folder}: cannot be written ({reason}); nothing was kept") from problem
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _map_array(path: Path) -> NDArray[Any]:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise _unreadable(path, problem) from problem


def _unreadable(path: Path, problem: Exception) -> PreparedDataError:
    return PreparedDataError(f"{path}: cannot be read ({problem}); prepare the data again")


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
