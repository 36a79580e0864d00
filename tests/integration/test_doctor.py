"""`doctor` lists versions and the device, and fails on an incomplete or damaged folder."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest

from bert4rec import __version__
from command_line import run

ARRAYS = [
    "user_start.npy",
    "event_item.npy",
    "event_time.npy",
    "event_rating.npy",
    "item_feature_0.npy",
    "user_feature_2.npy",
]


def test_doctor_reports_packages_and_the_device() -> None:
    found = json.loads(run("doctor", "--json").succeeded())
    assert found["bert4rec"] == __version__
    assert found["torch"][0].isdigit()
    assert {
        "python",
        "numpy",
        "scipy",
        "polars",
        "lightning",
        "device",
        "threads",
        "memory",
    } <= set(found)
    assert found["device"].startswith(("cpu", "gpu", "mps"))
    assert "data" not in found


def test_memory_that_the_system_does_not_tell_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sysconf")
    assert json.loads(run("doctor", "--json").succeeded())["memory"] == "unknown"


def test_doctor_confirms_complete_folders(world_folder: Path, model: Path) -> None:
    found = json.loads(
        run("doctor", "--data", world_folder, "--model", model, "--json").succeeded()
    )
    assert found["data"].startswith("complete: 80 users, 24 items, 1,200 events")
    assert found["model"].startswith("complete: trained on synthetic")
    assert "complete: 80 users" in run("doctor", "--data", world_folder).succeeded()


@pytest.mark.parametrize("name", [*ARRAYS, "vocabulary.json", "titles.json", "manifest.json"])
def test_doctor_names_a_truncated_file_of_a_prepared_folder(
    world_folder: Path, copy, name: str
) -> None:
    folder = copy(world_folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    done = run("doctor", "--data", folder, "--json")
    assert str(folder / name) in done.refused(1)
    assert json.loads(done.out)["data"].startswith("incomplete or damaged: ")


@pytest.mark.parametrize(
    "name", ["event_item.npy", "event_time.npy", "event_rating.npy", "user_feature_0.npy"]
)
def test_doctor_names_an_undamaged_file_of_other_data(
    world_folder: Path, other_world: Path, copy, name: str
) -> None:
    folder = copy(world_folder)
    shutil.copy(other_world / name, folder / name)
    assert f"{folder / name}: not the file that manifest.json names" in run(
        "doctor", "--data", folder
    ).refused(1)


def test_doctor_names_a_missing_file(world_folder: Path, copy) -> None:
    folder = copy(world_folder)
    (folder / "titles.json").unlink()
    assert "titles.json" in run("doctor", "--data", folder).refused(1)
    (folder / "manifest.json").unlink()
    assert "is not complete" in run("doctor", "--data", folder).refused(1)


@pytest.mark.parametrize(
    "name", ["model.safetensors", "data.safetensors", "metadata.json", "metrics.json"]
)
def test_doctor_names_a_changed_file_of_a_model(model: Path, copy, name: str) -> None:
    folder = copy(model)
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    assert name in run("doctor", "--model", folder).refused(1)


def test_doctor_reports_both_folders_in_one_line(tmp_path: Path) -> None:
    said = run("doctor", "--data", tmp_path / "a", "--model", tmp_path / "b").refused(1)
    assert f"{tmp_path / 'a'}: the prepared folder does not exist" in said
    assert f"{tmp_path / 'b'}: does not exist" in said
