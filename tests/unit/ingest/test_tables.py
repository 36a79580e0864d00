"""What is read from raw files, and what is said about files that cannot be read."""

from __future__ import annotations

import csv
import io
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import DataError, SourceError
from bert4rec.ids import NO_RATING, NO_TIME
from bert4rec.ingest import raw_tables
from bert4rec.ingest.schema import Format

HEADER = "u,i,r,t\n"


def history(dataset: PreparedDataset, user: int | str) -> list[int | str]:
    row = dataset.users.row(user)
    assert row is not None
    return [
        dataset.items.raw(item)
        for item in dataset.item_N[dataset.start_U1[row] : dataset.start_U1[row + 1]]
    ]


def test_a_history_is_sorted_by_time_with_ties_in_the_order_of_the_file(own_tables) -> None:
    dataset = own_tables(HEADER + "7,30,3,200\n7,20,4,100\n7,10,5,200\n7,40,5,100\n")
    assert history(dataset, 7) == [20, 40, 30, 10]
    assert dataset.time_N.dtype == np.int64
    assert dataset.time_N.tolist() == [100, 100, 200, 200]
    assert dataset.rating_levels[dataset.rating_N - 1].tolist() == [4, 5, 3, 5]


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
def test_whole_floats_of_parquet_are_integers_in_every_table(
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


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_tsv_and_parquet_read_like_csv(own_tables, tmp_path: Path, suffix: str) -> None:
    rows = {"u": ["a", "b", "a"], "i": [5, 6, 7], "r": [1.5, 2.0, None], "t": [3, 2, 1]}
    table = pl.DataFrame(rows)
    path = tmp_path / f"e.{suffix}"
    table.write_parquet(path) if suffix == "parquet" else table.write_csv(path, separator="\t")
    dataset = own_tables(path.read_bytes(), name=path.name)
    assert history(dataset, "a") == [7, 5]
    assert list(dataset.rating_levels) == [1.5, 2.0]
    assert dataset.rating_N.tolist() == [NO_RATING, 1, 2]


def test_a_byte_order_mark_crlf_and_blank_lines_are_not_data(own_tables) -> None:
    dataset = own_tables(
        "\ufeff" + HEADER.replace("\n", "\r\n") + "1,5,3,100\r\n\r\n2,6,4,200\r\n\r\n"
    )
    assert list(dataset.users.ids) == [1, 2]
    assert list(dataset.items.ids) == [5, 6]
    assert dataset.manifest["cleaning"]["rows left out, blank"] == 2


def test_latin_1_is_read_where_the_schema_says_so(own_tables) -> None:
    dataset = own_tables(
        (HEADER + "Zoë,5,3,100\n").encode("latin-1"), "time: t, rating: r, encoding: iso-8859-1"
    )
    assert list(dataset.users.ids) == ["Zoë"]


@pytest.mark.parametrize("piece", [1, 7, 2**22])
def test_a_file_converted_in_pieces_reads_like_one_in_a_single_piece(
    own_tables, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(raw_tables, "PIECE", piece)
    rows = "Zoë::5::3::100\r\nZoë::é::4::200\nñ::5::5::300"
    declared = "time: t, rating: r, encoding: iso-8859-1, separator: '::', header: [u, i, r, t]"
    dataset = own_tables(rows.encode("latin-1"), declared)
    assert history(dataset, "Zoë") == ["5", "é"]
    assert history(dataset, "ñ") == ["5"]
    assert dataset.time_N.tolist() == [100, 200, 300]


def test_no_more_than_a_piece_of_a_converted_file_is_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(raw_tables, "PIECE", 2**16)
    path, scratch = tmp_path / "e.dat", tmp_path / "scratch"
    path.write_text("1::5::3::100\n" * 200_000, encoding="iso-8859-1")
    scratch.mkdir()
    layout = Format("::", ("u", "i", "r", "t"), "iso-8859-1", quoted=False)
    tracemalloc.start()
    frame = raw_tables.scan_table(path, layout, scratch)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < path.stat().st_size / 4
    assert frame.select(pl.len()).collect().item() == 200_000


def test_a_disk_without_room_for_the_conversion_is_one_clear_line(
    own_tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(
        DataError, match=r"e\.csv: cannot be converted in .* \(No space left on device\)"
    ):
        own_tables(HEADER.encode() + b"1,5,3,100\n", "time: t, rating: r, encoding: iso-8859-1")


def test_without_ratings_no_event_has_one(own_tables) -> None:
    dataset = own_tables("u,i,t\n1,5,3\n", "time: t")
    assert dataset.rating_levels.tolist() == []
    assert dataset.rating_N.tolist() == [NO_RATING]


def test_file_order_takes_the_order_of_the_rows_and_no_times(own_tables) -> None:
    dataset = own_tables("u,i\n1,9\n2,9\n1,3\n1,3\n1,7\n", "unused: []", file_order=True)
    assert history(dataset, 1) == [9, 3, 3, 7]
    assert not dataset.has_times
    assert set(dataset.time_N.tolist()) == {NO_TIME}


def test_file_order_passes_over_declared_times_and_says_so(own_tables) -> None:
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
def test_a_broken_table_is_one_clear_line(
    own_tables, tmp_path: Path, events: str | bytes, parts: list[str]
) -> None:
    with pytest.raises(SourceError) as caught:
        own_tables(events)
    message = str(caught.value)
    assert "\n" not in message
    assert all(part in message for part in ["e.csv", *parts]), message
    assert not (tmp_path / "out").exists()


def test_a_bad_row_after_a_very_long_field_is_named(own_tables) -> None:
    csv.field_size_limit(131_072)  # the csv module's own
    with pytest.raises(SourceError, match="row 3, field 't': 'x' is not a time"):
        own_tables(f'{HEADER}1,"{"long " * 40_000}",3,5\n1,6,4,x\n')


def test_a_rating_off_the_declared_scale_names_row_and_value(own_tables) -> None:
    with pytest.raises(SourceError, match=r"row 3, field 'r': '11' is not on the scale \(1 to 5\)"):
        own_tables(HEADER + "1,5,3,5\n1,6,11,5\n", "time: t, rating: r, scale: [1, 2, 3, 4, 5]")


def test_a_rating_cut_off_at_the_end_of_the_file_is_noticed(own_tables) -> None:
    with pytest.raises(
        SourceError, match=r"row 3, field 'r': missing \(the row has 3 of 4 fields\)"
    ):
        own_tables("u,t,i,r\n1,5,5,3\n1,6,6")


def test_a_table_without_times_names_file_order(own_tables) -> None:
    with pytest.raises(SourceError, match="--file_order"):
        own_tables("u,i\n1,5\n", "unused: []")


def test_a_damaged_parquet_file_is_named(own_tables) -> None:
    with pytest.raises(SourceError, match=r"e\.parquet: not a Parquet file, or truncated"):
        own_tables(b"PAR1 and then nothing", name="e.parquet")


def test_a_missing_table_is_named(own_tables) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: no such file"):
        own_tables(HEADER + "1,5,3,5\n", more="items: {file: nowhere.csv, item: i}\n")


def test_bad_rows_can_be_left_out_and_are_counted_by_reason(own_tables) -> None:
    bad = "1,6,4,-5\n1,7,4,-6\n,8,4,5\n1,9,4\n1,9,bad,5\n"
    dataset = own_tables(HEADER + "1,5,3,5\n" + bad, on_bad_rows="drop")
    assert history(dataset, 1) == [5]
    counts = list(dataset.manifest["cleaning"].items())
    assert ("rows left out, t: a time before 1970", 2) in counts
    assert ("rows left out, u: missing", 1) in counts
    assert ("rows left out, r: not a number", 1) in counts


def test_when_no_good_row_is_left_that_is_said(own_tables) -> None:
    with pytest.raises(DataError, match="no row is left"):
        own_tables(HEADER + "1,5,3,-5\n", on_bad_rows="drop")
