"""Seeded edits of model folders: a load ends in one clear line, or in the model as it was."""

from __future__ import annotations

import json
import math
import os
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from bert4rec import artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import Bert4RecError
from saved_models import save_untrained, sign

VALUES = (None, "x", -1, 10**12, math.nan, [], {}, [[[]]], True, 0.5)
DELETED = object()
FLIPS = 6


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory, world_folder: Path) -> Path:
    folder = tmp_path_factory.mktemp("hostile") / "model"
    save_untrained(folder, PreparedDataset.open(world_folder))
    return folder


def outcome(folder: Path) -> str:
    """Refused or loaded; any other exception is a failure of the test."""
    try:
        artefact.load(folder)
    except Bert4RecError as problem:
        return "refused" if "\n" not in str(problem) else "several lines"
    return "loaded"


def writer(name: str, content: bytes) -> Callable[[Path], None]:
    """Attack that replaces the content of one file."""

    def write(folder: Path) -> None:
        (folder / name).write_bytes(content)

    return write


def attacked(stored: Path, folder: Path, attack: Callable[[Path], None], signed: bool) -> str:
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(stored, folder)
    attack(folder)
    if signed:
        sign(folder)
    return outcome(folder)


def paths(content: Any, most: int = 1) -> Iterator[tuple[Any, ...]]:
    """Every key of nested JSON; of a list the first entries."""
    entries = content.items() if isinstance(content, dict) else enumerate(content[:most])
    for key, value in entries:
        yield (key,)
        if isinstance(value, dict | list):
            yield from ((key, *rest) for rest in paths(value))


def edited(content: Any, path: tuple[Any, ...], value: object) -> Any:
    copy = json.loads(json.dumps(content))
    inner = copy
    for key in path[:-1]:
        inner = inner[key]
    if value is DELETED:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copy


@pytest.mark.parametrize("name", ["config.json", "metadata.json"])
def test_edits_of_json_with_new_checksums_are_one_line_or_a_right_answer(
    name: str, stored: Path, tmp_path: Path
) -> None:
    content, draw, counts = json.loads((stored / name).read_text()), random.Random(0), Counter()
    for path in paths(content):
        for value in (DELETED, draw.choice(VALUES)):
            text = json.dumps(edited(content, path, value))
            write = writer(name, text.encode())
            counts[attacked(stored, tmp_path / "m", write, signed=True)] += 1
    print(name, dict(counts))
    assert counts["refused"]
    assert set(counts) <= {"refused", "loaded"}


@pytest.mark.parametrize("signed", [False, True])
def test_flipped_bytes_are_one_line(signed: bool, stored: Path, tmp_path: Path) -> None:
    draw, counts = random.Random(1), Counter()
    for name in ("config.json", "metadata.json", "model.safetensors", "data.safetensors"):
        if signed and name == "config.json":
            continue
        for _ in range(FLIPS):
            content = bytearray((stored / name).read_bytes())
            content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
            write = writer(name, bytes(content))
            counts[attacked(stored, tmp_path / "m", write, signed)] += 1
    print(dict(counts))
    assert signed or set(counts) == {"refused"}


@pytest.mark.parametrize("name", ["model.safetensors", "data.safetensors"])
def test_tensors_of_other_shapes_types_and_names_are_refused(
    name: str, stored: Path, tmp_path: Path
) -> None:
    tensors = safetensors.torch.load_file(stored / name)
    for key, tensor in list(tensors.items())[::6]:
        if key.endswith("table_O"):
            continue  # copies of the data, which are not read
        rest = {other: value for other, value in tensors.items() if other != key}
        for changed in (
            rest,
            {**rest, key: torch.cat([tensor.reshape(-1), tensor.reshape(-1)])},
            {**rest, key: tensor.to(torch.complex64)},
        ):
            save = writer(name, safetensors.torch.save(changed))
            assert attacked(stored, tmp_path / "m", save, signed=True) == "refused", key


@pytest.mark.parametrize("name", ["config.json", "metadata.json", "model.safetensors"])
def test_pipes_and_devices_in_place_of_files_are_refused(
    name: str, stored: Path, tmp_path: Path
) -> None:
    for replace in (os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir):
        shutil.rmtree(tmp_path / "m", ignore_errors=True)
        shutil.copytree(stored, tmp_path / "m")
        (tmp_path / "m" / name).unlink()
        replace(tmp_path / "m" / name)
        assert outcome(tmp_path / "m") == "refused"
