"""Values of features as files write them: numbers, lists, records, repeated rows, unknown ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import ConfigError, SourceError

EVENTS = "u,i,r,t\n1,5,3,100\n1,6,4,200\n2,5,1,300\n2,7,1,400\n"
Prepare = Callable[..., PreparedDataset]


@pytest.fixture
def prepare(own_tables, tmp_path: Path) -> Prepare:
    """Dataset of an item table, `more` being further settings of the table."""

    def prepared(
        rows: str | pl.DataFrame, features: str, more: str = "", log=lambda line: None
    ) -> PreparedDataset:
        name = "i.csv"
        if isinstance(rows, pl.DataFrame):
            name = "i.parquet"
            rows.write_parquet(tmp_path / name)
        else:
            (tmp_path / name).write_text(rows)
        table = f"items: {{file: {name}, item: id, features: {{{features}}}{more}}}\n"
        return own_tables(EVENTS, more=table, log=log, overwrite=True)

    return prepared


def values(dataset: PreparedDataset, name: str = "f") -> list[object]:
    """Raw values of the items 5, 6 and 7."""
    feature, table = dataset.item_features[name]
    if table.dtype.kind == "f":
        return [None if np.isnan(number) else number for number in table[2:].tolist()]
    of = [None, *feature.values]
    if table.ndim == 1:
        return [of[row] for row in table[2:]]
    return [[of[row] for row in rows if row] for rows in table[2:]]


# Lists


@pytest.mark.parametrize(
    "cells",
    [
        ["['red', 'green']", "['a, b|c']", "[]"],
        ['["red", "green"]', '["a, b|c"]', "[]"],
        ["['red','green',None]", "[ 'a, b|c' ]", ""],
        ["""["red", 'green']""", """["a, b|c"]""", "[]"],
    ],
)
@pytest.mark.parametrize("separator", [",", "|", ", "])
def test_lists_written_as_text_are_lists(
    prepare: Prepare, cells: list[str], separator: str
) -> None:
    quoted = [cell.replace('"', '""') for cell in cells]
    rows = "id,f\n" + "".join(
        f'{item},"{cell}"\n' for item, cell in zip((5, 6, 7), quoted, strict=True)
    )
    dataset = prepare(rows, f"f: {{kind: multi, separator: '{separator}'}}")
    assert values(dataset) == [["red", "green"], ["a, b|c"], []]


@pytest.mark.parametrize("cell", ["red", "['red'", "['a' 'b']"])
def test_a_text_that_is_no_list_among_lists_is_named(prepare: Prepare, cell: str) -> None:
    rows = f"id,f\n5,['a']\n6,\"['b', 'c']\"\n7,{cell}\n"
    with pytest.raises(SourceError, match=r"i\.csv, row 4, field 'f': .* is no list"):
        prepare(rows, "f: multi")


def test_one_text_in_brackets_is_a_text(prepare: Prepare) -> None:
    dataset = prepare("id,f\n5,['a']\n6,b|c\n7,d\n", "f: multi")
    assert values(dataset) == [["['a']"], ["b", "c"], ["d"]]


@pytest.mark.parametrize("kind", ["categorical", "numeric"])
def test_lists_are_no_single_values(prepare: Prepare, kind: str) -> None:
    with pytest.raises(SourceError, match=r"field 'f': holds lists such as .*'kind: multi'"):
        prepare("id,f\n5,['a']\n6,['b']\n7,['c']\n", f"f: {kind}")
    typed = pl.DataFrame({"id": [5, 6, 7], "f": [["a"], ["b"], ["c"]]})
    with pytest.raises(SourceError, match=r"field 'f': holds lists such as .*'kind: multi'"):
        prepare(typed, f"f: {kind}")


def test_text_taken_out_of_lists_stays_text(prepare: Prepare) -> None:
    extract = r"""f: {kind: categorical, extract: '\[''(\w+)'}"""
    assert values(prepare("id,f\n5,['a']\n6,['b']\n7,['a']\n", extract)) == ["a", "b", "a"]


def test_entries_of_lists_are_neither_split_nor_joined(prepare: Prepare) -> None:
    typed = pl.DataFrame(
        {"id": [5, 6, 7], "f": [["Toys|Games", "Home, Garden"], [None, " x "], None]}
    )
    assert values(prepare(typed, "f: multi")) == [["Toys|Games", "Home, Garden"], ["x"], []]


def test_entries_of_lists_are_mapped_one_by_one(prepare: Prepare) -> None:
    typed = pl.DataFrame({"id": [5, 6, 7], "f": [["a", "b"], ["b"], ["-"]]})
    features = "f: {kind: multi, map: {a: x}, missing: ['-']}"
    assert values(prepare(typed, features)) == [["x", "b"], ["b"], []]


# Records

RECORDS = [[{"k": 1, "name": "green"}, {"k": 1, "name": "a|b"}], [{"k": 2, "name": "red"}], []]


def test_records_are_refused_with_the_field_to_take(prepare: Prepare) -> None:
    typed = pl.DataFrame({"id": [5, 6, 7], "f": RECORDS})
    with pytest.raises(SourceError, match=r"records with the fields k, name; .*'column: f.name'"):
        prepare(typed, "f: multi")
    text = "id,f\n" + "".join(
        f'{item},"{cell}"\n' for item, cell in zip((5, 6, 7), RECORDS, strict=True)
    )
    said = r"row 2, field 'f': .*fields k, name; .*'column: f.name'"
    with pytest.raises(SourceError, match=said):
        prepare(text, "f: multi")


def test_a_field_of_records_is_taken(prepare: Prepare) -> None:
    wanted = [["green", "a|b"], ["red"], []]
    typed = pl.DataFrame({"id": [5, 6, 7], "tags": RECORDS})
    assert values(prepare(typed, "f: {kind: multi, column: tags.name}")) == wanted
    text = "id,tags\n" + "".join(
        f'{item},"{cell}"\n' for item, cell in zip((5, 6, 7), RECORDS, strict=True)
    )
    assert values(prepare(text, "f: {kind: multi, column: tags.name}")) == wanted
    brands = pl.DataFrame(
        {"id": [5, 6, 7], "brand": [{"name": "A"}, {"name": "B"}, {"name": None}]}
    )
    assert values(prepare(brands, "f: {kind: categorical, column: brand.name}")) == ["A", "B", None]
    with pytest.raises(SourceError, match="field 'brand': its records have no field 'nam'; they"):
        prepare(brands, "f: {kind: categorical, column: brand.nam}")


def test_a_column_with_a_dot_in_its_name_is_that_column(prepare: Prepare) -> None:
    dataset = prepare(
        "id,brand.name\n5,A\n6,B\n7,A\n", "f: {kind: categorical, column: brand.name}"
    )
    assert values(dataset) == ["A", "B", "A"]


# Numbers


@pytest.mark.parametrize(
    ("cells", "more", "wanted"),
    [
        (["1,5", "2", "1.000,25"], ", decimal: ',', thousands: '.'", [1.5, 2, 1000.25]),
        (["1,000", "2.5", "12,345,678.5"], ", thousands: ','", [1000, 2.5, 12345678.5]),
        (["1 000", "1e3", "-.5"], ", thousands: ' '", [1000, 1000, -0.5]),
    ],
)
def test_marks_of_numbers_are_declared(
    prepare: Prepare, cells: list[str], more: str, wanted: list[float]
) -> None:
    rows = "id;f\n" + "".join(
        f"{item};{cell}\n" for item, cell in zip((5, 6, 7), cells, strict=True)
    )
    assert values(prepare(rows, "f: numeric", f", separator: ';'{more}")) == wanted


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("—", r"'—' is not a number; correct it, or say .* missing: \['—'\]"),
        ("$12", r"'\$12' is not a number; take the number out with extract"),
        ("true", r"replace it with map: \{'true': 1"),
        ("12 €", "take the number out with extract"),
        ("1,5", "say what its marks are with decimal: ','"),
        ("inf", "'inf' is not a number"),
        ("1_000", "'1_000' is not a number"),
        ("1e38", "'1e38' is beyond 2\\^53"),
    ],
)
@pytest.mark.parametrize("kind", ["numeric", "{kind: categorical, bins: [3], bin_labels: [a, b]}"])
def test_a_value_that_is_no_number_names_its_row_and_the_remedy(
    prepare: Prepare, cell: str, said: str, kind: str
) -> None:
    rows = f'id,f\n5,1\n6,2\n7,"{cell}"\n'
    with pytest.raises(SourceError, match=rf"i\.csv, row 4, field 'f': .*{said}"):
        prepare(rows, f"f: {kind}")


def test_numbers_of_parquet_beyond_the_bound_name_their_row(prepare: Prepare) -> None:
    for wrong in (1e200, float("inf")):
        typed = pl.DataFrame({"id": [5, 6, 7], "f": [1.0, 2.0, wrong]})
        with pytest.raises(SourceError, match=r"i\.parquet, row 3, field 'f'"):
            prepare(typed, "f: numeric")
    typed = pl.DataFrame({"id": [5, 6, 7], "f": [0.1, 2.0, float("nan")]})
    assert values(prepare(typed, "f: numeric")) == [0.1, 2.0, None]


def test_missing_of_the_table_holds_for_every_column(prepare: Prepare) -> None:
    rows = "id,f,c,g\n5,1,-,a|-\n6,-,x,-\n7,?,y,b\n"
    features = "f: {kind: numeric, missing: ['?']}, c: categorical, g: multi"
    dataset = prepare(rows, features, ", missing: ['-']")
    assert values(dataset) == [1, None, None]
    assert values(dataset, "c") == [None, "x", "y"]
    assert values(dataset, "g") == [["a"], [], ["b"]]


# Repeated rows

LONG = "id,f,c,p\n5,a,x,1\n5,b,x,\n6,a,y,2\n5,a,,1\n7,,y,3\n"


def test_repeated_rows_are_an_error_that_names_the_settings(prepare: Prepare) -> None:
    with pytest.raises(
        SourceError, match=r"row 3, field 'id': '5' appears again.*'repeated: first'"
    ):
        prepare(LONG, "f: multi")


@pytest.mark.parametrize(("which", "wanted"), [("first", ["a"]), ("last", ["a2"])])
def test_the_first_or_last_of_repeated_rows_counts(
    prepare: Prepare, which: str, wanted: list[str]
) -> None:
    lines: list[str] = []
    rows = "id,f\n5,a\n6,b\n7,c\n5,a2\n"
    dataset = prepare(rows, "f: multi", f", repeated: {which}", lines.append)
    assert values(dataset)[0] == wanted
    assert any("1 rows left out, of items repeated in i.csv" in line for line in lines)


def test_values_of_repeated_rows_are_collected(prepare: Prepare) -> None:
    dataset = prepare(LONG, "f: multi, c: categorical, p: numeric", ", repeated: collect")
    assert values(dataset) == [["a", "b"], ["a"], []]
    assert values(dataset, "c") == ["x", "y", "y"]
    assert values(dataset, "p") == [1, 2, 3]


def test_a_second_single_value_of_one_id_is_named(prepare: Prepare) -> None:
    with pytest.raises(SourceError, match="row 3, field 'c': 'z' is a second value of one id"):
        prepare("id,f,c\n5,a,x\n5,b,z\n", "f: multi, c: categorical", ", repeated: collect")


def test_an_unknown_way_to_repeat_is_refused(prepare: Prepare) -> None:
    with pytest.raises(ConfigError, match="known are error, first, last, collect"):
        prepare(LONG, "f: multi", ", repeated: all")


# Ids


def test_ids_that_are_written_otherwise_are_counted(prepare: Prepare) -> None:
    lines: list[str] = []
    prepare("id,f\n5,a\n06,b\n007,c\n", "f: categorical", log=lines.append)
    said = "2 ids of i.csv that only write an id of the events otherwise ("
    assert any(said in line and "is not '" in line for line in lines)


# Text as it is


def test_control_characters_of_titles_and_values_are_stored_exactly(
    own_tables, tmp_path: Path
) -> None:
    title, value = "A\x1b[31mB\tC", "x\x07\u202ey"
    (tmp_path / "i.csv").write_text(f'id,name,f\n5,"{title}","{value}"\n6,S,y\n7,T,y\n')
    table = "items: {file: i.csv, item: id, title: name, features: {f: categorical}}\n"
    dataset = own_tables(EVENTS, more=table)
    assert dataset.titles is not None
    assert dataset.titles[0] == title
    assert values(dataset)[0] == value


def test_flags_of_parquet_are_numbers_by_a_map(prepare: Prepare) -> None:
    typed = pl.DataFrame({"id": [5, 6, 7], "f": [True, False, None]})
    features = "f: {kind: numeric, map: {'true': 1, 'false': 0}}"
    assert values(prepare(typed, features)) == [1, 0, None]
