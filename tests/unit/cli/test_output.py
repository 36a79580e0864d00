"""Tables, JSON and remarks of the commands."""

from __future__ import annotations

import io
import json
import os
import sys
from contextlib import redirect_stdout

import pytest

from bert4rec.cli.output import LOG_WIDTH, notes, show_json, show_table
from bert4rec.result_tables import Estimate, Table


def shown(table: Table, **options: bool) -> list[str]:
    out = io.StringIO()
    with redirect_stdout(out):
        show_table(table, **options)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_numbers_are_aligned_right_and_words_left() -> None:
    assert shown(Table("title", ["name", "score"], [["a", 1.5], ["bcd", 12.0]])) == [
        "title",
        "name    score",
        "a      1.5000",
        "bcd   12.0000",
    ]


def test_a_title_is_not_broken_to_the_width_of_the_table() -> None:
    title = "effect of what is known of the user and the request"
    assert shown(Table(title, ["a"], [[1]]))[0] == title


def test_brackets_and_colons_in_a_title_are_text() -> None:
    assert shown(Table("of [rec]", ["a"], [["[rec] [/b] :star:"]])) == [
        "of [rec]",
        "a",
        "[rec] [/b] :star:",
    ]


def test_a_long_text_is_folded_and_a_short_one_beside_it_is_not() -> None:
    lines = shown(Table("", ["text", "value"], [["word " * 60, "0.6750 ±0.1000"]]))
    assert sum("0.6750 ±0.1000" in line for line in lines) == 1
    assert max(map(len, lines)) <= LOG_WIDTH
    assert " ".join(lines).count("word") == 60


def test_table_without_column_names_has_no_head() -> None:
    assert shown(Table("", ["", ""], [["python", "3"]])) == ["python  3"]


def test_plain_numbers_keep_four_digits_in_a_table_of_many_columns() -> None:
    columns = ["trial", "a", "b", "ndcg@10", "hit@10", "epochs", "seconds", "state"]
    row = [0, "0.1", "x", 0.0043, 0.0095, 1, 2, "complete"]
    assert "0.0043  0.0095" in shown(Table("", columns, [row]))[1]


def test_numbers_are_aligned_right_beside_an_absent_value() -> None:
    lines = shown(Table("", ["a", "long name"], [["x", 1.5], ["y", None]]))
    assert lines[1:] == ["x     1.5000", "y          –"]


def test_absent_value_is_a_dash() -> None:
    assert shown(Table("", ["a", "b"], [[None, 1]]))[1].startswith("–")


def test_estimates_show_margins_and_wide_tables_three_digits() -> None:
    estimate = Estimate(0.325, 0.3132, 0.3368)
    narrow = shown(Table("", ["a", "b"], [["x", estimate]]))
    wide = shown(Table("", list("abcdef"), [["x", *[estimate] * 5]]))
    assert narrow[1].split("  ")[-1] == "0.3250 ±0.0118"
    assert wide[1].split("  ")[-1] == "0.325 ±0.012"


def test_whole_intervals_and_notes_are_shown_on_request() -> None:
    table = Table("", ["a", "b"], [["x", Estimate(0.5, 0.25, 0.75)]], note="1,000 users")
    assert shown(table, margins=False)[1:] == ["x  0.5000 [0.2500, 0.7500]", "", "1,000 users"]


def test_json_keeps_letters_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show_json({"title": "Amélie"})
    assert capsys.readouterr().out == '{\n "title": "Amélie"\n}\n'


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_json_is_whole_on_a_stream_of_few_letters(encoding: str) -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding=encoding, errors="replace") as out, redirect_stdout(out):
        show_json({"title": "Amélie, 千と千尋"})
        out.flush()
        assert json.loads(raw.getvalue().decode(encoding)) == {"title": "Amélie, 千と千尋"}


def test_remarks_go_to_stdout_or_out_of_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    notes()("here")
    notes(to_stderr=True)("there")
    assert tuple(capsys.readouterr()) == ("here\n", "there\n")


def test_remarks_that_nobody_reads_stop_no_work(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        os.close(reading)
        notes()("into the void")
        notes()("and again")
