"""Cleaning, features, the folder, and that nothing half-written stays behind."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data import prepared_folder
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ConfigError, DataError, PreparedDataError, SourceError, UsageError
from bert4rec.ingest.prepare import prepare_dataset

HEADER = "u,i,r,t\n"
TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


def table(dataset: PreparedDataset, name: str, owner: str = "item") -> dict[int | str, object]:
    """Raw id to the feature's raw value, or values; what is unknown is None, or an empty list."""
    feature, rows = (dataset.item_features if owner == "item" else dataset.user_features)[name]
    ids = dataset.items if owner == "item" else dataset.users
    values = [None, *feature.values]
    if rows.ndim == 2:
        return {raw: [values[v] for v in rows[ids.row(raw)] if v] for raw in ids.ids}
    return {raw: values[rows[ids.row(raw)]] for raw in ids.ids}


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


def test_rows_that_share_a_hash_only_are_no_repetitions(
    own_tables, monkeypatch: pytest.MonkeyPatch
) -> None:
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
def test_repeated_pairs_stay_or_keep_the_first_or_last_in_time(
    own_tables, choice: str, times: list[int]
) -> None:
    dataset = own_tables(HEADER + "1,5,3,300\n1,5,4,100\n1,6,4,200\n", repeated_pairs=choice)
    assert dataset.time_N.tolist() == times


def test_minimum_counts_hold_for_users_and_items_together(own_tables) -> None:
    # Item 9 has one event; without it user 2 has one; without that item 6 has one, and user 1 keeps item 5 twice.
    rows = "1,5,3,1\n1,5,3,2\n1,6,3,3\n2,6,3,4\n2,9,3,5\n"
    dataset = own_tables(HEADER + rows, min_user_events=2, min_item_events=2)
    assert events(dataset) == [(1, 5), (1, 5)]
    assert dataset.manifest["cleaning"]["rows left out, of users or items with too few events"] == 3


def test_minimum_counts_that_leave_nothing_say_so(own_tables) -> None:
    with pytest.raises(DataError, match="lower --min_user_events"):
        own_tables(TWO, min_user_events=9)


def test_a_user_with_one_event_is_noticed(own_tables) -> None:
    cleaning = own_tables(TWO).manifest["cleaning"]
    assert [count for what, count in cleaning.items() if "single event" in what] == [1]


ITEMS = "items: {file: i.csv, item: id, title: name, features: {%s}}\n"


def with_items(
    tmp_path: Path, own_tables, rows: str, features: str, **settings: object
) -> PreparedDataset:
    (tmp_path / "i.csv").write_text(rows)
    return own_tables(TWO, more=ITEMS % features, **settings)


def test_the_catalogue_is_the_items_with_events(own_tables, tmp_path: Path) -> None:
    dataset = with_items(
        tmp_path, own_tables, "id,name,c\n6,Six,a\n5,Five,b\n7,Seven,z\n", "c: categorical"
    )
    assert list(dataset.items.ids) == [5, 6]
    assert list(dataset.titles) == ["Five", "Six"]
    assert table(dataset, "c") == {5: "b", 6: "a"}
    assert list(dataset.item_features["c"][0].values) == ["a", "b"]


def test_an_item_without_a_row_has_unknown_features_and_is_counted(
    own_tables, tmp_path: Path
) -> None:
    dataset = with_items(tmp_path, own_tables, "id,name,c\n6,Six,a\n", "c: categorical")
    assert table(dataset, "c") == {5: None, 6: "a"}
    assert list(dataset.titles) == ["", "Six"]
    assert dataset.manifest["cleaning"]["items with events but without a row in i.csv"] == 1


def test_reserved_rows_are_unknown_in_every_feature(own_tables, tmp_path: Path) -> None:
    features = "c: categorical, g: {kind: multi, missing: [none]}, p: numeric"
    dataset = with_items(
        tmp_path, own_tables, "id,name,c,g,p\n5,F,a,x|y|x,10\n6,S,b,none,30\n", features
    )
    assert [rows[:2].tolist() for _, rows in (dataset.item_features[name] for name in "cg")] == [
        [0, 0],
        [[0, 0]] * 2,
    ]
    assert table(dataset, "g") == {5: ["x", "y"], 6: []}
    price, price_V = dataset.item_features["p"]
    assert np.isnan(price_V[:2]).all()
    assert (price_V[2:] * price.scale + price.mean).tolist() == pytest.approx([10, 30])


def test_values_can_be_extracted_mapped_binned_and_labelled(own_tables, tmp_path: Path) -> None:
    (tmp_path / "i.csv").write_text("id,name\n5,Five (1994)\n6,Six\n")
    (tmp_path / "u.csv").write_text("id,age,job\n1,17,baker\n2,18,?\n")
    dataset = own_tables(
        TWO,
        more="""
items: {file: i.csv, item: id, features: {year: {kind: categorical, column: name, extract: '\\((\\d{4})\\)'}}}
users:
  file: u.csv
  user: id
  features:
    age: {kind: categorical, bins: [18, 65], bin_labels: [young, grown, old]}
    work: {kind: categorical, column: job, map: {baker: 3}, labels: {3: bakes}, missing: ['?']}
""",
    )
    assert table(dataset, "year") == {5: 1994, 6: None}
    assert table(dataset, "age", "user") == {1: "young", 2: "grown"}
    assert table(dataset, "work", "user") == {1: 3, 2: None}
    assert dataset.user_features["work"][0].labels == {"3": "bakes"}


BROKEN_ITEMS = {
    "an absent column": ("id,name\n5,F\n", "c: categorical", "i.csv, field 'c': no such column"),
    "a word as a number": ("id,name,c\n5,F,dear\n", "c: numeric", "'dear' is not a number"),
    "an id that comes again": (
        "id,name,c\n5,F,a\n6,S,a\n5,F,b\n",
        "c: categorical",
        "row 4, field 'id': '5' appears",
    ),
    "a row without an id": (
        "id,name,c\n5,F,a\n,S,a\n",
        "c: categorical",
        "row 3, field 'id': missing",
    ),
    "ids of another kind": ("id,name,c\n05,F,a\n06,F,a\n", "c: categorical", "none of the items"),
    "no value at all": (
        "id,name,c\n5,F,\n6,S,\n",
        "c: categorical",
        "field 'c': gives feature 'c' no value",
    ),
}


@pytest.mark.parametrize(("rows", "features", "part"), BROKEN_ITEMS.values(), ids=BROKEN_ITEMS)
def test_a_broken_item_table_is_one_clear_line(
    own_tables, tmp_path: Path, rows: str, features: str, part: str
) -> None:
    with pytest.raises(SourceError, match=part):
        with_items(tmp_path, own_tables, rows, features)
    assert not (tmp_path / "out").exists()


def test_the_report_says_where_every_column_went(own_tables, tmp_path: Path) -> None:
    lines: list[str] = []
    with_items(
        tmp_path, own_tables, "id,name,c,x\n5,F,a,1\n6,S,,2\n", "c: categorical", log=lines.append
    )
    text = "\n".join(" ".join(line.split()) for line in lines)
    assert "e.csv: u user 100.0%, 2 users" in text
    assert "e.csv: r rating 100.0%, 3 levels: 1, 3, 4" in text
    assert "e.csv: t event order and time 100.0%, 1970-01-01 to 1970-01-01" in text
    assert "i.csv: c categorical c 50.0%, 1 values" in text
    assert "i.csv: x not used" in text
    assert "3 events of 3 rows" in text


def test_a_prepared_folder_is_used_again(own_tables) -> None:
    first, lines = own_tables(TWO), []
    manifest = first.folder / "manifest.json"
    before = manifest.stat().st_mtime_ns
    config = PrepareConfig(schema=first.folder.parent / "own.yaml", output=first.folder)
    again = prepare_dataset(config, lines.append)
    assert again.checksum == first.checksum
    assert manifest.stat().st_mtime_ns == before
    assert "already prepared" in lines[0]


def test_a_file_with_another_date_is_the_same_file(own_tables, tmp_path: Path) -> None:
    before = own_tables(TWO)
    os.utime(tmp_path / "e.csv", (0, 0))
    lines: list[str] = []
    config = PrepareConfig(schema=tmp_path / "own.yaml", output=before.folder)
    assert prepare_dataset(config, lines.append).checksum == before.checksum
    assert "already prepared" in lines[0]


def cut_in_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def of_version_99(path: Path) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format_version": 99}))


DAMAGED = {
    "a truncated array": ("event_item.npy", cut_in_half, "event_item.npy: cannot be read"),
    "a missing array": ("event_time.npy", Path.unlink, "event_time.npy: cannot be read"),
    "a truncated vocabulary": (
        "vocabulary.json",
        cut_in_half,
        "vocabulary.json: not the file that manifest.json names",
    ),
    "a truncated manifest": ("manifest.json", cut_in_half, "manifest.json: cannot be read"),
    "another version": ("manifest.json", of_version_99, "format version 99"),
}


@pytest.mark.parametrize(("name", "damage", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_folder_is_prepared_again(
    own_tables, name: str, damage: Callable[[Path], None], said: str
) -> None:
    before, lines = own_tables(TWO), []
    damage(before.folder / name)
    assert own_tables(TWO, log=lines.append).checksum == before.checksum
    assert said in lines[0]
    assert lines[0].endswith("; it is prepared again")
    assert PreparedDataset.open(before.folder, verify=True).checksum == before.checksum


def test_a_folder_of_another_version_made_from_something_else_is_not_replaced(own_tables) -> None:
    folder = own_tables(TWO).folder
    of_version_99(folder / "manifest.json")
    with pytest.raises(UsageError, match="min_user_events 1, not 2; --overwrite"):
        own_tables(TWO, min_user_events=2)


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    command = (
        f"bert4rec prepare --dataset NAME --output {tmp_path / 'gone'}' (own tables: --schema FILE)"
    )
    with pytest.raises(PreparedDataError, match=re.escape(command)):
        PreparedDataset.open(tmp_path / "gone")


@pytest.mark.parametrize("rows", ["Zoë::5::3::100\n", "Zoë::5::11::100\n"], ids=["good", "bad"])
def test_what_is_converted_on_the_way_is_gone_afterwards(
    own_tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    declared = "time: t, rating: r, scale: [1, 2, 3], separator: '::', encoding: iso-8859-1, header: [u, i, r, t]"
    with contextlib.suppress(SourceError):
        own_tables(rows.encode("latin-1"), declared)
    assert list((tmp_path / "scratch").iterdir()) == []


def test_other_settings_or_files_need_overwrite(own_tables) -> None:
    folder = own_tables(TWO).folder
    changed = PrepareConfig(schema=folder.parent / "own.yaml", output=folder, min_user_events=2)
    with pytest.raises(UsageError, match="min_user_events 1, not 2; --overwrite"):
        prepare_dataset(changed)
    with pytest.raises(UsageError, match="from other files; --overwrite"):
        own_tables(TWO + "3,5,1,400\n")
    assert own_tables(TWO + "3,5,1,400\n", overwrite=True).num_users == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_that_is_no_prepared_one_is_never_replaced(
    own_tables, tmp_path: Path, overwrite: bool
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="no prepared folder"):
        own_tables(TWO, overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    ("problem", "error"),
    [(OSError(28, "No space left on device"), DataError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_a_full_disk_or_an_interruption_leaves_nothing(
    own_tables,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    problem: BaseException,
    error: type[BaseException],
) -> None:
    def fails(path: Path, content: object) -> None:
        path.write_text("half")
        raise problem

    monkeypatch.setattr(prepared_folder, "_write_json", fails)
    with pytest.raises(error) as caught:
        own_tables(TWO)
    assert error is KeyboardInterrupt or "out: cannot be written (No space left" in str(
        caught.value
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e.csv", "own.yaml"]


def test_a_failed_overwrite_keeps_what_was_there(
    own_tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = own_tables(TWO)
    monkeypatch.setattr(
        prepared_folder,
        "_write_json",
        lambda path, content: (_ for _ in ()).throw(OSError(28, "full")),
    )
    with pytest.raises(DataError):
        own_tables(TWO + "3,5,1,400\n", overwrite=True)
    assert PreparedDataset.open(before.folder).checksum == before.checksum


def test_the_manifest_is_written_last_and_names_its_sources(own_tables) -> None:
    folder = own_tables(TWO).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["settings"]["md5"] == {
        "e.csv": hashlib.md5(TWO.encode(), usedforsecurity=False).hexdigest()
    }
    assert manifest["settings"]["file_order"] is False
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "manifest.json"


TIED = HEADER + "".join(
    f"{user},{item},{1 + item % 5},100\n" for user in (1, 2) for item in range(12)
)


def test_shuffled_ties_take_their_ratings_along_and_are_said(own_tables) -> None:
    filed = own_tables(TIED)
    shuffled = own_tables(TIED, ties="shuffled", overwrite=True)
    for dataset in (filed, shuffled):
        assert dataset.rating_N.tolist() == [
            1 + dataset.items.raw(item) % 5 for item in dataset.item_N
        ]
    assert [shuffled.items.raw(item) for item in shuffled.item_N] != list(range(12)) * 2
    first, second = np.split(np.asarray(shuffled.item_N), 2)
    assert first.tolist() != second.tolist()  # not one order for all users
    assert (filed.ties, shuffled.ties) == ("file", "shuffled")
    assert filed.checksum != shuffled.checksum


def test_the_order_of_the_file_is_what_it_was_before_there_was_a_choice(own_tables) -> None:
    assert own_tables(TIED).checksum == "c99118260cc40a23"


def test_another_order_of_ties_needs_overwrite(own_tables) -> None:
    own_tables(TIED)
    with pytest.raises(
        UsageError, match=r"was prepared with ties 'file', not 'shuffled'; --overwrite"
    ):
        own_tables(TIED, ties="shuffled")


def test_shuffled_ties_are_refused_where_times_are_ignored(own_tables) -> None:
    with pytest.raises(
        ConfigError, match="ties 'shuffled' is about equal times, and file_order ignores times"
    ):
        own_tables(TIED, ties="shuffled", file_order=True)


def test_the_checksum_follows_the_order_of_events(own_tables) -> None:
    same = [
        own_tables(text, overwrite=True).checksum
        for text in (TWO, HEADER + "2,5,1,300\n1,5,3,100\n1,6,4,200\n")
    ]
    other = own_tables(HEADER + "1,6,3,100\n1,5,4,200\n2,5,1,300\n", overwrite=True).checksum
    assert same[0] == same[1] != other


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "name one source"),
        ({"dataset": "ml-1m", "schema": Path("x")}, "name one source"),
        ({"dataset": "ml-7"}, "ml-7"),
    ],
)
def test_one_known_source_must_be_named(settings: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        prepare_dataset(PrepareConfig(**settings))  # type: ignore[arg-type]


def test_minimum_counts_start_at_one() -> None:
    with pytest.raises(ConfigError, match="min_user_events is 0"):
        PrepareConfig(dataset="ml-1m", min_user_events=0)
