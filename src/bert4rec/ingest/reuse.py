"""Reuse of a prepared folder that was made with the same settings from the same files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.prepared_folder import (
    is_prepared_folder,
    read_manifest,
    refuse_foreign_folder,
)
from bert4rec.errors import PreparedDataError, UsageError
from bert4rec.ingest.local_files import find_local, md5_of
from bert4rec.ingest.movielens import RELEASES
from bert4rec.ingest.schema_file import read_schema
from bert4rec.log import Log

_IRRELEVANT = ("output", "overwrite", "data_dir")
"""Settings that do not change the content of the folder."""


def preparation_settings(config: PrepareConfig) -> dict[str, Any]:
    """Settings and checksums of schema and files, which decide the content of the folder."""
    settings = {key: value for key, value in asdict(config).items() if key not in _IRRELEVANT}
    if config.schema is not None:
        settings["schema"] = hashlib.sha256(config.schema.read_bytes()).hexdigest()
    files = _source_files(config)
    settings["md5"] = {name: md5_of(path) for name, path in files.items() if path.is_file()}
    return settings


def _source_files(config: PrepareConfig) -> dict[str, Path]:
    """Tables, or their archive, by name; empty for a release that is not on this machine."""
    if config.schema is not None:
        schema = read_schema(config.schema)
        folder = config.schema.parent
    else:
        release = RELEASES[str(config.dataset)]
        schema = release.schema
        found = find_local(release, config.data_dir)
        if found is None:
            return {}
        if found.is_file():
            return {found.name: found}
        folder = found
    return {table.file: folder / table.file for table in schema.tables}


def open_prepared_before(
    folder: Path, settings: Mapping[str, Any], overwrite: bool, log: Log
) -> PreparedDataset | None:
    """Dataset of a complete and undamaged folder; None if it must be prepared.

    Raises:
        UsageError: The folder was prepared from something else, or is no prepared folder.
    """
    ready = None if overwrite else _undamaged(folder, settings, log)
    if ready is None:
        refuse_foreign_folder(folder)
    return ready


def _undamaged(folder: Path, settings: Mapping[str, Any], log: Log) -> PreparedDataset | None:
    if not is_prepared_folder(folder):
        return None
    try:
        before = read_manifest(folder).get("settings", {})
        _refuse_other_settings(folder, before, settings)
        return PreparedDataset.open(folder, verify=True)
    except PreparedDataError as problem:
        refuse_foreign_folder(folder)
        what, _, _ = str(problem).rpartition("; ")
        log(f"note: {what}; it is prepared again")
        return None


def _refuse_other_settings(
    folder: Path, before: Mapping[str, Any], settings: Mapping[str, Any]
) -> None:
    for key, value in settings.items():
        if before.get(key) == value:
            continue
        # A release that is no longer on this machine, or came from the network, cannot be compared.
        if key == "md5" and not (value and before.get(key)):
            continue
        change = f"with {key} {before.get(key)!r}, not {value!r}"
        what = "from other files" if key in ("schema", "md5") else change
        raise UsageError(f"{folder}: was prepared {what}; --overwrite prepares it again")
