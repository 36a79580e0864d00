"""Tables with a known truth, written in many layouts: what comes out is the truth."""

from __future__ import annotations

import csv
import gzip
import io
import tempfile
from pathlib import Path

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from bert4rec.config import PrepareConfig
from bert4rec.ingest.prepare import prepare_dataset

Row = tuple[str, str, int]

names = st.text(st.sampled_from("ab09ü愛,;|'\" -"), min_size=1, max_size=8).map(
    lambda word: f"-{word}x"
)
"""Ids that begin with '-' and hold separators, quotes and blanks."""
rows_of = st.lists(
    st.tuples(names, names, st.integers(10**9, 2 * 10**9)),
    min_size=1,
    max_size=12,
    unique_by=lambda row: row[2],
)


def write(folder: Path, rows: list[Row], layout: str) -> str:
    """File of the rows in a layout; returns the settings that read it."""
    if layout == "parquet":
        pl.DataFrame(rows, schema=["u", "i", "t"], orient="row").write_parquet(folder / "e.parquet")
        return "file: e.parquet"
    text = io.StringIO()
    separator = {"semicolon": ";", "tab": "\t"}.get(layout, ",")
    writer = csv.writer(text, delimiter=separator, quoting=csv.QUOTE_ALL)
    writer.writerows([("u", "i", "t"), *rows])
    raw = text.getvalue().encode("utf-16" if layout == "utf-16" else "utf-8")
    if layout == "gzip":
        (folder / "e.csv.gz").write_bytes(gzip.compress(raw))
        return "file: e.csv.gz"
    (folder / "e.csv").write_bytes(raw)
    return f'file: e.csv, separator: "{separator}"'.replace("\t", "\\t") + (
        ", encoding: utf-16" if layout == "utf-16" else ""
    )


@settings(max_examples=40, deadline=None)
@given(rows_of, st.sampled_from(["comma", "semicolon", "tab", "gzip", "utf-16", "parquet"]))
def test_histories_are_the_truth_in_every_layout(rows: list[Row], layout: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        declared = write(folder, rows, layout)
        schema = folder / "s.yaml"
        schema.write_text(f"events: {{{declared}, user: u, item: i, time: t}}\n", encoding="utf-8")
        dataset = prepare_dataset(
            PrepareConfig(schema=schema, output=folder / "out"), lambda line: None
        )
        start_U1 = dataset.start_U1.tolist()
        for row, user in enumerate(dataset.users.ids, 1):
            found = dataset.item_N[start_U1[row] : start_U1[row + 1]]
            own = sorted((time, item) for who, item, time in rows if who == user)
            assert [dataset.items.raw(item) for item in found] == [item for _, item in own]
        assert set(dataset.users.ids) == {user for user, _, _ in rows}
