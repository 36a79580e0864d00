"""`PreparedDataset`: numbered histories and feature tables. Needs numpy alone.

`dataset_builder` makes one from events in any order, `prepared_folder` reads and writes its files.

Legend: B users of a request, N events, U user rows, V item rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Ints, Mask, offsets, range_indices
from bert4rec.data.features import Feature, FeatureTables, network_values
from bert4rec.data.histories import Histories
from bert4rec.data.prepared_folder import (
    MANIFEST,
    read_prepared_folder,
    read_vocabularies,
    verify_checksums,
    write_prepared_folder,
)
from bert4rec.errors import PreparedDataError
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME, UNKNOWN, RawId, Vocabulary


@dataclass(frozen=True)
class Vocabularies:
    """Raw ids of items and users, and the items' titles."""

    items: Vocabulary
    users: Vocabulary
    titles: Sequence[str] | None
    """Titles in row order from the first real item; None if the source has none."""

    @classmethod
    def from_lists(
        cls, items: Sequence[RawId], users: Sequence[RawId], titles: Sequence[str] | None
    ) -> Self:
        """Vocabularies of lists in row order."""
        return cls(Vocabulary(items, FIRST_ITEM), Vocabulary(users, FIRST_USER), titles)


@dataclass(frozen=True)
class PreparedDataset:
    """Events sorted by (user, time), and feature tables; memory-mapped or in memory.

    Ties keep the file's order unless shuffled.

    Example:
        >>> from bert4rec.data.synthetic import synthetic_dataset
        >>> dataset = synthetic_dataset(num_users=80, num_items=24)
        >>> dataset.num_users, dataset.num_items, sorted(dataset.user_features)
        (80, 24, ['age_group', 'gender', 'occupation_code'])
    """

    folder: Path | None
    manifest: Mapping[str, Any]
    """Name, source, counts, checksums and cleaning report of the preparation."""
    start_U1: Ints
    """Offsets (int64): user row u has the events `start_U1[u] : start_U1[u + 1]`."""
    item_N: Ints
    """int32 item rows."""
    time_N: Ints
    """int64 seconds since 1970; NO_TIME for all events of a source without times."""
    rating_N: Ints
    """uint8 rating rows: row r is `rating_levels[r - 1]`; NO_RATING without a rating."""
    rating_levels: NDArray[np.float64]
    """Rating scale in ascending order; empty for a source without ratings."""
    item_features: FeatureTables
    """Item features over item rows; PAD and MASK are unknown."""
    user_features: FeatureTables
    """User features over user rows; row 0 is unknown."""
    stored_vocabularies: Vocabularies | None = None
    """Ids and titles of a dataset without a folder."""

    @classmethod
    def open(cls, folder: str | Path, verify: bool = False) -> Self:
        """Dataset of a prepared folder; its arrays are memory-mapped.

        Args:
            folder: Folder that `bert4rec prepare` wrote.
            verify: Read every file and compare it with the manifest's checksum.

        Raises:
            PreparedDataError: The folder is absent, incomplete, damaged or of another format
                version.
        """
        folder = Path(folder)
        manifest, arrays = read_prepared_folder(folder)
        try:
            dataset = cls.from_arrays(manifest, arrays, folder=folder)
            belongs = dataset._counts() == dataset._counts_of_manifest()
        except (KeyError, TypeError, ValueError) as problem:
            raise PreparedDataError(
                f"{folder / MANIFEST}: is damaged ({problem!r}); prepare the data again"
            ) from problem
        if not belongs:
            raise PreparedDataError(
                f"{folder}: its files do not belong together; prepare the data again"
            )
        if verify:
            verify_checksums(folder, manifest)
        return dataset

    def save(self, folder: Path) -> PreparedDataset:
        """Write the prepared folder, replacing an older one, and open it."""
        ids = {"items": list(self.items.ids), "users": list(self.users.ids)}
        titles = None if self.titles is None else list(self.titles)
        write_prepared_folder(folder, self.manifest, self.arrays(), ids, titles)
        return PreparedDataset.open(folder)

    @classmethod
    def from_arrays(
        cls,
        manifest: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        folder: Path | None = None,
        vocabularies: Vocabularies | None = None,
    ) -> Self:
        """Dataset of the arrays that `arrays` names.

        Raises:
            KeyError, TypeError, ValueError: The manifest and the arrays do not belong together.
        """
        return cls(
            folder=folder,
            manifest=manifest,
            start_U1=arrays["user_start"],
            item_N=arrays["event_item"],
            time_N=arrays["event_time"],
            rating_N=arrays["event_rating"],
            rating_levels=np.asarray(manifest["rating_levels"], dtype=np.float64),
            item_features=_feature_tables("item", manifest, arrays),
            user_features=_feature_tables("user", manifest, arrays),
            stored_vocabularies=vocabularies,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """All arrays by the names under which prepared folders and model folders store them."""
        return {
            "user_start": self.start_U1,
            "event_item": self.item_N,
            "event_time": self.time_N,
            "event_rating": self.rating_N,
            **_numbered_tables("item", self.item_features),
            **_numbered_tables("user", self.user_features),
        }

    def in_memory(self) -> PreparedDataset:
        """Copy that does not need its folder any more."""
        return replace(
            self,
            folder=None,
            start_U1=np.array(self.start_U1),
            item_N=np.array(self.item_N),
            time_N=np.array(self.time_N),
            rating_N=np.array(self.rating_N),
            item_features=_copied(self.item_features),
            user_features=_copied(self.user_features),
            stored_vocabularies=self.vocabularies,
        )

    def _counts(self) -> tuple[int, ...]:
        return len(self.item_N), len(self.time_N), len(self.rating_N), len(self.start_U1)

    def _counts_of_manifest(self) -> tuple[int, ...]:
        events = self.manifest["num_events"]
        return events, events, events, self.manifest["num_users"] + FIRST_USER + 1

    @property
    def name(self) -> str:
        """Name of the dataset."""
        return str(self.manifest["name"])

    @property
    def checksum(self) -> str:
        """Checksum of the events and their order."""
        return str(self.manifest["checksum"])

    @property
    def features_checksum(self) -> str:
        """Checksum of the titles and features."""
        return str(self.manifest["features_checksum"])

    @property
    def ties(self) -> str:
        """Order of a user's events at one time: 'file' or 'shuffled'."""
        return str(self.manifest["ties"])

    @property
    def num_users(self) -> int:
        """Number of real users."""
        return len(self.start_U1) - 1 - FIRST_USER

    @property
    def num_items(self) -> int:
        """Number of real items."""
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
        """True if the events have times."""
        return bool(self.manifest["has_times"])

    @cached_property
    def vocabularies(self) -> Vocabularies:
        """Raw ids and titles, read on first use: training needs none."""
        if self.stored_vocabularies is not None:
            return self.stored_vocabularies
        if self.folder is None:
            raise PreparedDataError(f"{self.name}: this dataset was made without names")
        return Vocabularies.from_lists(*read_vocabularies(self.folder))

    @property
    def items(self) -> Vocabulary:
        """Raw item ids."""
        return self.vocabularies.items

    @property
    def users(self) -> Vocabulary:
        """Raw user ids."""
        return self.vocabularies.users

    @property
    def titles(self) -> Sequence[str] | None:
        """Titles in row order from the first real item; None if the source has none."""
        return self.vocabularies.titles

    def histories(
        self,
        user_B: Ints,
        stop_B: Ints,
        request_time_B: Ints | None = None,
        start_B: Ints | None = None,
        is_cold_start_B: Mask | None = None,
    ) -> Histories:
        """Users' histories up to, and without, the events `stop_B`.

        Args:
            user_B: User rows.
            stop_B: Event indices, from 0 to N.
            request_time_B: Request times; unknown by default.
            start_B: First event of each history; by default the user's first.
            is_cold_start_B: Cold-start users. Their row becomes UNKNOWN; the features go into the
                request.
        """
        if start_B is None:
            start_B = np.asarray(self.start_U1)[user_B]
        if request_time_B is None:
            request_time_B = np.full(len(user_B), NO_TIME)
        user_features = {}
        if is_cold_start_B is not None and is_cold_start_B.any():
            user_features = self.user_feature_values(user_B)
            user_B = np.where(is_cold_start_B, UNKNOWN, user_B)
        length_B = stop_B - start_B
        event_N = range_indices(start_B, length_B)
        return Histories(
            user_B=user_B,
            start_B1=offsets(length_B),
            item_N=self.item_N[event_N],
            time_N=self.time_N[event_N],
            rating_N=self.rating_N[event_N],
            request_time_B=request_time_B,
            user_features=user_features,
        )

    def complete_histories(self, user_B: Ints, request_time_B: Ints | None = None) -> Histories:
        """All events of users; one without any is a cold-start user with the stored features."""
        start_U1 = np.asarray(self.start_U1)
        start_B, stop_B = start_U1[user_B], start_U1[user_B + 1]
        return self.histories(user_B, stop_B, request_time_B, is_cold_start_B=start_B == stop_B)

    def user_feature_values(self, user_B: Ints) -> dict[str, NDArray[Any]]:
        """Values of each user feature by name, as the network reads them."""
        return {
            name: network_values(feature, np.asarray(table)[user_B])
            for name, (feature, table) in self.user_features.items()
        }


def _feature_tables(
    owner: str, manifest: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]]
) -> FeatureTables:
    features = [Feature.from_dict(entry) for entry in manifest[f"{owner}_features"]]
    return {
        feature.name: (feature, arrays[f"{owner}_feature_{number}"])
        for number, feature in enumerate(features)
    }


def _numbered_tables(owner: str, features: FeatureTables) -> dict[str, NDArray[Any]]:
    tables = (table for _, table in features.values())
    return {f"{owner}_feature_{number}": table for number, table in enumerate(tables)}


def _copied(features: FeatureTables) -> FeatureTables:
    return {name: (feature, np.array(table)) for name, (feature, table) in features.items()}
