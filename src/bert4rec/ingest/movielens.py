"""The MovieLens releases: how each is laid out, and the published checksum of its archive.

Layouts and code lists are those of the releases' own README files; checksums are those GroupLens publishes beside the
archives. Fetching is left to `download`, reading to `sources`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from bert4rec.data.features import Kind
from bert4rec.ingest.schema import EventTable, FeatureColumn, Format, Schema, SideTable

_LATIN = "iso-8859-1"
_YEAR = r"\((\d{4})\)\s*$"
_WHOLE_STARS = [1.0, 2.0, 3.0, 4.0, 5.0]
_HALF_STARS = [half / 2 for half in range(1, 11)]
_NO_GENRE = ["(no genres listed)", "unknown"]

_GENRES_100K = [
    *(
        "unknown",
        "Action",
        "Adventure",
        "Animation",
        "Children's",
        "Comedy",
        "Crime",
        "Documentary",
        "Drama",
    ),
    *(
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
    ),
]

_OCCUPATIONS = [
    *(
        "other or not specified",
        "academic/educator",
        "artist",
        "clerical/admin",
        "college/grad student",
    ),
    *(
        "customer service",
        "doctor/health care",
        "executive/managerial",
        "farmer",
        "homemaker",
        "K-12 student",
    ),
    *(
        "lawyer",
        "programmer",
        "retired",
        "sales/marketing",
        "scientist",
        "self-employed",
        "technician/engineer",
    ),
    *("tradesman/craftsman", "unemployed", "writer"),
]
_OCCUPATIONS_100K = {
    **{
        "other": 0,
        "educator": 1,
        "artist": 2,
        "administrator": 3,
        "student": 4,
        "doctor": 6,
        "healthcare": 6,
    },
    **{
        "executive": 7,
        "homemaker": 9,
        "lawyer": 11,
        "programmer": 12,
        "retired": 13,
        "marketing": 14,
        "salesman": 14,
    },
    **{"scientist": 15, "engineer": 17, "technician": 17, "none": 19, "writer": 20},
    **{"entertainment": 21, "librarian": 22},
}
"""MovieLens 100K names what 1M numbers; the two that 1M has no number for get the next ones."""


@dataclass(frozen=True)
class Release:
    """One release."""

    schema: Schema
    md5: str | None
    """Of the archive, as published; None where none is known."""
    rows: int | None
    """Ratings, as the release's README counts them; None where the release changes."""
    folder_name: str = ""
    """The folder in the archive, where it is not called like the archive."""

    @property
    def name(self) -> str:
        """What the release is asked for by, and its archive is called."""
        return self.schema.name

    @property
    def folder(self) -> str:
        """The name of the unpacked folder."""
        return self.folder_name or self.name


def _demographics(
    age: str, gender: str, occupation: str, codes: dict[str, int] | None = None
) -> list[FeatureColumn]:
    ages = [18.0, 25.0, 35.0, 45.0, 50.0, 56.0]
    labels = ["Under 18", "18-24", "25-34", "35-44", "45-49", "50-55", "56+"]
    words = {str(code): word for code, word in enumerate(_OCCUPATIONS)}
    if codes:
        words |= {"21": "entertainment", "22": "librarian"}
    return [
        FeatureColumn("gender", Kind.CATEGORICAL, gender),
        FeatureColumn("age_group", Kind.CATEGORICAL, age, bins=ages, bin_labels=labels),
        FeatureColumn(
            "occupation_code",
            Kind.CATEGORICAL,
            occupation,
            map={word: str(code) for word, code in (codes or {}).items()},
            labels=words,
        ),
    ]


def _movies(title: str, genres: str) -> list[FeatureColumn]:
    return [
        FeatureColumn("genres", Kind.MULTI, genres, missing=_NO_GENRE),
        FeatureColumn("year", Kind.CATEGORICAL, title, extract=_YEAR),
    ]


def _dat(name: str, scale: list[float], users: bool) -> Schema:
    def layout(*header: str) -> Format:
        return Format("::", header, _LATIN, quoted=False)

    return Schema(
        name,
        EventTable(
            "ratings.dat",
            "user",
            "item",
            "time",
            "rating",
            scale,
            layout("user", "item", "rating", "time"),
        ),
        SideTable(
            "movies.dat",
            "item",
            "title",
            _movies("title", "genres"),
            (),
            layout("item", "title", "genres"),
        ),
        SideTable(
            "users.dat",
            "user",
            None,
            _demographics("age", "gender", "occupation"),
            ["zip_code"],
            layout("user", "gender", "age", "occupation", "zip_code"),
        )
        if users
        else None,
    )


def _csv(name: str) -> Schema:
    return Schema(
        name,
        EventTable("ratings.csv", "userId", "movieId", "timestamp", "rating", _HALF_STARS),
        SideTable("movies.csv", "movieId", "title", _movies("title", "genres")),
    )


def _ml_100k() -> Schema:
    bars = Format("|", encoding=_LATIN, quoted=False)
    genre_columns = [f"genre_{genre}" for genre in _GENRES_100K]
    dates = ["release_date", "video_release_date", "imdb_url"]
    genres = FeatureColumn(
        "genres",
        Kind.MULTI,
        "",
        one_hot={f"genre_{genre}": genre for genre in _GENRES_100K if genre != "unknown"},
    )
    return Schema(
        "ml-100k",
        EventTable(
            *("u.data", "user", "item", "time", "rating", _WHOLE_STARS),
            Format("\t", ("user", "item", "rating", "time"), quoted=False),
        ),
        SideTable(
            "u.item",
            "item",
            "title",
            [genres, _movies("title", "")[1]],
            [*dates, "genre_unknown"],
            replace(bars, header=("item", "title", *dates, *genre_columns)),
        ),
        SideTable(
            "u.user",
            "user",
            None,
            _demographics("age", "gender", "occupation", _OCCUPATIONS_100K),
            ["zip_code"],
            replace(bars, header=("user", "age", "gender", "occupation", "zip_code")),
        ),
    )


def ml_100k_in_recbole() -> Schema:
    """MovieLens 100K as RecBole's atomic files hold it: the same events, users and genres, titles without the year."""
    return Schema(
        "ml-100k",
        EventTable("ml-100k.inter", "user_id", "item_id", "timestamp", "rating", _WHOLE_STARS),
        SideTable(
            "ml-100k.item",
            "item_id",
            "movie_title",
            [
                FeatureColumn("genres", Kind.MULTI, "class", separator=" ", missing=_NO_GENRE),
                FeatureColumn("year", Kind.CATEGORICAL, "release_year", extract=r"^(\d{4})$"),
            ],
        ),
        SideTable(
            "ml-100k.user",
            "user_id",
            None,
            _demographics("age", "gender", "occupation", _OCCUPATIONS_100K),
            ["zip_code"],
        ),
    )


RELEASES = {
    release.name: release
    for release in (
        Release(_ml_100k(), "0e33842e24a9c977be4e0107933c0723", 100_000),
        Release(
            _dat("ml-1m", _WHOLE_STARS, users=True), "c4d9eecfca2ab87c1945afe126590906", 1_000_209
        ),
        Release(_dat("ml-10m", _HALF_STARS, users=False), None, 10_000_054, "ml-10M100K"),
        Release(_csv("ml-20m"), "cd245b17a1ae2cc31bb14903e1204af3", 20_000_263),
        Release(_csv("ml-25m"), "6b51fb2759a8657d3bfcbfc42b592ada", 25_000_095),
        Release(_csv("ml-32m"), "d472be332d4daa821edc399621853b57", 32_000_204),
        Release(_csv("ml-latest-small"), None, None),
    )
}
"""By name."""
