"""Preparation: raw tables to a prepared folder.

The steps are source → events → cleaning → numbering → features → dataset, each in a module of its
own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import FeatureTable
from bert4rec.errors import UsageError
from bert4rec.ids import NO_TIME
from bert4rec.ingest.cleaning import Counts, clean_events, in_time
from bert4rec.ingest.column_audit import audit_events, audit_side_table, log_audit
from bert4rec.ingest.download import obtain
from bert4rec.ingest.event_table import Events, read_events
from bert4rec.ingest.event_times import FRACTION
from bert4rec.ingest.movielens import RELEASES
from bert4rec.ingest.numbering import NumberedEvents, number_events, rating_rows, shuffle_ties
from bert4rec.ingest.reuse import open_prepared_before, preparation_settings
from bert4rec.ingest.schema_file import read_schema
from bert4rec.ingest.side_features import (
    ITEMS,
    USERS,
    SideFeatures,
    build_side_features,
    kept_ids,
    read_side_source,
)
from bert4rec.ingest.source import Source
from bert4rec.log import Log


def prepare_dataset(config: PrepareConfig, log: Log = print) -> PreparedDataset:
    """Prepared dataset of a MovieLens release or of own tables.

    A folder that was prepared with the same settings from the same files is used again.

    Args:
        config: Source, cleaning and output folder.
        log: Receiver of progress lines and of the column audit.

    Raises:
        UsageError: The configuration names no source, or the folder holds something else.
        DataError: The source cannot be obtained, read or used.
    """
    name = _source_name(config)
    folder = config.output or Path("prepared") / name
    settings = preparation_settings(config)
    ready = open_prepared_before(folder, settings, config.overwrite, log)
    if ready is not None:
        log(f"{folder}: already prepared ({_counts(ready)}, {_checksums(ready)})")
        return ready
    with tempfile.TemporaryDirectory(prefix="bert4rec-") as scratch:
        source = _source(config, Path(scratch), log)
        if source.schema.note:
            log(source.schema.note)
        prepared = _prepare(source, config, settings, log)
    dataset = prepared.save(folder)
    log(f"{folder}: {_counts(dataset)}, {_checksums(dataset)}")
    return dataset


def _source_name(config: PrepareConfig) -> str:
    """Name of the dataset to prepare; UsageError unless the configuration names one source."""
    if (config.dataset is None) == (config.schema is None):
        raise UsageError(
            "name one source: --dataset for a MovieLens release, or --schema for your own tables"
        )
    if config.dataset is not None and config.dataset not in RELEASES:
        raise UsageError(
            f"unknown dataset {config.dataset!r}; known are {', '.join(RELEASES)}, "
            "others need --schema"
        )
    return config.name or config.dataset or str(config.schema and config.schema.stem)


def _source(config: PrepareConfig, scratch: Path, log: Log) -> Source:
    if config.schema is None:
        return obtain(RELEASES[str(config.dataset)], config.data_dir, scratch, log)
    schema = read_schema(config.schema)
    return Source(config.schema.parent, schema, f"schema {config.schema.name}", scratch)


def _prepare(
    source: Source, config: PrepareConfig, settings: Mapping[str, Any], log: Log
) -> PreparedDataset:
    """Dataset in memory of the source's tables."""
    parts = _read(source, config)
    _log_parts(log, source, parts)
    numbered = parts.numbered.frame
    without_times = np.full(len(numbered), NO_TIME)
    tables = NumberedTables(
        name=config.name or source.schema.name,
        user_N=numbered["user"].to_numpy(),
        item_N=numbered["item"].to_numpy(),
        time_N=numbered["time"].to_numpy() if parts.events.has_times else without_times,
        rating_N=rating_rows(numbered, parts.events.levels),
        rating_levels=parts.events.levels,
        user_ids=parts.numbered.users.to_list(),
        item_ids=parts.numbered.items.to_list(),
        titles=parts.items.titles,
        item_features=_feature_tables(parts.items),
        user_features=_feature_tables(parts.users),
        ties=config.ties,
        notes={"settings": dict(settings), "source": source.origin, "cleaning": parts.cleaning},
    )
    return build_dataset(tables)


@dataclass(frozen=True)
class _Parts:
    """Results of the steps before the dataset is built."""

    events: Events
    numbered: NumberedEvents
    items: SideFeatures
    users: SideFeatures
    cleaning: Counts


def _read(source: Source, config: PrepareConfig) -> _Parts:
    """Events read, cleaned and numbered, and the features of their items and users."""
    schema = source.schema
    events = read_events(source, config.file_order, drop=config.on_bad_rows == "drop")
    frame, cleaning = clean_events(events, config)
    if config.ties == "shuffled":
        frame = shuffle_ties(frame)
    if FRACTION in frame.columns:
        # The dataset is sorted by user and second, stably: this order holds within a second.
        frame = in_time(frame).drop(FRACTION)
    keep = config.keep_without_events
    keeps_items, keeps_users = keep in ("items", "all"), keep in ("users", "all")
    item_source = read_side_source(source, schema.items, frame["item"], ITEMS, keeps_items)
    user_source = read_side_source(source, schema.users, frame["user"], USERS, keeps_users)
    numbered = number_events(frame, kept_ids(user_source), kept_ids(item_source))
    items = build_side_features(item_source, numbered.items, ITEMS)
    users = build_side_features(user_source, numbered.users, USERS)
    counts = cleaning | _incomplete(items) | _incomplete(users) | _single_events(numbered)
    return _Parts(events, numbered, items, users, counts)


def _feature_tables(side: SideFeatures) -> list[FeatureTable]:
    return [(built.feature, built.table_O) for built in side.features]


def _incomplete(side: SideFeatures) -> Counts:
    """Number of ids without a row in their table, and of rows without events."""
    if side.table is None:
        return {}
    name, file = side.owner.name, side.table.file
    kept = "kept" if side.keeps_without_events else f"left out; --keep_without_events {name}"
    counts = {
        f"{name} with events but without a row in {file}": side.ids_without_row,
        f"{name} of {file} without events ({kept})": side.without_events,
        f"rows left out, of {name} repeated in {file}": side.repeated,
    }
    counts |= side.alike
    return {what: count for what, count in counts.items() if count}


def _single_events(numbered: NumberedEvents) -> Counts:
    """Number of users with a single event."""
    events_per_user = numbered.frame["user"].value_counts()["count"]
    single = int((events_per_user == 1).sum())
    what = "users with a single event (they train, and are not evaluated)"
    return {what: single} if single else {}


def _log_parts(log: Log, source: Source, parts: _Parts) -> None:
    """Log the source, a remark about its size, and the column audit."""
    table = source.schema.events
    rows = parts.events.rows
    log(f"source: {source.origin}")
    if source.published_rows not in (None, rows):
        log(
            f"note: {table.file} has {rows:,} rows, the published file "
            f"{source.published_rows:,}; it was cut off or changed"
        )
    lines = [
        *audit_events(table, parts.events, parts.numbered),
        *audit_side_table(parts.items),
        *audit_side_table(parts.users),
    ]
    log_audit(log, lines, len(parts.numbered.frame), rows, parts.cleaning)


def _counts(dataset: PreparedDataset) -> str:
    users, items, events = dataset.num_users, dataset.num_items, len(dataset.item_N)
    return f"{users:,} users, {items:,} items, {events:,} events"


def _checksums(dataset: PreparedDataset) -> str:
    return f"checksum {dataset.checksum}, features {dataset.features_checksum}"
