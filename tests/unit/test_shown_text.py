from __future__ import annotations

import pytest

from bert4rec.result_tables import Table
from bert4rec.shown_text import shown, shown_in_markdown, shown_lines


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("\x1b[2Jgone", r"\x1b[2Jgone"),
        ("a\nb\tc\r", r"a\nb\tc\r"),
        ("\u202efdp.exe", r"\u202efdp.exe"),
        ("\x9b31m", r"\x9b31m"),
        ("line\u2028end", r"line\u2028end"),
        ("\ud800", r"\ud800"),
    ],
)
def test_control_characters_are_shown_as_their_escapes(text: str, expected: str) -> None:
    assert shown(text) == expected


@pytest.mark.parametrize(
    "text", ["Amélie (2001)", "千と千尋", "a\u00a0b", "👩\u200d🚀", "می\u200cخواهم"]
)
def test_letters_of_any_language_are_shown_as_they_are(text: str) -> None:
    assert shown(text) == text


def test_lines_of_our_own_stay_lines() -> None:
    assert shown_lines("first\nsecond\x07") == "first\nsecond\\x07"


def test_marks_of_markdown_and_html_are_escaped() -> None:
    assert shown_in_markdown("<b>|x") == r"\<b\>\|x"


def test_tables_show_no_terminal_escape() -> None:
    table = Table("T\x1b", ["a\x07"], [["x\x1b[0m\ny"]])
    assert table.texts() == [[r"x\x1b[0m\ny"]]
    assert not {"\x1b", "\x07"} & set(table.to_markdown())
