"""Quotes in text files open a field only at its start, and no row is lost."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from bert4rec.errors import SourceError

ROWS = ["1,5,100,A", '1,6,200,TV 50"', "2,5,300,B", '2,7,400,The 7" mix', '3,8,500,"a, ""b"" c"']
TABLE = "\n".join(["u,i,t,title", *ROWS, ""])


@pytest.mark.parametrize("name", ["e.csv", "e.csv.gz", "e.tsv", "e.TSV.gz"])
def test_inch_marks_in_an_unused_column_lose_no_row(own_tables, name: str) -> None:
    text = TABLE.replace(",", "\t") if "tsv" in name.lower() else TABLE
    content = gzip.compress(text.encode()) if name.endswith("gz") else text
    dataset = own_tables(content, "time: t", name=name)
    assert len(dataset.item_N) == 5
    assert list(dataset.items.ids) == [5, 6, 7, 8]


def test_inch_marks_are_part_of_titles(own_tables, tmp_path: Path) -> None:
    rows = ["i;title", '5;TV 50" and 32" wide', '6;"quoted; ""so"""', '7;19"', ""]
    (tmp_path / "items.csv").write_text("\n".join(rows))
    more = 'items: {file: items.csv, item: i, title: title, separator: ";"}'
    dataset = own_tables("u,i,t\n1,5,1\n1,6,2\n1,7,3\n", "time: t", more=more)
    assert list(dataset.titles) == ['TV 50" and 32" wide', 'quoted; "so"', '19"']


@pytest.mark.parametrize(
    ("rows", "row", "what"),
    [
        ('1,5,3,x\n1,6,4,"Heroes\n1,7,5,y\n', 3, "never closed"),
        ('1,5,3,x\n1,6,4,"7" mix\n1,7,5,y\n', 3, "text follows a closing quote"),
        ('1,5,3,"x\n1,6,4,y\n1,7,5,"z\n1,7,6,w\n', 2, "text follows a closing quote"),
    ],
)
def test_a_quote_that_is_wrong_is_named_with_its_line(
    own_tables, rows: str, row: int, what: str
) -> None:
    text = f"u,i,t,title\n{rows}".encode()
    for name, content in [("e.csv", text), ("e.csv.gz", gzip.compress(text))]:
        with pytest.raises(SourceError, match=f"row {row}: .*{what}.*quoted: false"):
            own_tables(content, "time: t", name=name)


def test_quotes_are_read_in_every_encoding(own_tables) -> None:
    content = gzip.compress(TABLE.replace("mix", "é").encode("utf-16"))
    dataset = own_tables(content, "time: t, encoding: utf-16", name="e.csv.gz")
    assert len(dataset.item_N) == 5


@pytest.mark.parametrize(
    ("bad", "row", "what"), [("1,,200", 3, "missing"), ("1,6,200,9", 3, "more than the 3 fields")]
)
def test_the_wrong_row_is_named_in_compressed_files(
    own_tables, bad: str, row: int, what: str
) -> None:
    table = f"u,i,t\n1,5,100\n{bad}\n1,7,300\n"
    with pytest.raises(SourceError, match=f"row {row}.*{what}"):
        own_tables(gzip.compress(table.encode()), "time: t", name="e.csv.gz")
