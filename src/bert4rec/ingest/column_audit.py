"""The audit of a preparation: the use of every column, and the number of rows left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from bert4rec.data.features import Kind
from bert4rec.ingest.event_table import MOST_LEVELS, Events
from bert4rec.ingest.feature_values import BuiltFeature
from bert4rec.ingest.numbering import NumberedEvents
from bert4rec.ingest.schema import EventTable, FeatureColumn
from bert4rec.ingest.side_features import SideFeatures
from bert4rec.log import Log

_ON_PURPOSE = "on purpose"


class AuditLine(NamedTuple):
    """One column of a file."""

    column: str
    use: str
    coverage: str = ""


def audit_events(table: EventTable, events: Events, numbered: NumberedEvents) -> list[AuditLine]:
    """Lines of the event table's columns."""
    frame = numbered.frame
    coverage = {
        table.user: f"{_share(1, 1)}, {len(numbered.users):,} users",
        table.item: f"{_share(1, 1)}, {len(numbered.items):,} items",
    }
    if table.rating:
        rated = len(frame) - frame["rating"].null_count()
        coverage[table.rating] = f"{_share(rated, len(frame))}, {_levels(events.levels)}"
    if table.time and events.has_times:
        days = frame["time"].to_numpy().astype("datetime64[s]").astype("datetime64[D]")
        coverage[table.time] = f"{_share(1, 1)}, {days.min()} to {days.max()}"
    coverage |= dict.fromkeys(table.unused, _ON_PURPOSE)
    return [
        AuditLine(f"{table.file}: {column}", use, coverage.get(column, ""))
        for column, use in events.uses.items()
    ]


def audit_side_table(side: SideFeatures) -> list[AuditLine]:
    """Lines of an item or user table's columns."""
    table = side.table
    if table is None:
        return []
    share = _share(side.ids - side.ids_without_row, side.ids)
    coverage = f"{share} of {side.ids:,} {side.owner.name} have a row"
    lines = [AuditLine(table.key, "id", coverage)]
    if table.title and side.titles is not None:
        known = sum(map(bool, side.titles))
        lines.append(AuditLine(table.title, "title", _share(known, side.ids)))
    for column, built in zip(table.features, side.features, strict=True):
        lines.append(_feature_line(column, built, side.ids))
    lines += [AuditLine(column, "not used", _ON_PURPOSE) for column in table.unused]
    lines += [AuditLine(column, "not used") for column in side.other_columns]
    return [line._replace(column=f"{table.file}: {line.column}") for line in lines]


def _feature_line(column: FeatureColumn, built: BuiltFeature, ids: int) -> AuditLine:
    source = f"{len(column.one_hot)} columns" if column.one_hot else column.column
    if column.kind is Kind.NUMERIC:
        size = f"mean {built.feature.mean:g}"
    else:
        size = f"{len(built.feature.values)} values"
    return AuditLine(source, f"{column.kind} {column.name}", f"{_share(built.known, ids)}, {size}")


def _share(part: int, total: int) -> str:
    return f"{part / total:6.1%}"


def _levels(levels: Sequence[float]) -> str:
    """All levels, so that a wrong one is seen."""
    if not levels:
        return "0 levels"
    shown = [f"{level:g}" for level in levels]
    listed = ", ".join(shown) if len(levels) <= MOST_LEVELS else f"{shown[0]} to {shown[-1]}"
    return f"{len(levels)} levels: {listed}"


def log_audit(
    log: Log, lines: Sequence[AuditLine], events: int, rows: int, cleaning: Mapping[str, int]
) -> None:
    """Log the columns as a table, and the events, rows and cleaning counts below it."""
    table = [AuditLine("column", "used as", "  known"), *lines]
    column_width = max(len(line.column) for line in table)
    use_width = max(len(line.use) for line in table)
    for column, use, coverage in table:
        log(f"  {column:<{column_width}}  {use:<{use_width}}  {coverage}".rstrip())
    log(f"  {events:>10,} events of {rows:,} rows")
    for what, count in cleaning.items():
        log(f"  {count:>10,} {what}")
