"""Every MovieLens layout with invented rows, and the real releases if they are on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bert4rec.config import PrepareConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import SourceError
from bert4rec.ingest.prepare import prepare_dataset

GENRES_OF_11 = "0|0|0|0|0|1|0|0|0|0|0|0|0|0|0|1|0|0|0"  # Comedy and Sci-Fi
NO_GENRE = "1" + "|0" * 18

LAYOUTS: dict[str, dict[str, str]] = {
    "ml-1m": {
        "ratings.dat": "1::11::5::978300760\n1::12::3::978300700\n2::11::4::978300800\n",
        "movies.dat": "11::Día: the Robot (1987)::Comedy|Sci-Fi\n"
        "12::Second (a 1990s tale) (1999)::Drama\n13::No (2000)::War\n",
        "users.dat": "1::F::1::7::00000\n2::M::56::12::11111\n",
    },
    "ml-100k": {
        "u.data": "1\t11\t5\t978300760\n1\t12\t3\t978300700\n2\t11\t4\t978300800\n",
        "u.item": f"11|Día: the Robot (1987)|x|||{GENRES_OF_11}\n"
        f"12|Second (a 1990s tale) (1999)|x|||{NO_GENRE}\n",
        "u.user": "1|17|F|executive|00000\n2|70|M|programmer|11111\n",
    },
    "ml-latest-small": {
        "ratings.csv": "userId,movieId,rating,timestamp\n"
        "1,11,5.0,978300760\n1,12,3.0,978300700\n2,11,4.0,978300800\n",
        "movies.csv": (
            'movieId,title,genres\n11,"Día: the Robot (1987)",Comedy|Sci-Fi\n'
            "12,Second (a 1990s tale) (1999) ,(no genres listed)\n"
        ),
    },
    "ml-10m": {
        "ratings.dat": "1::11::5::978300760\n1::12::3::978300700\n2::11::4::978300800\n",
        "movies.dat": "11::Día: the Robot (1987)::Comedy|Sci-Fi\n"
        "12::Second (a 1990s tale) (1999)::Drama\n",
    },
}


def write_release(name: str, folder: Path) -> Path:
    folder.mkdir(parents=True)
    for file, text in LAYOUTS[name].items():
        (folder / file).write_text(
            text, encoding="utf-8" if file.endswith(".csv") else "iso-8859-1"
        )
    return folder


def prepare(
    name: str, data_dir: Path, output: Path, lines: list[str] | None = None
) -> PreparedDataset:
    log = (lambda line: None) if lines is None else lines.append
    return prepare_dataset(PrepareConfig(dataset=name, data_dir=data_dir, output=output), log)


@pytest.fixture(params=LAYOUTS)
def release(request: pytest.FixtureRequest, tmp_path: Path) -> PreparedDataset:
    """Prepared dataset of the invented release, in each layout."""
    return prepare(
        request.param, write_release(request.param, tmp_path / request.param), tmp_path / "out"
    )


def values(dataset: PreparedDataset, name: str, raw: int, owner: str = "item") -> list[int | str]:
    feature, rows = (dataset.item_features if owner == "item" else dataset.user_features)[name]
    row = (dataset.items if owner == "item" else dataset.users).row(raw)
    return [feature.values[value - 1] for value in np.atleast_1d(rows[row]) if value]


def test_all_layouts_give_the_same_histories_titles_and_years(release: PreparedDataset) -> None:
    assert [release.items.raw(item) for item in release.item_N] == [12, 11, 11]
    assert release.time_N.tolist() == [978300700, 978300760, 978300800]
    assert release.rating_levels[release.rating_N - 1].tolist() == [3, 5, 4]
    assert [title.strip() for title in release.titles] == [
        "Día: the Robot (1987)",
        "Second (a 1990s tale) (1999)",
    ]
    assert [values(release, "year", item) for item in (11, 12)] == [[1987], [1999]]
    assert values(release, "genres", 11) == ["Comedy", "Sci-Fi"]


def test_unknown_is_no_genre(release: PreparedDataset) -> None:
    assert not {"unknown", "(no genres listed)"} & set(release.item_features["genres"][0].values)


@pytest.mark.parametrize("name", ["ml-1m", "ml-100k"])
def test_ages_and_occupations_follow_the_codes_of_1m(name: str, tmp_path: Path) -> None:
    dataset = prepare(name, write_release(name, tmp_path / name), tmp_path / "out")
    assert [values(dataset, "age_group", user, "user") for user in (1, 2)] == [
        ["Under 18"],
        ["56+"],
    ]
    assert [values(dataset, "occupation_code", user, "user") for user in (1, 2)] == [[7], [12]]
    assert values(dataset, "gender", 1, "user") == ["F"]
    assert dataset.user_features["occupation_code"][0].labels == {
        "7": "executive/managerial",
        "12": "programmer",
    }


def test_zip_code_is_left_out_on_purpose(tmp_path: Path) -> None:
    lines: list[str] = []
    prepare("ml-1m", write_release("ml-1m", tmp_path / "ml-1m"), tmp_path / "out", lines)
    assert any("zip_code" in line and "on purpose" in line for line in lines)


def test_release_with_another_number_of_rows_is_noted(tmp_path: Path) -> None:
    lines: list[str] = []
    prepare("ml-1m", write_release("ml-1m", tmp_path / "ml-1m"), tmp_path / "out", lines)
    assert any("has 3 rows, the published file 1,000,209" in line for line in lines)


@pytest.mark.parametrize(
    ("row", "part"),
    [
        (
            "3::11::11::978300000",
            r"ratings\.dat, row 4, field 'rating': '11' is not on the scale \(1 to 5\)",
        ),
        ("3::11::4", r"row 4, field 'time': missing \(the row has 3 of 4 fields\)"),
        ("3::11::4::-1", "row 4, field 'time': '-1' is a time before 1970"),
    ],
)
def test_bad_row_of_a_release_is_named(tmp_path: Path, row: str, part: str) -> None:
    folder = write_release("ml-1m", tmp_path / "ml-1m")
    with (folder / "ratings.dat").open("a") as ratings:
        ratings.write(row + "\n")
    with pytest.raises(SourceError, match=part):
        prepare("ml-1m", folder, tmp_path / "out")


@pytest.mark.movielens
@pytest.mark.parametrize(
    ("name", "users", "items", "ratings", "genres"),
    [("ml-100k", 943, 1682, 100_000, 18), ("ml-1m", 6040, 3706, 1_000_209, 18)],
)
def test_real_releases_have_their_published_counts(
    movielens: Path, tmp_path: Path, name: str, users: int, items: int, ratings: int, genres: int
) -> None:
    dataset = prepare(name, movielens, tmp_path / "out")
    assert (dataset.num_users, dataset.num_items, len(dataset.item_N)) == (users, items, ratings)
    assert len(dataset.item_features["genres"][0].values) == genres
    assert (dataset.rating_N > 0).all()
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))
    assert (np.diff(dataset.time_N)[np.diff(user_N) == 0] >= 0).all()
