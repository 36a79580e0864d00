"""Full disks: an error of one line, no folder that looks complete, and a way to continue."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from command_line import finished, process, run, settings

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def half_an_array(path: Path, array: np.ndarray, **_: Any) -> None:
    path.write_bytes(array.tobytes()[: array.nbytes // 2])
    raise FULL


def half_a_text(path: Path, text: str, **_: Any) -> None:
    path.write_bytes(text.encode()[: len(text) // 2])
    raise FULL


def no_copy(*_: Any) -> None:
    raise FULL


def as_numpy_says_it(path: Path, array: np.ndarray, **_: Any) -> None:
    raise OSError(f"{array.size} requested and {array.size // 2} written")


PREPARING = {
    "an array": (np, "save", half_an_array, "No space left on device"),
    "an array, without a reason": (np, "save", as_numpy_says_it, "is the disk full?"),
    "the vocabulary": (Path, "write_text", half_a_text, "No space left on device"),
    "what is unpacked": (shutil, "copyfileobj", no_copy, "No space left on device"),
}


@pytest.mark.parametrize(("owner", "name", "full", "said"), PREPARING.values(), ids=PREPARING)
def test_preparation_on_a_full_disk_leaves_no_trace(
    tmp_path: Path,
    release: Path,
    monkeypatch: pytest.MonkeyPatch,
    owner: Any,
    name: str,
    full: Any,
    said: str,
) -> None:
    words = [
        "prepare",
        "--dataset",
        "ml-1m",
        "--data_dir",
        release.parent,
        "--output",
        tmp_path / "out",
    ]
    with monkeypatch.context() as patched:
        patched.setattr(owner, name, full)
        line = run(*words).refused(1)
    assert said in line
    assert str(tmp_path) in line
    assert names(tmp_path) == {"data", "data/ml-1m.zip"}
    run(*words).succeeded()


def test_repeated_preparation_on_a_full_disk_keeps_the_old_folder(
    tmp_path: Path, release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = [
        "prepare",
        "--dataset",
        "ml-1m",
        "--data_dir",
        release.parent,
        "--output",
        tmp_path / "out",
    ]
    run(*words).succeeded()
    with monkeypatch.context() as patched:
        patched.setattr(np, "save", half_an_array)
        run(*words, "--overwrite").refused(1)
    assert run("doctor", "--data", tmp_path / "out").code == 0


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """`disk(n)`: room for n more files that are written whole, and half of the next."""
    real, left = os.fsync, [10**6]

    def fsync(descriptor: int) -> None:
        if not left[0]:
            os.ftruncate(descriptor, os.fstat(descriptor).st_size // 2)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left[0] -= 1
        real(descriptor)

    def room(files: int) -> None:
        left[0] = files

    monkeypatch.setattr(os, "fsync", fsync)
    return room


@pytest.mark.parametrize("files", [0, 1, 2, 3, 6, 8, 11])
def test_training_on_a_full_disk_leaves_no_model_and_resumes_later(
    tmp_path: Path, world_folder: Path, disk: Callable[[int], None], files: int
) -> None:
    folder = tmp_path / "model"
    words = ["train", "--data", world_folder, "--output", folder, *settings()]
    disk(files)
    line = run(*words).refused(1)
    assert str(folder) in line
    assert "cannot be written (No space left on device)" in line
    assert (
        ("--resume goes on" in line)
        == (folder / "training" / "last.ckpt").is_file()
        == (files >= 3)
    )
    assert not (folder / "config.json").exists()
    assert not [name for name in names(folder) if "unfinished" in name]
    for checkpoint in folder.rglob("*.ckpt"):
        assert torch.load(checkpoint, weights_only=True)["epoch"] in (0, 1)
    assert "is not a complete model folder" in run(
        "recommend", "--model", folder, "--user_id", "1"
    ).refused(1)
    disk(1000)
    again = run(*words, "--resume").succeeded()
    assert again.count("epoch   1/2") == (files < 3)
    assert json.loads((folder / "training.json").read_text())["epochs"] == 2
    run("doctor", "--model", folder).succeeded()


REPORTS = [
    "model_request_time_on.json",
    "model_request_time_off.json",
    "report.md",
    "comparison.png",
]
"""In the order in which they are written."""


@pytest.mark.parametrize("files", range(len(REPORTS)))
def test_report_on_a_full_disk_is_not_left_half_written(
    tmp_path: Path, model: Path, disk: Callable[[int], None], files: int
) -> None:
    disk(files)
    line = run("evaluate", "--model", model, "--output", tmp_path / "reports").refused(1)
    assert line == f"{tmp_path / 'reports' / REPORTS[files]}: No space left on device"
    assert names(tmp_path / "reports") == set(REPORTS[:files])


def limited() -> None:
    """Files of at most 20 kB: less than a checkpoint."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def test_limit_of_the_system_is_met_like_a_full_disk(tmp_path: Path, world_folder: Path) -> None:
    folder = tmp_path / "model"
    words = ["train", "--data", world_folder, "--output", folder, *settings()]
    done = finished(process(*words, preexec_fn=limited))
    assert (
        done.refused(1)
        == f"{folder / 'training' / 'best.ckpt'}: cannot be written (File too large)"
    )
    assert {path.name for path in (folder / "training").iterdir()} == {"run.json", "log"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "words", [["--help"], ["train", "--data", "d", "--output", "o", "--print_config"]], ids=" ".join
)
def test_full_stdout_is_reported(words: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = finished(process(*words, stdout=full))
    assert done.refused(1) == "output: No space left on device"
