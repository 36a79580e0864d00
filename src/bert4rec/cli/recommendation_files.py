"""Recommendations of many users in one file: columns `user_id, item_id, score, rank`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bert4rec.errors import DataError, UsageError
from bert4rec.files import atomic_path
from bert4rec.ingest.file_types import default_separator, is_parquet, suffix_of

if TYPE_CHECKING:
    import polars as pl

    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.engine.answers import RecommendationTable
    from bert4rec.ids import Vocabulary

FORMATS = (".parquet", ".csv", ".tsv")


def check_format(path: Path) -> None:
    """Raises UsageError for a file name without a known ending."""
    if suffix_of(path) not in FORMATS:
        raise UsageError(f"--output {path}: end its name in {', '.join(FORMATS)}")


def write_tables(
    tables: Iterator[RecommendationTable], dataset: PreparedDataset, path: Path
) -> None:
    """Stream tables to a file, which is complete or absent; ids have the type of the data.

    Raises DataError if the file cannot be written.
    """
    import polars as pl
    from polars.io.plugins import register_io_source

    schema = pl.Schema(
        {
            "user_id": _id_type(dataset.users),
            "item_id": _id_type(dataset.items),
            "score": pl.Float32(),
            "rank": pl.Int32(),
        }
    )

    def frames(*_: Any) -> Iterator[pl.DataFrame]:
        for table in tables:
            # Arrays of Python texts are lists to polars.
            ids = {"user_id": table.user_id.tolist(), "item_id": table.item_id.tolist()}
            columns = {**ids, "score": table.score, "rank": table.rank}
            yield pl.DataFrame(columns, schema_overrides=schema).cast(schema)

    rows = register_io_source(frames, schema=schema, is_pure=True)
    try:
        with atomic_path(path) as unfinished:
            _write(rows, unfinished, path)
    except pl.exceptions.PolarsError as problem:
        raise DataError(f"{path}: cannot be written ({problem})") from problem


def _write(rows: pl.LazyFrame, unfinished: Path, path: Path) -> None:
    """Write the unfinished file in the format that the name of the finished one tells."""
    if is_parquet(path):
        rows.sink_parquet(unfinished)
    else:
        rows.sink_csv(unfinished, separator=default_separator(path))


def _id_type(vocabulary: Vocabulary) -> pl.DataType:
    """Column type of raw ids: 64-bit integers, without a sign where they need it, or text."""
    import polars as pl

    if not isinstance(vocabulary.raw(vocabulary.first), int):
        return pl.String()
    is_large = any(isinstance(raw, int) and raw >= 2**63 for raw in vocabulary.ids)
    return pl.UInt64() if is_large else pl.Int64()
