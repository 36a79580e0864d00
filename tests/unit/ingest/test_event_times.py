"""Order and seconds of times."""

from __future__ import annotations

import io
from datetime import datetime

import polars as pl
import pytest

from bert4rec.errors import SourceError

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


@pytest.mark.parametrize(
    ("written", "declared"),
    [
        ("1606463340000000", ""),
        ("1606463340000000000", ""),
        ("1606463340000", "time_unit: ms"),
        ("2020-11-27 07:49:00 UTC", ""),
        ("2020-11-27 07:49:00 +0000", ""),
        ("27/11/2020 07:49", "time_format: '%d/%m/%Y %H:%M'"),
        ("Fri Nov 27 07:49:00 +0000 2020", "time_format: '%a %b %d %H:%M:%S %z %Y'"),
        ("202011270749", "time_format: '%Y%m%d%H%M'"),
    ],
)
def test_times_are_read_as_declared_or_by_size(own_tables, written: str, declared: str) -> None:
    columns = f"time: t, rating: r, {declared}".rstrip(", ")
    dataset = own_tables(f"{HEADER}1,5,3,{written}\n", columns)
    assert dataset.time_N.tolist() == [1_606_463_340]


@pytest.mark.parametrize("written", ["20201127", "202011270749", "20201127074903", "44162.33"])
def test_one_late_number_does_not_make_dates_a_count(own_tables, written: str) -> None:
    lines = [f"{user},5,3,{written}\n" for user in range(1, 6)]
    with pytest.raises(SourceError, match="may be"):
        own_tables(HEADER + "".join(lines) + "1,6,3,99999999\n")


def test_zero_among_milliseconds_is_the_bad_row(own_tables) -> None:
    rows = HEADER + "1,5,3,1606463343000\n1,6,3,0\n1,7,3,1606463344000\n"
    with pytest.raises(SourceError, match=r"row 3.*'0' is too small"):
        own_tables(rows)
    dataset = own_tables(rows, on_bad_rows="drop")
    assert dataset.time_N.tolist() == [1_606_463_343, 1_606_463_344]
