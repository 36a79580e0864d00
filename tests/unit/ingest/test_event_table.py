"""Events of raw tables, and rows that cannot be used."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import DataError, SourceError
from bert4rec.ids import NO_RATING, NO_TIME

HEADER = "u,i,r,t\n"


def history(dataset: PreparedDataset, user: int | str) -> list[int | str]:
    row = dataset.users.row(user)
    assert row is not None
    return [
        dataset.items.raw(item)
        for item in dataset.item_N[dataset.start_U1[row] : dataset.start_U1[row + 1]]
    ]


def test_history_is_sorted_by_time_with_ties_in_file_order(own_tables) -> None:
    dataset = own_tables(HEADER + "7,30,3,200\n7,20,4,100\n7,10,5,200\n7,40,5,100\n")
    assert history(dataset, 7) == [20, 40, 30, 10]
    assert dataset.time_N.dtype == np.int64
    assert dataset.time_N.tolist() == [100, 100, 200, 200]
    assert dataset.rating_levels[dataset.rating_N - 1].tolist() == [4, 5, 3, 5]


def test_table_without_ratings_has_no_levels(own_tables) -> None:
    dataset = own_tables("u,i,t\n1,5,3\n", "time: t")
    assert dataset.rating_levels.tolist() == []
    assert dataset.rating_N.tolist() == [NO_RATING]


def test_file_order_takes_the_order_of_the_rows_and_no_times(own_tables) -> None:
    dataset = own_tables("u,i\n1,9\n2,9\n1,3\n1,3\n1,7\n", "unused: []", file_order=True)
    assert history(dataset, 1) == [9, 3, 3, 7]
    assert not dataset.has_times
    assert set(dataset.time_N.tolist()) == {NO_TIME}


def test_file_order_ignores_declared_times_and_reports_it(own_tables) -> None:
    lines: list[str] = []
    dataset = own_tables(HEADER + "1,9,3,200\n1,3,3,100\n", file_order=True, log=lines.append)
    assert history(dataset, 1) == [9, 3]
    assert any("e.csv: t" in line and "not used" in line for line in lines)


BROKEN = {
    "too few fields": (HEADER + "1,5,3,5\n1,6\n", ["row 3", "(the row has 2 of 4 fields)"]),
    "too many fields": (HEADER + "1,5,3,5\n1,6,4,5,5\n", ["row 3", "more than the 4 fields"]),
    "no user": (HEADER + ",6,4,5\n", ["row 2", "'u'", "missing"]),
    "no item": (HEADER + "1,,4,5\n", ["row 2", "'i'", "missing"]),
    "no time": (HEADER + "1,6,4,\n", ["row 2", "'t'", "missing"]),
    "a word as time": (HEADER + "1,5,3,noon\n", ["row 2", "'t'", "'noon' is not a time"]),
    "dates of unclear order": (
        HEADER + "1,5,3,03/04/2001\n",
        ["row 2", "'t'", "dates like 2024-05-31"],
    ),
    "dates like numbers": (HEADER + "1,5,3,20240531\n", ["'t'", "may be a date or seconds"]),
    "numbers and dates": (
        HEADER + "1,5,3,100\n1,6,4,2001-01-01\n",
        ["row 3", "'t'", "is not a time"],
    ),
    "a negative time": (
        HEADER + "1,5,3,-5\n1,6,4,100\n",
        ["row 2", "'t'", "'-5' is a time before 1970"],
    ),
    "the year 3000": (HEADER + "1,5,3,5\n1,6,4,32503680000\n", ["row 3", "'t'", "year 3000"]),
    "a word as rating": (HEADER + "1,5,good,5\n", ["row 2", "'r'", "'good' is not a number"]),
    "an infinite rating": (HEADER + "1,5,inf,5\n", ["row 2", "'r'", "not a number"]),
    "too many levels": (
        HEADER + "".join(f"1,5,{n},5\n" for n in range(21)),
        ["'r'", "declare 'scale'"],
    ),
    "not UTF-8": (HEADER.encode() + b"1,5,3,5\n\xe9,6,4,5\n", ["row 3", "not UTF-8", "encoding"]),
    "an open quote": (HEADER + '1,5,3,5\n1,"6,4,5\n1,7,4,5\n', ["row 3", "never closed"]),
    "a bad row after a quoted line break": (HEADER + '1,"a\nb",3,5\n1,6,4,x\n', ["row 4", "'t'"]),
    "an empty file": ("", ["the file is empty"]),
    "a header alone": (HEADER, ["no rows"]),
    "blank rows alone": (HEADER + "\n\n", ["no rows"]),
    "another header": ("u,i,r,when\n1,5,3,5\n", ["'t'", "no such column", "u, i, r, when"]),
    "no text at all": (b"\x00\x01\xff\xfe" * 50, ["no such column"]),
}


@pytest.mark.parametrize(("events", "parts"), BROKEN.values(), ids=BROKEN)
def test_broken_table_is_one_clear_line(
    own_tables, tmp_path: Path, events: str | bytes, parts: list[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        own_tables(events)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in ["e.csv", *parts]), message
    assert not (tmp_path / "out").exists()


def test_bad_row_after_a_very_long_field_is_named(own_tables) -> None:
    csv.field_size_limit(131_072)  # the csv module's own
    with pytest.raises(SourceError, match="row 3, field 't': 'x' is not a time"):
        own_tables(f'{HEADER}1,"{"long " * 40_000}",3,5\n1,6,4,x\n')


def test_rating_off_the_scale_names_row_and_value(own_tables) -> None:
    with pytest.raises(SourceError, match=r"row 3, field 'r': '11' is not on the scale \(1 to 5\)"):
        own_tables(HEADER + "1,5,3,5\n1,6,11,5\n", "time: t, rating: r, scale: [1, 2, 3, 4, 5]")


def test_rating_cut_off_at_the_end_of_the_file_is_noticed(own_tables) -> None:
    with pytest.raises(
        SourceError, match=r"row 3, field 'r': missing \(the row has 3 of 4 fields\)"
    ):
        own_tables("u,t,i,r\n1,5,5,3\n1,6,6")


def test_table_without_times_names_file_order(own_tables) -> None:
    with pytest.raises(SourceError, match="--file_order"):
        own_tables("u,i\n1,5\n", "unused: []")


def test_dropped_rows_are_counted_by_reason(own_tables) -> None:
    bad = "1,6,4,-5\n1,7,4,-6\n,8,4,5\n1,9,4\n1,9,bad,5\n"
    dataset = own_tables(HEADER + "1,5,3,5\n" + bad, on_bad_rows="drop")
    assert history(dataset, 1) == [5]
    counts = list(dataset.manifest["cleaning"].items())
    assert ("rows left out, t: a time before 1970", 2) in counts
    assert ("rows left out, u: missing", 1) in counts
    assert ("rows left out, r: not a number", 1) in counts


def test_table_without_a_usable_row_is_refused(own_tables) -> None:
    with pytest.raises(DataError, match="no row is left"):
        own_tables(HEADER + "1,5,3,-5\n", on_bad_rows="drop")


def test_ratings_are_read_with_the_decimal_mark_of_the_file(own_tables) -> None:
    declared = "time: t, rating: r, separator: ';', decimal: ','"
    dataset = own_tables("u;i;r;t\n1;5;3,5;100\n1;6;4;200\n", declared)
    assert dataset.rating_levels.tolist() == [3.5, 4]
    with pytest.raises(SourceError, match=r"row 2, field 'r': '3\.5' is not a number"):
        own_tables("u;i;r;t\n1;5;3.5;100\n", declared, overwrite=True)
