"""Row numbers for raw ids and ratings, and the order of ties.

Legend: N events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from bert4rec.data.arrays import Ints
from bert4rec.ids import FIRST_ITEM, FIRST_USER, NO_RATING

TIES_SEED = 20_000
"""Seed of the permutation that shuffles ties: arbitrary, but checksums depend on it."""


@dataclass(frozen=True)
class NumberedEvents:
    """Events by row numbers, and the raw ids in row order."""

    frame: pl.DataFrame
    users: pl.Series
    items: pl.Series


def shuffle_ties(frame: pl.DataFrame) -> pl.DataFrame:
    """Rows in random order. Only ties keep it: events are later sorted by user and time, stably."""
    return frame[np.random.default_rng(TIES_SEED).permutation(len(frame))]


def number_events(
    frame: pl.DataFrame, more_users: pl.Series | None = None, more_items: pl.Series | None = None
) -> NumberedEvents:
    """Events with row numbers in the order of the ids: integers by size, text by the alphabet.

    `more_users` and `more_items` are ids without events, of the type of the others.
    """
    users = _ordered_ids(frame["user"], more_users)
    items = _ordered_ids(frame["item"], more_items)
    user_N = _row_numbers(frame["user"], users, FIRST_USER)
    item_N = _row_numbers(frame["item"], items, FIRST_ITEM)
    return NumberedEvents(frame.with_columns(user_N, item_N), users, items)


def _ordered_ids(column: pl.Series, more: pl.Series | None) -> pl.Series:
    ids = column.unique()
    if more is not None:
        ids = ids.append(more.rename(column.name)).unique()
    return ids.sort()


def _row_numbers(column: pl.Series, ids: pl.Series, first: int) -> pl.Series:
    """Row number of each id, under the column's name."""
    number = np.arange(first, first + len(ids), dtype=np.int32)
    rows = pl.DataFrame({column.name: ids, "number": number})
    joined = column.to_frame().join(rows, on=column.name, how="left", maintain_order="left")
    return joined["number"].alias(column.name)


def rating_rows(frame: pl.DataFrame, levels: Sequence[float]) -> Ints:
    """Rating row of each event; NO_RATING without a rating."""
    if not levels:
        return np.full(len(frame), NO_RATING, dtype=np.uint8)
    rating_N = frame["rating"].fill_null(0).to_numpy()
    row_N = np.searchsorted(np.asarray(levels), rating_N) + 1
    is_missing_N = frame["rating"].is_null().to_numpy()
    return np.where(is_missing_N, NO_RATING, row_N).astype(np.uint8)
