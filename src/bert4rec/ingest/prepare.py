"""Raw tables to a prepared folder: clean, count, number, order, and say where every column went.

Reading files is left to `sources`, feature tables to `features`, the folder to `writing`.

Legend: N events.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.dataset_builder import NumberedTables, build_dataset
from bert4rec.data.features import Kind
from bert4rec.data.prepared_folder import MANIFEST, read_manifest, refuse_foreign_folder
from bert4rec.errors import DataError, PreparedDataError, SourceError, UsageError
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_RATING, NO_TIME
from bert4rec.ingest.download import Obtained, find_at_hand, md5_of, obtain
from bert4rec.ingest.feature_tables import Built, build_feature
from bert4rec.ingest.movielens import RELEASES
from bert4rec.ingest.schema import EventTable, FeatureColumn, SideTable, read_schema
from bert4rec.ingest.tables import MOST_LEVELS, Events, read_events, read_side

Log = Callable[[str], None]

TIES_SEED = 20_000
"""Of the one permutation that shuffles ties: any number will do, and it stays, so that the checksum does."""


def prepare_dataset(config: PrepareConfig, log: Log = print) -> PreparedDataset:
    """The prepared dataset of a release or a schema; a folder that was made with the same settings is used again."""
    name = _name(config)
    folder = config.output or Path("prepared") / name
    settings = _settings(config)
    ready = _already_prepared(folder, settings, config.overwrite, log)
    if ready is not None:
        log(f"{folder}: already prepared ({_counts(ready)}, checksum {ready.checksum})")
        return ready
    with tempfile.TemporaryDirectory(prefix="bert4rec-") as scratch:
        source = _source(config, Path(scratch), log)
        if source.schema.note:
            log(source.schema.note)
        dataset = _prepare(source, config, config.name or source.schema.name, folder, settings, log)
    log(f"{folder}: {_counts(dataset)}, checksum {dataset.checksum}")
    return dataset


def _name(config: PrepareConfig) -> str:
    if (config.dataset is None) == (config.schema is None):
        raise UsageError(
            "name one source: --dataset for a MovieLens release, or --schema for your own tables"
        )
    if config.dataset is not None and config.dataset not in RELEASES:
        raise UsageError(
            f"unknown dataset {config.dataset!r}; known are {', '.join(RELEASES)}, others need --schema"
        )
    return config.name or config.dataset or str(config.schema and config.schema.stem)


def _settings(config: PrepareConfig) -> dict[str, Any]:
    """What decides the content of the folder: the settings, the schema's text, and what is in the files."""
    settings = {
        key: value
        for key, value in asdict(config).items()
        if key not in ("output", "overwrite", "data_dir")
    }
    files = _files(config)
    if config.schema is not None:
        settings["schema"] = hashlib.sha256(config.schema.read_bytes()).hexdigest()
    settings["md5"] = {name: md5_of(path) for name, path in files.items() if path.is_file()}
    return settings


def _files(config: PrepareConfig) -> dict[str, Path]:
    """The tables, or the archive they are in, by name; nothing where a release is not at hand."""
    if config.schema is not None:
        place, schema = config.schema.parent, read_schema(config.schema)
    else:
        release = RELEASES[str(config.dataset)]
        found, schema = find_at_hand(release, config.data_dir), release.schema
        if found is None or found.is_file():
            return {found.name: found} if found else {}
        place = found
    return {table.file: place / table.file for table in schema.tables}


def _already_prepared(
    folder: Path, settings: Mapping[str, Any], overwrite: bool, log: Log
) -> PreparedDataset | None:
    """What the folder holds, if it is whole; an error where it was made from something else."""
    refuse_foreign_folder(folder)
    if overwrite or not (folder / MANIFEST).is_file():
        return None
    try:
        _refuse_another(folder, read_manifest(folder).get("settings", {}), settings)
        return PreparedDataset.open(folder, verify=True)
    except PreparedDataError as problem:
        what, _, _ = str(problem).rpartition("; ")
        log(f"note: {what}; it is prepared again")
        return None


def _refuse_another(folder: Path, before: Mapping[str, Any], settings: Mapping[str, Any]) -> None:
    """An error where a setting differs; one that the folder is too old to name had its default."""
    before = {entry.name: entry.default for entry in fields(PrepareConfig)} | dict(before)
    for key, value in settings.items():
        # A release that is no longer at hand, or came from the network, cannot be compared.
        if before.get(key) != value and not (key == "md5" and not (value and before.get(key))):
            other = f"with {key} {before.get(key)!r}, not {value!r}"
            what = "from other files" if key in ("schema", "md5") else other
            raise UsageError(f"{folder}: was prepared {what}; --overwrite prepares it again")


def _source(config: PrepareConfig, scratch: Path, log: Log) -> Obtained:
    if config.schema is None:
        return obtain(RELEASES[str(config.dataset)], config.data_dir, scratch, log)
    return Obtained(
        config.schema.parent, read_schema(config.schema), f"schema {config.schema.name}", scratch
    )


@dataclass(frozen=True)
class _Numbered:
    """Events by row numbers, and the raw ids in row order."""

    frame: pl.DataFrame
    users: pl.Series
    items: pl.Series


def _prepare(
    source: Obtained,
    config: PrepareConfig,
    name: str,
    folder: Path,
    settings: Mapping[str, Any],
    log: Log,
) -> PreparedDataset:
    schema = source.schema
    drop = config.on_bad_rows == "drop"
    events = read_events(source.folder, schema.events, source.scratch, config.file_order, drop)
    frame, cleaning = _clean(events, config)
    numbered = _number(_shuffled(frame) if config.ties == "shuffled" else frame)
    items, titles, item_lines = _side(
        source, schema.items, numbered.items, FIRST_ITEM, "items", cleaning
    )
    users, _, user_lines = _side(
        source, schema.users, numbered.users, FIRST_USER, "users", cleaning
    )
    single = int((numbered.frame["user"].value_counts()["count"] == 1).sum())
    if single:
        cleaning["users with a single event (they train, and are not evaluated)"] = single
    log(f"source: {source.origin}")
    _check_rows(source, events, log)
    table = [*_event_lines(schema.events, events, numbered), *item_lines, *user_lines]
    _report(log, table, len(frame), events.rows, cleaning)
    return build_dataset(
        NumberedTables(
            name=name,
            user_N=numbered.frame["user"].to_numpy(),
            item_N=numbered.frame["item"].to_numpy(),
            time_N=numbered.frame["time"].to_numpy()
            if events.has_times
            else np.full(len(frame), NO_TIME),
            rating_N=_rating_rows(numbered.frame, events.levels),
            rating_levels=events.levels,
            user_ids=numbered.users.to_list(),
            item_ids=numbered.items.to_list(),
            titles=titles,
            item_features=[(built.feature, built.table_R) for built in items],
            user_features=[(built.feature, built.table_R) for built in users],
            ties=config.ties,
            notes={
                "settings": dict(settings),
                "source": source.origin,
                "cleaning": cleaning,
            },
        ),
    ).save(folder)


def _check_rows(source: Obtained, events: Events, log: Log) -> None:
    """A note where a release has not as many rows as it was published with: cut off, or changed."""
    if source.published_rows not in (None, events.rows):
        what = f"{source.schema.events.file} has {events.rows:,} rows, the published file {source.published_rows:,}"
        log(f"note: {what}; it was cut off or changed")


def _clean(events: Events, config: PrepareConfig) -> tuple[pl.DataFrame, dict[str, int]]:
    """The events that stay, and how many went for which reason."""
    cleaning = {f"rows left out, {reason}": count for reason, count in events.dropped.items()}
    frame = events.frame
    if events.has_times:
        frame = _counting(frame, _each_once(frame), cleaning, "repeated rows")
    if config.repeated_pairs != "keep":
        ordered = frame.sort("time", maintain_order=True) if events.has_times else frame
        kept = ordered.unique(
            ["user", "item"], keep=config.repeated_pairs, maintain_order=True
        ).sort("row")
        frame = _counting(frame, kept, cleaning, f"repeated pairs but the {config.repeated_pairs}")
    frame = _frequent(frame, config, cleaning)
    if not len(frame):
        raise DataError("no event is left: lower --min_user_events or --min_item_events")
    if "rating" in frame.columns and frame["rating"].null_count():
        cleaning["events without a rating"] = frame["rating"].null_count()
    return frame, cleaning


def _each_once(frame: pl.DataFrame) -> pl.DataFrame:
    """The first of the rows that differ by nothing but `row`.

    Only rows whose hash comes again are compared: comparing all takes four times the memory of everything else.
    """
    identity = [column for column in frame.columns if column != "row"]
    hash_N = frame.select(identity).hash_rows().to_numpy()
    sorted_N = np.sort(hash_N)
    again = pl.Series(np.isin(hash_N, sorted_N[1:][np.diff(sorted_N) == 0]))
    repeated = frame.filter(again).unique(identity, keep="first")
    return pl.concat([frame.filter(~again), repeated]).sort("row") if len(repeated) else frame


def _counting(
    before: pl.DataFrame, after: pl.DataFrame, cleaning: dict[str, int], what: str
) -> pl.DataFrame:
    if len(after) < len(before):
        cleaning[f"rows left out, {what}"] = len(before) - len(after)
    return after


def _frequent(frame: pl.DataFrame, config: PrepareConfig, cleaning: dict[str, int]) -> pl.DataFrame:
    """Users and items with enough events, again and again until both minima hold."""
    if config.min_user_events == 1 and config.min_item_events == 1:
        return frame
    before = frame
    while True:
        enough = (pl.len().over("user") >= config.min_user_events) & (
            pl.len().over("item") >= config.min_item_events
        )
        kept = frame.filter(enough)
        if len(kept) == len(frame):
            return _counting(before, kept, cleaning, "of users or items with too few events")
        frame = kept


def _shuffled(frame: pl.DataFrame) -> pl.DataFrame:
    """All rows in an order by chance; what follows sorts them by user and time, stably, so only ties keep it."""
    return frame[np.random.default_rng(TIES_SEED).permutation(len(frame))]


def _number(frame: pl.DataFrame) -> _Numbered:
    """Row numbers in the order of the ids: integers by size, text by the alphabet."""
    users, items = (frame[column].unique().sort() for column in ("user", "item"))
    for column, ids, first in (("user", users, FIRST_USER), ("item", items, FIRST_ITEM)):
        rows = pl.DataFrame(
            {column: ids, "number": np.arange(first, first + len(ids), dtype=np.int32)}
        )
        numbers = frame.select(column).join(rows, on=column, how="left", maintain_order="left")[
            "number"
        ]
        frame = frame.with_columns(numbers.alias(column))
    return _Numbered(frame, users, items)


def _rating_rows(frame: pl.DataFrame, levels: Sequence[float]) -> np.ndarray[Any, Any]:
    if not levels:
        return np.full(len(frame), NO_RATING, dtype=np.uint8)
    rows = np.searchsorted(np.asarray(levels), frame["rating"].fill_null(0).to_numpy()) + 1
    return np.where(frame["rating"].is_null().to_numpy(), NO_RATING, rows).astype(np.uint8)


Line = tuple[str, str, str]
"""A column of a file, what it is used as, and its coverage."""


def _side(
    source: Obtained,
    table: SideTable | None,
    ids: pl.Series,
    reserved: int,
    what: str,
    cleaning: dict[str, int],
) -> tuple[list[Built], list[str] | None, list[Line]]:
    """The features of the ids that have events, the titles, and a line for each column."""
    if table is None:
        return [], None, []
    path = source.folder / table.file
    side = read_side(source.folder, table, source.scratch)
    keys = pl.DataFrame({table.key: ids.cast(pl.String)})
    rows = keys.join(side.frame, on=table.key, how="left", maintain_order="left")
    unknown = int(rows["row"].is_null().sum())
    if unknown == len(ids):
        example = (
            f"{side.frame[table.key][0] if len(side.frame) else ''!r} is not like {str(ids[0])!r}"
        )
        raise SourceError(
            f"none of the {what} with events has a row ({example})", path, None, table.key
        )
    if unknown:
        cleaning[f"{what} with events but without a row in {table.file}"] = unknown
    built = [build_feature(column, rows, reserved, path) for column in table.features]
    for column, entry in zip(table.features, built, strict=True):
        if not entry.known:
            reason = f"gives feature {column.name!r} no value at all; correct its declaration or leave it out"
            raise SourceError(reason, path, None, column.columns[0])
    titles = rows[table.title].fill_null("").to_list() if table.title else None
    lines = [
        (
            table.key,
            "id",
            f"{_share(len(ids) - unknown, len(ids))} of {len(ids):,} {what} have a row",
        )
    ]
    if table.title and titles is not None:
        lines.append((table.title, "title", _share(sum(map(bool, titles)), len(ids))))
    lines += [_feature_line(*pair, len(ids)) for pair in zip(table.features, built, strict=True)]
    lines += [(column, "not used", "on purpose") for column in table.unused]
    lines += [(column, "not used", "") for column in side.other_columns]
    return (
        built,
        titles,
        [(f"{table.file}: {column}", use, coverage) for column, use, coverage in lines],
    )


def _share(part: int, whole: int) -> str:
    return f"{part / whole:6.1%}"


def _feature_line(column: FeatureColumn, built: Built, count: int) -> Line:
    source = f"{len(column.one_hot)} columns" if column.one_hot else column.column
    size = (
        f", mean {built.feature.mean:g}"
        if column.kind is Kind.NUMERIC
        else f", {len(built.feature.values)} values"
    )
    return source, f"{column.kind} {column.name}", f"{_share(built.known, count)}{size}"


def _event_lines(table: EventTable, events: Events, numbered: _Numbered) -> list[Line]:
    frame = numbered.frame
    details = {table.user: f"{_share(1, 1)}, {len(numbered.users):,} users"}
    details[table.item] = f"{_share(1, 1)}, {len(numbered.items):,} items"
    if table.rating:
        rated = len(frame) - frame["rating"].null_count()
        details[table.rating] = f"{_share(rated, len(frame))}, {_levels(events.levels)}"
    if table.time and events.has_times:
        time_N = frame["time"].to_numpy().astype("datetime64[s]").astype("datetime64[D]")
        details[table.time] = f"{_share(1, 1)}, {time_N.min()} to {time_N.max()}"
    details |= dict.fromkeys(table.unused, "on purpose")
    return [
        (f"{table.file}: {column}", use, details.get(column, ""))
        for column, use in events.columns.items()
    ]


def _levels(levels: Sequence[float]) -> str:
    """All of them, so that one which should not be there is seen."""
    shown = [f"{level:g}" for level in levels]
    listed = ", ".join(shown) if len(levels) <= MOST_LEVELS else f"{shown[0]} to {shown[-1]}"
    return f"{len(levels)} levels" + (f": {listed}" if levels else "")


def _report(
    log: Log, lines: Sequence[Line], kept: int, rows: int, cleaning: Mapping[str, int]
) -> None:
    """Where every column went, and what was left out."""
    table = [("column", "used as", "  known"), *lines]
    widths = [max(len(line[place]) for line in table) for place in range(2)]
    for column, use, coverage in table:
        log(f"  {column:<{widths[0]}}  {use:<{widths[1]}}  {coverage}".rstrip())
    log(f"  {kept:>10,} events of {rows:,} rows")
    for what, count in cleaning.items():
        log(f"  {count:>10,} {what}")


def _counts(dataset: PreparedDataset) -> str:
    return (
        f"{dataset.num_users:,} users, {dataset.num_items:,} items, {len(dataset.item_N):,} events"
    )
