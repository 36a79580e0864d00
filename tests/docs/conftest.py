"""Synthetic tables laid out like MovieLens 100K and 1M, with the ids that the pages use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.ids import FIRST_ITEM, FIRST_USER
from bert4rec.ingest.movielens import RELEASES

ROOT = Path(__file__).parents[2]
GENRES = ["Action", "Comedy", "Drama", "War", "Western"]


@pytest.fixture(scope="session")
def invented_releases(tmp_path_factory: pytest.TempPathFactory) -> Path:
    world = synthetic_dataset(seed=2, num_users=125, num_items=320, events_per_user=12)
    folder = tmp_path_factory.mktemp("releases")
    _write_1m(folder / "ml-1m", world)
    _write_100k(folder / "ml-100k", world)
    return folder


@pytest.fixture
def working_folder(
    invented_releases: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """An empty folder beside the repository's scripts, with the invented releases at hand."""
    for name in ("trainer.py", "inference.py"):
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setenv("BERT4REC_DATA", str(invented_releases))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _write_1m(folder: Path, world: PreparedDataset) -> None:
    _write(folder / "ratings.dat", ("::".join(map(str, event)) for event in _events(world)))
    _write(
        folder / "movies.dat",
        (f"{item}::Film {item} ({1980 + item % 20})::{_genre(item)}" for item in _ids(world)),
    )
    _write(
        folder / "users.dat",
        (f"{u}::{'FM'[u % 2]}::{(18, 25, 35)[u % 3]}::{u % 21}::0" for u in range(1, 126)),
    )


def _write_100k(folder: Path, world: PreparedDataset) -> None:
    schema = RELEASES["ml-100k"].schema
    assert schema.items is not None
    marks = [name for name in schema.items.format.header if name.startswith("genre_")]
    _write(folder / "u.data", ("\t".join(map(str, event)) for event in _events(world)))
    _write(
        folder / "u.item",
        (
            f"{item}|Film {item} ({1980 + item % 20})|||"
            + "".join(f"|{int(mark == f'genre_{_genre(item)}')}" for mark in marks)
            for item in _ids(world)
        ),
    )
    _write(folder / "u.user", (f"{u}|{20 + u % 40}|{'FM'[u % 2]}|student|0" for u in range(1, 126)))


def _events(world: PreparedDataset) -> Iterator[tuple[int, int, int, int]]:
    """User, item, rating and time of every event; items are numbered from 1."""
    user_N = np.repeat(np.arange(world.user_rows), np.diff(world.start_U1))
    rows = zip(user_N, world.item_N, world.rating_N, world.time_N, strict=True)
    return (
        (int(user) - FIRST_USER + 1, int(item) - FIRST_ITEM + 1, int(rating), int(time))
        for user, item, rating, time in rows
    )


def _ids(world: PreparedDataset) -> range:
    return range(1, world.num_items + 1)


def _genre(item: int) -> str:
    return GENRES[item % len(GENRES)]


def _write(path: Path, lines: Iterator[str]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="iso-8859-1")
