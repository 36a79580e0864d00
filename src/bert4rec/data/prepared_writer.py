"""The writing half of the prepared folder; `prepared` reads it. Needs numpy alone.

Everything is written into a folder beside the final one and renamed at the end, the manifest last.

Legend: N events, U user rows, V item rows.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints, offsets
from bert4rec.data.prepared import (
    FORMAT_VERSION,
    MANIFEST,
    Feature,
    Names,
    PreparedDataset,
    sha256_of,
)
from bert4rec.errors import DataError, UsageError
from bert4rec.ids import FIRST_USER, NO_TIME, RawId

FeatureTables = Sequence[tuple[Feature, NDArray[Any]]]


@dataclass(frozen=True)
class Content:
    """All that a prepared folder holds."""

    name: str
    user_N: Ints
    """User rows, in any order; events keep their order within a user and a time."""
    item_N: Ints
    time_N: Ints
    rating_N: Ints
    rating_levels: Sequence[float]
    user_ids: Sequence[RawId]
    item_ids: Sequence[RawId]
    titles: Sequence[str] | None = None
    item_features: FeatureTables = ()
    user_features: FeatureTables = ()
    notes: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest says besides: source, settings, cleaning."""


def write_prepared(folder: Path, content: Content) -> PreparedDataset:
    """Sorts the events by (user, time), stably, and writes the folder; what was there is replaced."""
    arrays = _arrays(content)
    with replacing(folder) as unfinished:
        for name, array in arrays.items():
            np.save(unfinished / f"{name}.npy", array, allow_pickle=False)
        for name, text in _texts(content).items():
            _write(unfinished / name, text)
        files = {path.name: sha256_of(path) for path in sorted(unfinished.iterdir())}
        _write(unfinished / MANIFEST, {**_manifest(content, arrays), "files": files})
    return PreparedDataset.open(folder)


def in_memory(content: Content) -> PreparedDataset:
    """The same dataset without a folder."""
    arrays = _arrays(content)
    item, user = (
        {feature.name: (feature, table) for feature, table in features}
        for features in (content.item_features, content.user_features)
    )
    return PreparedDataset(
        folder=None,
        manifest=_manifest(content, arrays),
        start_U1=arrays["user_start"],
        item_N=arrays["event_item"],
        time_N=arrays["event_time"],
        rating_N=arrays["event_rating"],
        rating_levels=np.asarray(content.rating_levels, dtype=np.float64),
        item_features=item,
        user_features=user,
        given_names=Names.of(content.item_ids, content.user_ids, content.titles),
    )


def _arrays(content: Content) -> dict[str, NDArray[Any]]:
    """The arrays by file name: the sorted events, then the feature tables."""
    order_N = np.lexsort((content.time_N, content.user_N))
    users = len(content.user_ids) + FIRST_USER
    start_U1 = offsets(np.bincount(content.user_N, minlength=users)).astype(np.int64)
    arrays: dict[str, NDArray[Any]] = {
        "user_start": start_U1,
        "event_item": content.item_N[order_N].astype(np.int32),
        "event_time": content.time_N[order_N].astype(np.int64),
        "event_rating": content.rating_N[order_N].astype(np.uint8),
    }
    for owner, features in (("item", content.item_features), ("user", content.user_features)):
        arrays |= {f"{owner}_feature_{number}": table for number, (_, table) in enumerate(features)}
    return arrays


def _texts(content: Content) -> dict[str, Any]:
    titles = None if content.titles is None else list(content.titles)
    vocabulary = {"items": list(content.item_ids), "users": list(content.user_ids)}
    return {"vocabulary.json": vocabulary, "catalogue.json": {"titles": titles}}


def _manifest(content: Content, arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    time_N = arrays["event_time"]
    return {
        "format_version": FORMAT_VERSION,
        "name": content.name,
        "checksum": _checksum(content, arrays),
        "num_users": len(content.user_ids),
        "num_items": len(content.item_ids),
        "num_events": len(time_N),
        "has_times": bool(len(time_N)) and bool((time_N != NO_TIME).all()),
        "rating_levels": list(content.rating_levels),
        "item_features": [asdict(feature) for feature, _ in content.item_features],
        "user_features": [asdict(feature) for feature, _ in content.user_features],
        **content.notes,
    }


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """A folder to write into that takes the place of `folder` at the end, or leaves no trace."""
    refuse_foreign(folder)
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


def refuse_foreign(folder: Path) -> None:
    """An error where the folder holds something that no preparation wrote, which must not be replaced."""
    if folder.is_dir() and not any(folder.iterdir()):
        return
    if folder.exists() and not (folder / MANIFEST).is_file():
        raise UsageError(f"{folder}: exists and is no prepared folder; choose another --output")


def _write(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")


def _checksum(content: Content, arrays: Mapping[str, NDArray[Any]]) -> str:
    """A fingerprint of the events in their order, and of the ids they are about."""
    digest = hashlib.sha256()
    for name in ("user_start", "event_item", "event_time", "event_rating"):
        digest.update(np.ascontiguousarray(arrays[name]).tobytes())
    ids = {
        "users": list(content.user_ids),
        "items": list(content.item_ids),
        "levels": list(content.rating_levels),
    }
    digest.update(json.dumps(ids, ensure_ascii=False).encode())
    return digest.hexdigest()[:16]
