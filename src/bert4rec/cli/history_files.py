"""Newer histories from a file: the events of a table, read as preparation reads them.

Legend: N events.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bert4rec.errors import DataError

if TYPE_CHECKING:
    import polars as pl

    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.engine.new_histories import IdColumn, NewHistories
    from bert4rec.ids import Vocabulary


def read_histories(path: Path, dataset: PreparedDataset) -> NewHistories:
    """Histories of a table with the columns user_id, item_id and, if known, time and rating.

    Without times the rows are in order. Raises DataError for a table that cannot be used, with its
    row and field.
    """
    import numpy as np

    from bert4rec.engine.new_histories import NewHistories
    from bert4rec.ids import NO_TIME
    from bert4rec.ingest.event_table import read_events
    from bert4rec.ingest.numbering import rating_rows
    from bert4rec.ingest.raw_tables import column_names, scan_table
    from bert4rec.ingest.schema import EventTable, Format, Schema
    from bert4rec.ingest.source import Source
    from bert4rec.ingest.typed_columns import ROW

    with tempfile.TemporaryDirectory(prefix="bert4rec-") as scratch:
        there = column_names(scan_table(path, Format(), Path(scratch)))
        for name in ("user_id", "item_id"):
            if name not in there:
                raise DataError(f"{path}: no column {name}; the file has {', '.join(there[:20])}")
        has_ratings = "rating" in there and len(dataset.rating_levels) > 0
        table = EventTable(
            file=path.name,
            user="user_id",
            item="item_id",
            time="time" if "time" in there else None,
            rating="rating" if has_ratings else None,
            scale=dataset.rating_levels.tolist() if has_ratings else [],
        )
        source = Source(path.parent, Schema("histories", table), str(path), Path(scratch))
        events = read_events(source, file_order=table.time is None, drop=False)
    frame = events.frame
    if events.has_times:
        frame = frame.unique(
            [name for name in frame.columns if name != ROW], keep="first", maintain_order=True
        )
    time_N = frame["time"].to_numpy() if events.has_times else np.full(len(frame), NO_TIME)
    return NewHistories.of_columns(
        dataset,
        _id_column(frame["user"], dataset.users),
        _id_column(frame["item"], dataset.items),
        time_N,
        rating_rows(frame, events.levels),
    )


def _id_column(column: pl.Series, vocabulary: Vocabulary) -> IdColumn:
    """Distinct ids in the type of the data, and the number of each event's id."""
    import numpy as np
    import polars as pl

    from bert4rec.cli.id_lists import parse_id
    from bert4rec.engine.new_histories import IdColumn

    distinct = column.unique(maintain_order=True)
    numbered = pl.DataFrame({"id": distinct, "number": np.arange(len(distinct))})
    joined = pl.DataFrame({"id": column}).join(numbered, on="id", how="left", maintain_order="left")
    ids = [parse_id(str(raw), vocabulary) for raw in distinct.to_list()]
    return IdColumn(ids, joined["number"].to_numpy())
