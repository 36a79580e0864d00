"""The prepared folder, read and written: `.npy` arrays, ids and titles as JSON, a manifest.

The manifest is written last: its presence means that the folder is complete. A new folder is
written beside the final one and renamed at the end. Meaning of the arrays is left to `dataset`.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
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

_OUR_FILES = re.compile(
    r"(user_start|event_(item|time|rating)|(item|user)_feature_\d+)\.npy"
    r"|(manifest|vocabulary|titles)\.json"
)
"""Names of the files of a prepared folder; no other is ever removed."""

_OUR_KEYS = {"format_version", "files", "checksum"}
_OUR_START = re.compile(r'\{\n "format_version": \d+,\n')
"""Keys and start of every manifest that `write_prepared_folder` wrote."""

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
    """Raise UsageError for a folder that must not be replaced.

    That is one whose manifest is not ours, or that holds anything besides the files we write.
    """
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    if not is_prepared_folder(folder):
        raise UsageError(f"{folder}: exists and is no prepared folder; choose another --output")
    for path in sorted(folder.iterdir()):
        if not _is_written_file(path):
            raise UsageError(
                f"{folder}: holds {path.name!r}, which prepare did not write; "
                "move it elsewhere or choose another --output"
            )


def is_prepared_folder(folder: Path) -> bool:
    """True if we wrote the manifest, in any version; one that is cut off keeps its start."""
    manifest = folder / MANIFEST
    if not manifest.is_file():
        return False
    text = manifest.read_text(encoding="utf-8", errors="replace")
    try:
        content = json.loads(text)
    except ValueError:
        return bool(_OUR_START.match(text))
    return isinstance(content, dict) and content.keys() >= _OUR_KEYS


def _is_written_file(path: Path) -> bool:
    is_link = path.is_symlink()
    return not is_link and path.is_file() and bool(_OUR_FILES.fullmatch(path.name))


@contextmanager
def _replaced_folder(folder: Path) -> Iterator[Path]:
    """Folder to write into that replaces `folder` at the end, or leaves no trace."""
    refuse_foreign_folder(folder)
    folder = folder.resolve()
    unfinished = _unused_name(folder, "unfinished")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        _swap(folder, unfinished)
    except OSError as problem:  # numpy reports a full disk without an errno
        reason = problem.strerror or f"is the disk full? {problem}"
        raise DataError(f"{folder}: cannot be written ({reason}); nothing was kept") from problem
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _unused_name(folder: Path, purpose: str) -> Path:
    """Path beside a folder that nobody else can have taken or foreseen."""
    return folder.with_name(f".{folder.name}.{purpose}-{secrets.token_hex(8)}")


def _swap(folder: Path, finished: Path) -> None:
    """Put the finished folder in place; the older one is removed after that."""
    if not folder.exists():
        finished.rename(folder)
        return
    refuse_foreign_folder(folder)  # again: files may have come since the start
    older = _unused_name(folder, "replaced")
    folder.rename(older)
    try:
        finished.rename(folder)
    except OSError:
        older.rename(folder)
        raise
    for path in older.iterdir():
        if _is_written_file(path):
            path.unlink()
    older.rmdir()


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
