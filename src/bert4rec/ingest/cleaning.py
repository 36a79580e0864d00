"""Cleaning of events: repeated rows, repeated pairs, and users or items with too few events.

Legend: N events.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl

from bert4rec.config import PrepareConfig
from bert4rec.errors import DataError
from bert4rec.ingest.event_table import Events
from bert4rec.ingest.event_times import FRACTION
from bert4rec.ingest.typed_columns import ROW

Counts = dict[str, int]
"""Rows and entities by what became of them, in the order of the steps."""


def clean_events(events: Events, config: PrepareConfig) -> tuple[pl.DataFrame, Counts]:
    """Events that stay, and the number of rows left out for each reason.

    Raises:
        DataError: No event is left.
    """
    counts = {f"rows left out, {reason}": count for reason, count in events.dropped.items()}
    frame = events.frame
    if events.has_times:
        kept = _distinct(frame)
        _count(counts, "repeated rows", frame, kept)
        frame = kept
    if config.repeated_pairs != "keep":
        kept = _one_per_pair(frame, config.repeated_pairs, events.has_times)
        _count(counts, f"repeated pairs but the {config.repeated_pairs}", frame, kept)
        frame = kept
    kept = _frequent(frame, config)
    _count(counts, "of users or items with too few events", frame, kept)
    if not len(kept):
        raise DataError("no event is left: lower --min_user_events or --min_item_events")
    if "rating" in kept.columns and kept["rating"].null_count():
        counts["events without a rating"] = kept["rating"].null_count()
    return kept, counts


def _count(counts: Counts, reason: str, before: pl.DataFrame, after: pl.DataFrame) -> None:
    if len(after) < len(before):
        counts[f"rows left out, {reason}"] = len(before) - len(after)


def _distinct(frame: pl.DataFrame) -> pl.DataFrame:
    """First of the rows that differ in nothing but their number.

    Only rows with a repeated hash are compared: comparing all takes four times the memory of
    everything else.
    """
    identity = [column for column in frame.columns if column != ROW]
    hash_N = frame.select(identity).hash_rows().to_numpy()
    sorted_N = np.sort(hash_N)
    repeated_hashes = sorted_N[1:][np.diff(sorted_N) == 0]
    is_suspect = pl.Series(np.isin(hash_N, repeated_hashes))
    firsts = frame.filter(is_suspect).unique(identity, keep="first")
    if not len(firsts):
        return frame
    return pl.concat([frame.filter(~is_suspect), firsts]).sort(ROW)


def _one_per_pair(
    frame: pl.DataFrame, keep: Literal["first", "last"], has_times: bool
) -> pl.DataFrame:
    """First or last event of each pair of user and item, in time or in the file."""
    ordered = in_time(frame) if has_times else frame
    kept = ordered.unique(["user", "item"], keep=keep, maintain_order=True)
    return kept.sort(ROW)


def in_time(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows by time and its fraction; those of one time keep their order."""
    keys = [column for column in ("time", FRACTION) if column in frame.columns]
    return frame.sort(keys, maintain_order=True)


def _frequent(frame: pl.DataFrame, config: PrepareConfig) -> pl.DataFrame:
    """Events of users and items with enough events, filtered until both minima hold (k-core)."""
    if config.min_user_events == config.min_item_events == 1:
        return frame
    enough = (pl.len().over("user") >= config.min_user_events) & (
        pl.len().over("item") >= config.min_item_events
    )
    # A dropped user lowers the counts of items, and the reverse: repeat until nothing is dropped.
    while True:
        kept = frame.filter(enough)
        if len(kept) == len(frame):
            return kept
        frame = kept
