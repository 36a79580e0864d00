"""Types of ids and times."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl
import pytest

HEADER = "u,i,r,t\n"


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        (["2", "10"], [2, 10]),
        (["007", "1"], ["007", "1"]),
        (["1", "x"], ["1", "x"]),
        (["-3", "4"], [-3, 4]),
        (["b-2", "ä 1"], ["b-2", "ä 1"]),
        ([str(2**70), "5"], [str(2**70), "5"]),
    ],
)
def test_ids_come_back_as_they_were_given(
    own_tables, written: list[str], ids: list[int | str]
) -> None:
    dataset = own_tables(
        HEADER + "".join(f"{raw},{raw},3,{place}\n" for place, raw in enumerate(written))
    )
    assert list(dataset.users.ids) == ids
    assert list(dataset.items.ids) == ids


@pytest.mark.parametrize(
    ("written", "ids"),
    [
        ([1.0, 20.0], [1, 20]),
        ([1.0, 2.5], ["1", "2.5"]),
        ([float(2**53), -3.0], [-3, 2**53]),
    ],
)
def test_integral_floats_are_integers_in_every_table(
    own_tables, tmp_path: Path, written: list[float], ids: list[int | str]
) -> None:
    events, items = io.BytesIO(), tmp_path / "i.parquet"
    pl.DataFrame({"u": written, "i": written, "t": [1, 2]}).write_parquet(events)
    pl.DataFrame({"id": written, "year": [1999.0, None]}).write_parquet(items)
    more = "items: {file: i.parquet, item: id, features: {year: categorical}}\n"
    dataset = own_tables(events.getvalue(), "time: t", "e.parquet", more)
    assert list(dataset.users.ids) == list(dataset.items.ids) == ids
    year, year_V = dataset.item_features["year"]
    assert list(year.values) == [1999]
    assert sorted(year_V[2:].tolist()) == [0, 1]


@pytest.mark.parametrize(
    "written",
    [
        "978343200",
        "978343200.0",
        "978343200000",
        "2001-01-01T10:00",
        "2001-01-01 10:00:00",
        "2001-01-01T10:00:00.5",
        "2001-01-01T10:00:00Z",
        "2001-01-01 12:00:00+02:00",
    ],
)
def test_seconds_milliseconds_and_iso_dates_are_the_same_time(own_tables, written: str) -> None:
    assert own_tables(f"{HEADER}1,5,3,{written}\n").time_N.tolist() == [978343200]
