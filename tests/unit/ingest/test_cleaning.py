"""Cleaning: repeated rows and pairs, minimum counts, and the order of ties."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ConfigError, DataError

HEADER = "u,i,r,t\n"


TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


def events(dataset: PreparedDataset) -> list[tuple[int | str, int | str]]:
    user_N = np.repeat(np.arange(len(dataset.start_U1) - 1), np.diff(dataset.start_U1))
    return [
        (dataset.users.raw(u), dataset.items.raw(i))
        for u, i in zip(user_N, dataset.item_N, strict=True)
    ]


def test_identical_rows_count_once(own_tables) -> None:
    dataset = own_tables(TWO + "1,6,4,200\n1,6,5,200\n2,6,,400\n2,6,,400\n")
    assert events(dataset) == [(1, 5), (1, 6), (1, 6), (2, 5), (2, 6)]
    assert dataset.manifest["cleaning"]["rows left out, repeated rows"] == 2


def test_rows_with_equal_hashes_are_compared(own_tables, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = own_tables(TWO + "1,6,4,200\n")
    monkeypatch.setattr(
        pl.DataFrame, "hash_rows", lambda frame: pl.Series([0] * len(frame), dtype=pl.UInt64)
    )
    again = own_tables(TWO + "1,6,4,200\n", overwrite=True)
    assert again.checksum == expected.checksum
    assert again.manifest["cleaning"] == expected.manifest["cleaning"]


@pytest.mark.parametrize(
    ("choice", "times"), [("keep", [100, 200, 300]), ("first", [100, 200]), ("last", [200, 300])]
)
def test_repeated_pairs_are_kept_or_reduced_by_time(
    own_tables, choice: str, times: list[int]
) -> None:
    dataset = own_tables(HEADER + "1,5,3,300\n1,5,4,100\n1,6,4,200\n", repeated_pairs=choice)
    assert dataset.time_N.tolist() == times


def test_minimum_counts_hold_for_users_and_items_together(own_tables) -> None:
    # Item 9 has one event; without it user 2 has one.
    # Without that item 6 has one, and user 1 keeps item 5 twice.
    rows = "1,5,3,1\n1,5,3,2\n1,6,3,3\n2,6,3,4\n2,9,3,5\n"
    dataset = own_tables(HEADER + rows, min_user_events=2, min_item_events=2)
    assert events(dataset) == [(1, 5), (1, 5)]
    assert dataset.manifest["cleaning"]["rows left out, of users or items with too few events"] == 3


def test_minimum_counts_that_leave_nothing_are_refused(own_tables) -> None:
    with pytest.raises(DataError, match="lower --min_user_events"):
        own_tables(TWO, min_user_events=9)


def test_users_with_a_single_event_are_counted(own_tables) -> None:
    cleaning = own_tables(TWO).manifest["cleaning"]
    assert [count for what, count in cleaning.items() if "single event" in what] == [1]


def test_minimum_counts_start_at_one() -> None:
    with pytest.raises(ConfigError, match="min_user_events is 0"):
        PrepareConfig(dataset="ml-1m", min_user_events=0)
