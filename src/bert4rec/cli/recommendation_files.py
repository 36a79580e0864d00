"""RecommendationTable of many users as one file, piece by piece: `user_id, item_id, score, rank`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert4rec.errors import DataError, UsageError
from bert4rec.files import atomic_path

if TYPE_CHECKING:
    import polars as pl

    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.engine.answers import RecommendationTable
    from bert4rec.ids import Vocabulary

FORMATS = (".parquet", ".csv", ".tsv")


def check_format(path: Path) -> None:
    """Raises UsageError where the name says no format that is known."""
    if path.suffix.lower() not in FORMATS:
        raise UsageError(f"--output {path}: end its name in {', '.join(FORMATS)}")


def write_lists(lists: Iterator[RecommendationTable], dataset: PreparedDataset, path: Path) -> None:
    """Streams the lists to a file that is whole or not there; ids have the type that the data has."""
    import polars as pl
    from polars.io.plugins import register_io_source

    columns: dict[str, Any] = {
        "user_id": _kind(dataset.users),
        "item_id": _kind(dataset.items),
        "score": pl.Float32,
        "rank": pl.Int32,
    }
    schema = pl.Schema(columns)

    def pieces(*_: Any) -> Iterator[pl.DataFrame]:
        for piece in lists:
            yield pl.DataFrame({name: getattr(piece, name) for name in schema}).cast(schema)

    rows = register_io_source(pieces, schema=schema, is_pure=True)
    try:
        with atomic_path(path) as unfinished:
            if path.suffix.lower() == ".parquet":
                rows.sink_parquet(unfinished)
            else:
                rows.sink_csv(unfinished, separator="\t" if path.suffix.lower() == ".tsv" else ",")
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"{path}: cannot be written ({problem})") from problem


def _kind(names: Vocabulary) -> Any:
    """Of ids, in a file."""
    import polars as pl

    return pl.Int64 if isinstance(names.raw(names.first), int) else pl.String
