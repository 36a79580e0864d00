"""Griffe extension of the documentation site: doctests in docstrings become code blocks."""

from __future__ import annotations

import re
from typing import Any

import griffe

_DOCTEST = re.compile(r"(?:^>>> .*\n?(?:^(?!\s*$).*\n?)*)", re.MULTILINE)


class DoctestBlocks(griffe.Extension):
    """Fences around every doctest, so that Markdown leaves its output alone."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Fence the doctests of one object."""
        if obj.docstring is not None:
            obj.docstring.value = fence_doctests(obj.docstring.value)


def fence_doctests(text: str) -> str:
    """Text with each doctest in a block of its own."""
    return _DOCTEST.sub(lambda match: f"```pycon\n{match.group(0).rstrip()}\n```\n", text)
