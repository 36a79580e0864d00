"""Order and seconds of times."""

from __future__ import annotations

import io
from datetime import datetime

import polars as pl
import pytest

HEADER = "u,i,r,t\n"
PARTS = [(2, 0), (1, 50), (3, 999), (4, 500)]
"""Items and milliseconds within one second, in the order of the file."""
IN_TIME = [2, 1, 4, 3]


def items_in_order(dataset) -> list[int]:
    return [dataset.items.ids[row - 2] for row in dataset.item_N]


@pytest.mark.parametrize("ties", ["file", "shuffled"])
@pytest.mark.parametrize(
    "form", ["1663020001{:03d}", "1663020001.{:03d}", "2022-09-12T22:00:01.{:03d}Z"]
)
def test_events_within_one_second_are_in_the_order_of_their_fractions(
    own_tables, form: str, ties: str
) -> None:
    lines = [f"1,{item},3,{form.format(part)}\n" for item, part in PARTS]
    dataset = own_tables(HEADER + "".join(lines), ties=ties)
    assert items_in_order(dataset) == IN_TIME
    assert set(dataset.time_N.tolist()) == {1_663_020_001}


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
def test_typed_times_are_ordered_at_their_resolution(own_tables, unit: str) -> None:
    times = [datetime(2022, 9, 12, 22, 0, 1, part * 1000) for _, part in PARTS]
    frame = pl.DataFrame({"u": 1, "i": [item for item, _ in PARTS], "t": times})
    file = io.BytesIO()
    frame.with_columns(pl.col("t").cast(pl.Datetime(unit))).write_parquet(file)
    dataset = own_tables(file.getvalue(), "time: t", "e.parquet")
    assert items_in_order(dataset) == IN_TIME
    assert set(dataset.time_N.tolist()) == {1_663_020_001}


def test_nanoseconds_in_text_are_told_apart(own_tables) -> None:
    dataset = own_tables(
        HEADER + "1,5,3,1663020001.000000002\n1,6,3,1663020001.000000001\n", ties="file"
    )
    assert items_in_order(dataset) == [6, 5]


def test_only_equal_times_make_a_repeated_row(own_tables) -> None:
    lines = ["1,5,3,1663020001050\n", "1,5,3,1663020001051\n", "1,5,3,1663020001050\n"]
    dataset = own_tables(HEADER + "".join(lines))
    assert len(dataset.item_N) == 2


def test_last_of_a_pair_is_the_last_within_its_second(own_tables) -> None:
    lines = ["1,5,4,1663020001900\n", "1,5,3,1663020001050\n"]
    dataset = own_tables(HEADER + "".join(lines), repeated_pairs="last")
    assert [dataset.rating_levels[row - 1] for row in dataset.rating_N] == [4]
