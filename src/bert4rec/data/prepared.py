"""`PreparedDataset`: numbered histories and feature tables in memory-mapped files. Needs numpy alone.

A prepared folder holds plain `.npy` arrays, `vocabulary.json`, `catalogue.json` and a `manifest.json` that is
written last: its presence means complete. How they are made is left to `data.prepare`.

Legend: N events, U user rows (row 0 unknown), V item rows (rows 0 and 1 PAD and MASK), M values an item may have.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints, offsets, stretches
from bert4rec.data.histories import Histories
from bert4rec.errors import PreparedDataError
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME, UNKNOWN, RawId, Vocabulary

FORMAT_VERSION = 1
MANIFEST = "manifest.json"


class Kind(StrEnum):
    """What a feature's values are."""

    CATEGORICAL = "categorical"
    """One value a row: int32 `[rows]`, 0 where unknown."""
    MULTI = "multi"
    """Up to M values a row: int32 `[rows, M]`, filled up with 0."""
    NUMERIC = "numeric"
    """One number a row, standardised: float32 `[rows]`, NaN where unknown."""


@dataclass(frozen=True)
class Feature:
    """One column of side information, of the items or of the users."""

    name: str
    kind: Kind
    values: Sequence[RawId] = ()
    """The known values; value v has row v + 1 (row 0 is unknown). Empty for numbers."""
    labels: Mapping[str, str] | None = None
    """What a value means in words, by the value's text (`{'7': 'executive/managerial'}`)."""
    mean: float = 0.0
    scale: float = 1.0
    """A stored number is (raw − mean) / scale."""

    @property
    def rows(self) -> int:
        """Rows of an embedding table of this feature, the unknown one included."""
        return len(self.values) + 1

    @property
    def decades(self) -> list[int]:
        """The decades of the values, ascending, where each value is a year; else none."""
        years = [value for value in self.values if isinstance(value, int) and 1800 <= value < 2200]
        return sorted({year // 10 * 10 for year in years}) if len(years) == len(self.values) else []

    @classmethod
    def from_dict(cls, entry: Mapping[str, Any]) -> Feature:
        """The feature that `asdict` described."""
        return cls(**{**entry, "kind": Kind(entry["kind"])})


@dataclass(frozen=True)
class Names:
    """Raw ids, and the items' titles in row order from the first real item, None where the source had none."""

    items: Vocabulary
    users: Vocabulary
    titles: Sequence[str] | None

    @classmethod
    def of(
        cls, items: Sequence[RawId], users: Sequence[RawId], titles: Sequence[str] | None
    ) -> Names:
        """From lists in row order."""
        return cls(Vocabulary(items, FIRST_ITEM), Vocabulary(users, FIRST_USER), titles)


@dataclass(frozen=True)
class PreparedDataset:
    """Events sorted by (user, time), ties in the file's order unless shuffled, and the feature tables."""

    folder: Path | None
    manifest: Mapping[str, Any]
    """Name, source, counts, checksums, cleaning report: what a protocol line quotes."""
    start_U1: Ints
    """int64 `[U + 1]`: user row u has the events `start_U1[u] : start_U1[u + 1]`; the unknown user has none."""
    item_N: Ints
    """int32 item rows."""
    time_N: Ints
    """int64 seconds since 1970; NO_TIME everywhere where the source had no times."""
    rating_N: Ints
    """uint8 rating rows: row r is `rating_levels[r - 1]`, NO_RATING where there is none."""
    rating_levels: NDArray[np.float64]
    """The scale, ascending; empty where the source had no ratings."""
    item_features: Mapping[str, tuple[Feature, NDArray[Any]]]
    """Feature and its table over item rows `[V]` or `[V, M]`; PAD and MASK rows are unknown."""
    user_features: Mapping[str, tuple[Feature, NDArray[Any]]]
    """Likewise over user rows; row 0 is unknown."""
    given_names: Names | None = None
    """Ids and titles where they are not in a folder."""

    @property
    def name(self) -> str:
        """What the dataset is called."""
        return str(self.manifest["name"])

    @property
    def checksum(self) -> str:
        """A fingerprint of the events and their order."""
        return str(self.manifest["checksum"])

    @property
    def ties(self) -> str:
        """How events of a user at one time are ordered: as in the file, or shuffled."""
        return str(
            self.manifest.get("ties", "file")
        )  # folders from before there was a choice do not say

    @property
    def num_users(self) -> int:
        """Real users."""
        return len(self.start_U1) - 1 - FIRST_USER

    @property
    def num_items(self) -> int:
        """Real items."""
        return int(self.manifest["num_items"])

    @property
    def item_rows(self) -> int:
        """Item rows, PAD and MASK included."""
        return self.num_items + FIRST_ITEM

    @property
    def user_rows(self) -> int:
        """User rows, the unknown one included."""
        return self.num_users + FIRST_USER

    @property
    def has_times(self) -> bool:
        """Whether the source gave times."""
        return bool(self.manifest["has_times"])

    @cached_property
    def names(self) -> Names:
        """Raw ids and titles, read when first asked for: training needs none."""
        if self.given_names is not None:
            return self.given_names
        if self.folder is None:
            raise PreparedDataError(f"{self.name}: this dataset was made without names")
        ids = _read_json(self.folder / "vocabulary.json")
        return Names.of(
            ids["items"], ids["users"], _read_json(self.folder / "catalogue.json").get("titles")
        )

    @property
    def items(self) -> Vocabulary:
        """Raw item ids."""
        return self.names.items

    @property
    def users(self) -> Vocabulary:
        """Raw user ids."""
        return self.names.users

    @property
    def titles(self) -> Sequence[str] | None:
        """The items' titles in row order from the first real item, None where the source had none."""
        return self.names.titles

    def histories(
        self,
        user_B: Ints,
        stop_B: Ints,
        request_time_B: Ints | None = None,
        start_B: Ints | None = None,
        cold_user_B: NDArray[np.bool_] | None = None,
    ) -> Histories:
        """What is known of the users before the events `stop_B` (indices into the N events).

        `start_B` leaves out everything before it; the whole past is taken without it. Of a stranger the events and the
        features are known, and the row is UNKNOWN, as it is for anybody new.
        """
        start_B = np.asarray(self.start_U1)[user_B] if start_B is None else start_B
        length_B = stop_B - start_B
        event_N = stretches(start_B, length_B)
        cold_user_B = np.zeros(len(user_B), dtype=np.bool_) if cold_user_B is None else cold_user_B
        return Histories(
            user_B=np.where(cold_user_B, UNKNOWN, user_B),
            start_B1=offsets(length_B),
            item_N=self.item_N[event_N],
            time_N=self.time_N[event_N],
            rating_N=self.rating_N[event_N],
            request_time_B=np.full(len(user_B), NO_TIME)
            if request_time_B is None
            else request_time_B,
            user_features=self.values_of_users(user_B) if cold_user_B.any() else {},
        )

    def values_of_users(self, user_B: Ints) -> dict[str, NDArray[Any]]:
        """The users' features by name, a value row (or number) each: what a stranger may say of themselves."""
        return {name: np.asarray(table)[user_B] for name, (_, table) in self.user_features.items()}

    @classmethod
    def open(cls, folder: str | Path) -> PreparedDataset:
        """The dataset of a prepared folder; arrays are mapped, not read."""
        folder = Path(folder)
        manifest = read_manifest(folder)
        version = manifest.get("format_version")
        if version != FORMAT_VERSION:
            raise PreparedDataError(
                f"{folder}: format version {version} of the prepared folder is not the one this version reads "
                f"({FORMAT_VERSION}); prepare the data again"
            )
        try:
            dataset = cls(
                folder=folder,
                manifest=manifest,
                start_U1=_map(folder, "user_start"),
                item_N=_map(folder, "event_item"),
                time_N=_map(folder, "event_time"),
                rating_N=_map(folder, "event_rating"),
                rating_levels=np.asarray(manifest["rating_levels"], dtype=np.float64),
                item_features=_features(folder, "item", manifest["item_features"]),
                user_features=_features(folder, "user", manifest["user_features"]),
            )
            lengths = [
                len(array)
                for array in (dataset.item_N, dataset.time_N, dataset.rating_N, dataset.start_U1)
            ]
            named = [manifest["num_events"]] * 3 + [manifest["num_users"] + FIRST_USER + 1]
        except (KeyError, TypeError, ValueError) as problem:
            raise PreparedDataError(
                f"{folder / MANIFEST}: is damaged ({problem!r}); prepare the data again"
            ) from problem
        if lengths != named:
            raise PreparedDataError(
                f"{folder}: its files do not belong together; prepare the data again"
            )
        return dataset

    def in_memory(self) -> PreparedDataset:
        """The same without its folder, which may go."""
        return replace(
            self,
            folder=None,
            start_U1=np.array(self.start_U1),
            item_N=np.array(self.item_N),
            time_N=np.array(self.time_N),
            rating_N=np.array(self.rating_N),
            item_features={
                name: (of, np.array(table)) for name, (of, table) in self.item_features.items()
            },
            user_features={
                name: (of, np.array(table)) for name, (of, table) in self.user_features.items()
            },
            given_names=self.names,
        )

    @classmethod
    def open_whole(cls, folder: str | Path) -> PreparedDataset:
        """The same, once every file has been read and found to be the one that the manifest names."""
        dataset = cls.open(folder)
        files = dataset.manifest.get("files")
        if not isinstance(files, dict):
            raise PreparedDataError(
                f"{dataset.folder}: its {MANIFEST} names no fingerprints; prepare the data again"
            )
        for name, fingerprint in files.items():
            path = Path(folder) / name
            if not path.is_file() or sha256_of(path) != fingerprint:
                raise PreparedDataError(
                    f"{path}: not the file that {MANIFEST} names; prepare the data again"
                )
        return dataset


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a complete folder says of itself, in whatever version it was written."""
    if not (folder / MANIFEST).is_file():
        reason = "is not complete" if folder.is_dir() else "does not exist"
        advice = f"make it with 'bert4rec prepare --dataset NAME --output {folder}' (own tables: --schema FILE)"
        raise PreparedDataError(f"{folder}: the prepared folder {reason}; {advice}")
    manifest = _read_json(folder / MANIFEST)
    if not isinstance(manifest, dict):
        raise PreparedDataError(f"{folder / MANIFEST}: is damaged; prepare the data again")
    return manifest


def sha256_of(path: Path) -> str:
    """A file's fingerprint."""
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _features(
    folder: Path, owner: str, described: Sequence[Mapping[str, Any]]
) -> dict[str, tuple[Feature, NDArray[Any]]]:
    features = [Feature.from_dict(entry) for entry in described]
    return {
        feature.name: (feature, _map(folder, f"{owner}_feature_{number}"))
        for number, feature in enumerate(features)
    }


def _map(folder: Path, name: str) -> NDArray[Any]:
    path = folder / f"{name}.npy"
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as problem:
        raise PreparedDataError(
            f"{path}: cannot be read ({problem}); prepare the data again"
        ) from problem


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise PreparedDataError(
            f"{path}: cannot be read ({problem}); prepare the data again"
        ) from problem
