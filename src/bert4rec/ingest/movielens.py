"""MovieLens releases: the layout of each, and the published checksum of its archive.

Layouts and code lists are those of the releases' own README files. Checksums are those that
GroupLens publishes beside the archives. Files are found in `local_files` and fetched in `download`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from bert4rec.data.features import Kind
from bert4rec.ingest.schema import EventTable, FeatureColumn, Format, Schema, SideTable

_LATIN = "iso-8859-1"
_YEAR_IN_TITLE = r"\((\d{4})\)\s*$"
_WHOLE_STARS = [1.0, 2.0, 3.0, 4.0, 5.0]
_HALF_STARS = [half / 2 for half in range(1, 11)]
_NO_GENRE = ["(no genres listed)", "unknown"]

_GENRES_100K = [
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
]

_AGE_BOUNDS = [18.0, 25.0, 35.0, 45.0, 50.0, 56.0]
_AGE_GROUPS = ["Under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+"]

_OCCUPATIONS = {
    0: "other or not specified",
    1: "academic/educator",
    2: "artist",
    3: "clerical/admin",
    4: "college/grad student",
    5: "customer service",
    6: "doctor/health care",
    7: "executive/managerial",
    8: "farmer",
    9: "homemaker",
    10: "K-12 student",
    11: "lawyer",
    12: "programmer",
    13: "retired",
    14: "sales/marketing",
    15: "scientist",
    16: "self-employed",
    17: "technician/engineer",
    18: "tradesman/craftsman",
    19: "unemployed",
    20: "writer",
}
"""Occupation codes of MovieLens 1M."""

_OCCUPATION_CODES_100K = {
    "other": 0,
    "educator": 1,
    "artist": 2,
    "administrator": 3,
    "student": 4,
    "doctor": 6,
    "healthcare": 6,
    "executive": 7,
    "homemaker": 9,
    "lawyer": 11,
    "programmer": 12,
    "retired": 13,
    "marketing": 14,
    "salesman": 14,
    "scientist": 15,
    "engineer": 17,
    "technician": 17,
    "none": 19,
    "writer": 20,
    "entertainment": 21,
    "librarian": 22,
}
"""Codes of MovieLens 1M for the words of 100K; the two words without one get the next codes."""


@dataclass(frozen=True)
class Release:
    """One MovieLens release."""

    schema: Schema
    md5: str | None
    """Published MD5 of the archive, if known."""
    rows: int | None
    """Number of ratings by the release's README; None for a release that changes."""
    folder_name: str = ""
    """Folder in the archive, if it is not named like the archive."""

    @property
    def name(self) -> str:
        """Name of the release and of its archive."""
        return self.schema.name

    @property
    def folder(self) -> str:
        """Name of the unpacked folder."""
        return self.folder_name or self.name


def _demographics(
    age: str, gender: str, occupation: str, codes: Mapping[str, int] | None = None
) -> list[FeatureColumn]:
    """User features of the given columns; `codes` replace the words of an occupation column."""
    labels = {str(code): word for code, word in _OCCUPATIONS.items()}
    replacements = {}
    if codes:
        labels |= {"21": "entertainment", "22": "librarian"}
        replacements = {word: str(code) for word, code in codes.items()}
    return [
        FeatureColumn("gender", Kind.CATEGORICAL, gender),
        FeatureColumn("age_group", Kind.CATEGORICAL, age, bins=_AGE_BOUNDS, bin_labels=_AGE_GROUPS),
        FeatureColumn(
            "occupation_code", Kind.CATEGORICAL, occupation, map=replacements, labels=labels
        ),
    ]


def _genres(column: str) -> FeatureColumn:
    return FeatureColumn("genres", Kind.MULTI, column, missing=_NO_GENRE)


def _year(title: str) -> FeatureColumn:
    return FeatureColumn("year", Kind.CATEGORICAL, title, extract=_YEAR_IN_TITLE)


def _dat_format(*header: str) -> Format:
    return Format("::", header, _LATIN, quoted=False)


def _dat_schema(name: str, scale: list[float], has_users: bool) -> Schema:
    """Schema of the `.dat` releases, 1M and 10M."""
    events = EventTable(
        file="ratings.dat",
        user="user",
        item="item",
        time="time",
        rating="rating",
        scale=scale,
        format=_dat_format("user", "item", "rating", "time"),
    )
    items = SideTable(
        file="movies.dat",
        key="item",
        title="title",
        features=[_genres("genres"), _year("title")],
        format=_dat_format("item", "title", "genres"),
    )
    users = SideTable(
        file="users.dat",
        key="user",
        features=_demographics("age", "gender", "occupation"),
        unused=["zip_code"],
        format=_dat_format("user", "gender", "age", "occupation", "zip_code"),
    )
    return Schema(name, events, items, users if has_users else None)


def _csv_schema(name: str) -> Schema:
    """Schema of the `.csv` releases, from 20M on."""
    events = EventTable(
        file="ratings.csv",
        user="userId",
        item="movieId",
        time="timestamp",
        rating="rating",
        scale=_HALF_STARS,
    )
    items = SideTable(
        file="movies.csv",
        key="movieId",
        title="title",
        features=[_genres("genres"), _year("title")],
    )
    return Schema(name, events, items)


def _ml_100k() -> Schema:
    bars = Format("|", encoding=_LATIN, quoted=False)
    genre_columns = {genre: f"genre_{genre}" for genre in _GENRES_100K}
    one_hot = {column: genre for genre, column in genre_columns.items() if genre != "unknown"}
    dates = ["release_date", "video_release_date", "imdb_url"]
    events = EventTable(
        file="u.data",
        user="user",
        item="item",
        time="time",
        rating="rating",
        scale=_WHOLE_STARS,
        format=Format("\t", ("user", "item", "rating", "time"), quoted=False),
    )
    items = SideTable(
        file="u.item",
        key="item",
        title="title",
        features=[FeatureColumn("genres", Kind.MULTI, "", one_hot=one_hot), _year("title")],
        unused=[*dates, "genre_unknown"],
        format=replace(bars, header=("item", "title", *dates, *genre_columns.values())),
    )
    users = SideTable(
        file="u.user",
        key="user",
        features=_demographics("age", "gender", "occupation", _OCCUPATION_CODES_100K),
        unused=["zip_code"],
        format=replace(bars, header=("user", "age", "gender", "occupation", "zip_code")),
    )
    return Schema("ml-100k", events, items, users)


def ml_100k_in_recbole() -> Schema:
    """MovieLens 100K as RecBole's atomic files: titles lack the year, all else is the same."""
    events = EventTable(
        file="ml-100k.inter",
        user="user_id",
        item="item_id",
        time="timestamp",
        rating="rating",
        scale=_WHOLE_STARS,
    )
    items = SideTable(
        file="ml-100k.item",
        key="item_id",
        title="movie_title",
        features=[
            replace(_genres("class"), separator=" "),
            FeatureColumn("year", Kind.CATEGORICAL, "release_year", extract=r"^(\d{4})$"),
        ],
    )
    users = SideTable(
        file="ml-100k.user",
        key="user_id",
        features=_demographics("age", "gender", "occupation", _OCCUPATION_CODES_100K),
        unused=["zip_code"],
    )
    return Schema("ml-100k", events, items, users)


_ALL = (
    Release(_ml_100k(), "0e33842e24a9c977be4e0107933c0723", 100_000),
    Release(
        _dat_schema("ml-1m", _WHOLE_STARS, has_users=True),
        "c4d9eecfca2ab87c1945afe126590906",
        1_000_209,
    ),
    Release(_dat_schema("ml-10m", _HALF_STARS, has_users=False), None, 10_000_054, "ml-10M100K"),
    Release(_csv_schema("ml-20m"), "cd245b17a1ae2cc31bb14903e1204af3", 20_000_263),
    Release(_csv_schema("ml-25m"), "6b51fb2759a8657d3bfcbfc42b592ada", 25_000_095),
    Release(_csv_schema("ml-32m"), "d472be332d4daa821edc399621853b57", 32_000_204),
    Release(_csv_schema("ml-latest-small"), None, None),
)

RELEASES = {release.name: release for release in _ALL}
"""Releases by name."""
