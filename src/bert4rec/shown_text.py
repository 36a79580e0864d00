"""Text of strangers (titles, ids, names, paths) made harmless for terminals, Markdown and pictures.

Data files hold the exact text; only what is shown passes through here.
"""

from __future__ import annotations

import re
import unicodedata

_SPACES = "Zs"
_JOINERS = "\u200c\u200d"
"""Invisible letters that Persian and emoji are written with; they move nothing."""
_MARKDOWN = re.compile(r"([\\`*_\[\]<>&|#])")


def shown(text: str) -> str:
    r"""Text without control characters, terminal escapes, line breaks and bidi overrides.

    Each of them is written as its escape, `\x1b` or `\u202e`.
    """
    return text if text.isprintable() else "".join(map(_shown_letter, text))


def shown_lines(text: str) -> str:
    """Text of several lines of our own, each of them as `shown` shows it."""
    return "\n".join(map(shown, text.split("\n")))


def shown_in_markdown(text: str) -> str:
    """Text as `shown` shows it, with the marks of Markdown and HTML escaped."""
    return _MARKDOWN.sub(r"\\\1", shown(text))


def shown_in_picture(text: str) -> str:
    """Text as `shown` shows it, whose dollars start no formula of matplotlib."""
    return shown(text).replace("$", r"\$")


def _shown_letter(letter: str) -> str:
    is_harmless = (
        letter.isprintable() or letter in _JOINERS or unicodedata.category(letter) == _SPACES
    )
    return letter if is_harmless else letter.encode("unicode_escape").decode("ascii")
