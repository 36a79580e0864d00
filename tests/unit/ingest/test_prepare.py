"""Preparation as a whole: its source, and folders that are complete or not there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import tempfile
from pathlib import Path

import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data import prepared_folder
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import DataError, PreparedDataError, SourceError, UsageError
from bert4rec.ingest.prepare import prepare_dataset

HEADER = "u,i,r,t\n"


TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


@pytest.mark.parametrize(
    ("settings", "part"),
    [
        ({}, "name one source"),
        ({"dataset": "ml-1m", "schema": Path("x")}, "name one source"),
        ({"dataset": "ml-7"}, "ml-7"),
    ],
)
def test_exactly_one_known_source_must_be_named(settings: dict[str, object], part: str) -> None:
    with pytest.raises(UsageError, match=part):
        prepare_dataset(PrepareConfig(**settings))  # type: ignore[arg-type]


def test_missing_folder_names_the_command_that_makes_it(tmp_path: Path) -> None:
    command = (
        f"bert4rec prepare --dataset NAME --output {tmp_path / 'gone'}' (own tables: --schema FILE)"
    )
    with pytest.raises(PreparedDataError, match=re.escape(command)):
        PreparedDataset.open(tmp_path / "gone")


@pytest.mark.parametrize("rows", ["Zoë::5::3::100\n", "Zoë::5::11::100\n"], ids=["good", "bad"])
def test_temporary_files_are_deleted(
    own_tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: str
) -> None:
    (tmp_path / "scratch").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "scratch"))
    declared = (
        "time: t, rating: r, scale: [1, 2, 3], "
        "separator: '::', encoding: iso-8859-1, header: [u, i, r, t]"
    )
    with contextlib.suppress(SourceError):
        own_tables(rows.encode("latin-1"), declared)
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.parametrize(
    ("problem", "error"),
    [(OSError(28, "No space left on device"), DataError), (KeyboardInterrupt(), KeyboardInterrupt)],
)
def test_full_disk_or_interruption_leaves_nothing(
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


def test_failed_overwrite_keeps_the_older_folder(
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


def test_manifest_is_written_last_and_names_its_sources(own_tables) -> None:
    folder = own_tables(TWO).folder
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["settings"]["md5"] == {
        "e.csv": hashlib.md5(TWO.encode(), usedforsecurity=False).hexdigest()
    }
    assert manifest["settings"]["file_order"] is False
    newest = max(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns)
    assert newest.name == "manifest.json"
