"""Preparation: raw tables to a prepared folder.

The steps are source → events → cleaning → numbering → features → dataset, each in a module of its
own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import FeatureTable, NumberedTables, build_dataset
from bert4rec.errors import UsageError
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_TIME
from bert4rec.ingest.cleaning import Counts, clean_events
from bert4rec.ingest.column_audit import audit_events, audit_side_table, log_audit
from bert4rec.ingest.download import obtain
from bert4rec.ingest.event_table import Events, read_events
from bert4rec.ingest.local_files import Source
from bert4rec.ingest.log import Log
from bert4rec.ingest.movielens import RELEASES
from bert4rec.ingest.numbering import NumberedEvents, number_events, rating_rows, shuffle_ties
from bert4rec.ingest.reuse import open_prepared_before, preparation_settings
from bert4rec.ingest.schema_file import read_schema
from bert4rec.ingest.side_features import SideFeatures, build_side_features


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
        log(f"{folder}: already prepared ({_counts(ready)}, checksum {ready.checksum})")
        return ready
    with tempfile.TemporaryDirectory(prefix="bert4rec-") as scratch:
        source = _source(config, Path(scratch), log)
        if source.schema.note:
            log(source.schema.note)
        prepared = _prepare(source, config, settings, log)
    dataset = prepared.save(folder)
    log(f"{folder}: {_counts(dataset)}, checksum {dataset.checksum}")
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
    schema = source.schema
    drop = config.on_bad_rows == "drop"
    events = read_events(source.folder, schema.events, source.scratch, config.file_order, drop)
    frame, cleaning = clean_events(events, config)
    if config.ties == "shuffled":
        frame = shuffle_ties(frame)
    numbered = number_events(frame)
    items = build_side_features(
        source.folder, schema.items, source.scratch, numbered.items, FIRST_ITEM, "items"
    )
    users = build_side_features(
        source.folder, schema.users, source.scratch, numbered.users, FIRST_USER, "users"
    )
    _count_incomplete(cleaning, source, numbered, items, users)
    _log_preparation(log, source, events, numbered, items, users, cleaning)
    has_times = events.has_times
    tables = NumberedTables(
        name=config.name or schema.name,
        user_N=numbered.frame["user"].to_numpy(),
        item_N=numbered.frame["item"].to_numpy(),
        time_N=numbered.frame["time"].to_numpy() if has_times else np.full(len(frame), NO_TIME),
        rating_N=rating_rows(numbered.frame, events.levels),
        rating_levels=events.levels,
        user_ids=numbered.users.to_list(),
        item_ids=numbered.items.to_list(),
        titles=items.titles,
        item_features=_feature_tables(items),
        user_features=_feature_tables(users),
        ties=config.ties,
        notes={"settings": dict(settings), "source": source.origin, "cleaning": cleaning},
    )
    return build_dataset(tables)


def _feature_tables(side: SideFeatures) -> list[FeatureTable]:
    return [(built.feature, built.table_O) for built in side.features]


def _count_incomplete(
    cleaning: Counts,
    source: Source,
    numbered: NumberedEvents,
    items: SideFeatures,
    users: SideFeatures,
) -> None:
    """Count the ids without a row in their table, and the users with a single event."""
    schema = source.schema
    for owner, table, side in (("items", schema.items, items), ("users", schema.users, users)):
        if table is not None and side.ids_without_row:
            what = f"{owner} with events but without a row in {table.file}"
            cleaning[what] = side.ids_without_row
    events_per_user = numbered.frame["user"].value_counts()["count"]
    single = int((events_per_user == 1).sum())
    if single:
        cleaning["users with a single event (they train, and are not evaluated)"] = single


def _log_preparation(
    log: Log,
    source: Source,
    events: Events,
    numbered: NumberedEvents,
    items: SideFeatures,
    users: SideFeatures,
    cleaning: Counts,
) -> None:
    """Log the source, a remark about its size, and the column audit."""
    schema = source.schema
    log(f"source: {source.origin}")
    if source.published_rows not in (None, events.rows):
        rows = f"{schema.events.file} has {events.rows:,} rows"
        log(
            f"note: {rows}, the published file {source.published_rows:,}; it was cut off or changed"
        )
    lines = [
        *audit_events(schema.events, events, numbered),
        *audit_side_table(schema.items, items, "items"),
        *audit_side_table(schema.users, users, "users"),
    ]
    log_audit(log, lines, len(numbered.frame), events.rows, cleaning)


def _counts(dataset: PreparedDataset) -> str:
    users, items, events = dataset.num_users, dataset.num_items, len(dataset.item_N)
    return f"{users:,} users, {items:,} items, {events:,} events"
