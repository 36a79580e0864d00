"""Reuse of prepared folders: the same ones, damaged ones, and those of other settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import UsageError
from bert4rec.ingest.prepare import prepare_dataset

HEADER = "u,i,r,t\n"


TWO = HEADER + "1,5,3,100\n1,6,4,200\n2,5,1,300\n"


def test_prepared_folder_is_used_again(own_tables) -> None:
    first, lines = own_tables(TWO), []
    manifest = first.folder / "manifest.json"
    before = manifest.stat().st_mtime_ns
    config = PrepareConfig(schema=first.folder.parent / "own.yaml", output=first.folder)
    again = prepare_dataset(config, lines.append)
    assert again.checksum == first.checksum
    assert manifest.stat().st_mtime_ns == before
    assert "already prepared" in lines[0]


def test_file_with_another_date_is_the_same_file(own_tables, tmp_path: Path) -> None:
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
def test_damaged_folder_is_prepared_again(
    own_tables, name: str, damage: Callable[[Path], None], said: str
) -> None:
    before, lines = own_tables(TWO), []
    damage(before.folder / name)
    assert own_tables(TWO, log=lines.append).checksum == before.checksum
    assert said in lines[0]
    assert lines[0].endswith("; it is prepared again")
    assert PreparedDataset.open(before.folder, verify=True).checksum == before.checksum


def test_folder_of_another_version_and_other_settings_is_not_replaced(own_tables) -> None:
    folder = own_tables(TWO).folder
    of_version_99(folder / "manifest.json")
    with pytest.raises(UsageError, match="min_user_events 1, not 2; --overwrite"):
        own_tables(TWO, min_user_events=2)


def test_other_settings_or_files_need_overwrite(own_tables) -> None:
    folder = own_tables(TWO).folder
    changed = PrepareConfig(schema=folder.parent / "own.yaml", output=folder, min_user_events=2)
    with pytest.raises(UsageError, match="min_user_events 1, not 2; --overwrite"):
        prepare_dataset(changed)
    with pytest.raises(UsageError, match="from other files; --overwrite"):
        own_tables(TWO + "3,5,1,400\n")
    assert own_tables(TWO + "3,5,1,400\n", overwrite=True).num_users == 3


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_folder_is_never_replaced(own_tables, tmp_path: Path, overwrite: bool) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="no prepared folder"):
        own_tables(TWO, overwrite=overwrite)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "years of work"


FOREIGN_MANIFESTS = {
    "a list": "[1, 2]",
    "no JSON": "files of my thesis",
    "an object of another program": '{"name": "app", "files": ["thesis.txt"]}',
    "nothing": "",
}


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("manifest", FOREIGN_MANIFESTS.values(), ids=FOREIGN_MANIFESTS)
def test_folder_with_a_foreign_manifest_is_never_replaced(
    own_tables, tmp_path: Path, manifest: str, overwrite: bool
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text(manifest)
    (tmp_path / "out" / "titles.json").write_text("years of work")
    with pytest.raises(UsageError, match="no prepared folder"):
        own_tables(TWO, overwrite=overwrite)
    assert (tmp_path / "out" / "manifest.json").read_text() == manifest
    assert (tmp_path / "out" / "titles.json").read_text() == "years of work"


@pytest.mark.parametrize("overwrite", [False, True])
def test_foreign_file_in_a_prepared_folder_is_never_removed(own_tables, overwrite: bool) -> None:
    folder = own_tables(TWO).folder
    (folder / "thesis.txt").write_text("years of work")
    cut_in_half(folder / "event_item.npy")
    with pytest.raises(UsageError, match=r"holds 'thesis.txt', which prepare did not write"):
        own_tables(TWO, overwrite=overwrite)
    assert (folder / "thesis.txt").read_text() == "years of work"
    assert (folder / "event_time.npy").is_file()


def test_nothing_is_left_beside_a_replaced_folder(own_tables) -> None:
    folder = own_tables(TWO).folder
    before = sorted(folder.parent.iterdir())
    own_tables(TWO, overwrite=True)
    assert sorted(folder.parent.iterdir()) == before
