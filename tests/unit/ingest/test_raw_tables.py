"""Text of any layout, Parquet, and conversions."""

from __future__ import annotations

import tempfile
import tracemalloc
from pathlib import Path

import polars as pl
import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import DataError, SourceError
from bert4rec.ids import NO_RATING
from bert4rec.ingest import raw_tables
from bert4rec.ingest.prepare import prepare_dataset
from bert4rec.ingest.schema import Format

HEADER = "u,i,r,t\n"


def history(dataset: PreparedDataset, user: int | str) -> list[int | str]:
    row = dataset.users.row(user)
    assert row is not None
    return [
        dataset.items.raw(item)
        for item in dataset.item_N[dataset.start_U1[row] : dataset.start_U1[row + 1]]
    ]


@pytest.mark.parametrize("suffix", ["tsv", "parquet", "TSV", "PARQUET"])
def test_tsv_and_parquet_read_like_csv(own_tables, tmp_path: Path, suffix: str) -> None:
    rows = {"u": ["a", "b", "a"], "i": [5, 6, 7], "r": [1.5, 2.0, None], "t": [3, 2, 1]}
    table = pl.DataFrame(rows)
    path = tmp_path / f"e.{suffix}"
    table.write_parquet(path) if suffix.lower() == "parquet" else table.write_csv(
        path, separator="\t"
    )
    dataset = own_tables(path.read_bytes(), name=path.name)
    assert history(dataset, "a") == [7, 5]
    assert list(dataset.rating_levels) == [1.5, 2.0]
    assert dataset.rating_N.tolist() == [NO_RATING, 1, 2]


def test_byte_order_mark_crlf_and_blank_lines_are_no_data(own_tables) -> None:
    dataset = own_tables(
        "\ufeff" + HEADER.replace("\n", "\r\n") + "1,5,3,100\r\n\r\n2,6,4,200\r\n\r\n"
    )
    assert list(dataset.users.ids) == [1, 2]
    assert list(dataset.items.ids) == [5, 6]
    assert dataset.manifest["cleaning"]["rows left out, blank"] == 2


def test_latin_1_is_read_if_the_schema_declares_it(own_tables) -> None:
    dataset = own_tables(
        (HEADER + "Zoë,5,3,100\n").encode("latin-1"), "time: t, rating: r, encoding: iso-8859-1"
    )
    assert list(dataset.users.ids) == ["Zoë"]


@pytest.mark.parametrize("piece", [1, 7, 2**22])
def test_conversion_in_pieces_changes_nothing(
    own_tables, monkeypatch: pytest.MonkeyPatch, piece: int
) -> None:
    monkeypatch.setattr(raw_tables, "PIECE", piece)
    rows = "Zoë::5::3::100\r\nZoë::é::4::200\nñ::5::5::300"
    declared = "time: t, rating: r, encoding: iso-8859-1, separator: '::', header: [u, i, r, t]"
    dataset = own_tables(rows.encode("latin-1"), declared)
    assert history(dataset, "Zoë") == ["5", "é"]
    assert history(dataset, "ñ") == ["5"]
    assert dataset.time_N.tolist() == [100, 200, 300]


def test_conversion_holds_one_piece_in_memory(
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


def test_full_disk_during_conversion_is_one_clear_line(
    own_tables, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "NamedTemporaryFile", full)
    with pytest.raises(
        DataError, match=r"e\.csv: cannot be converted in .* \(No space left on device\)"
    ):
        own_tables(HEADER.encode() + b"1,5,3,100\n", "time: t, rating: r, encoding: iso-8859-1")


def test_damaged_parquet_file_is_named(own_tables) -> None:
    with pytest.raises(SourceError, match=r"e\.parquet: not a Parquet file, or truncated"):
        own_tables(b"PAR1 and then nothing", name="e.parquet")


def test_missing_table_is_named(own_tables) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv: no such file"):
        own_tables(HEADER + "1,5,3,5\n", more="items: {file: nowhere.csv, item: i}\n")


@pytest.mark.parametrize("suffix", ["csv", "tsv", "parquet"])
def test_any_column_name_works(own_tables, tmp_path: Path, suffix: str) -> None:
    names = ["row", "u", "ga:sku", "t", "utm:source", "utm:medium"]
    table = pl.DataFrame([[9, 1, 5, 100, "a", "b"], [8, 1, 6, 200, "a", "b"]], names, orient="row")
    path = tmp_path / f"e.{suffix}"
    separator = "\t" if suffix == "tsv" else ","
    table.write_parquet(path) if suffix == "parquet" else table.write_csv(path, separator=separator)
    schema = tmp_path / "own.yaml"
    schema.write_text(f'events: {{file: {path.name}, user: row, item: "ga:sku", time: t}}\n')
    dataset = prepare_dataset(PrepareConfig(schema=schema, output=tmp_path / "out"), lambda _: None)
    assert history(dataset, 9) == [5]
    assert history(dataset, 8) == [6]
