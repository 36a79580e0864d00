"""Figures of the pages come from the records that the pages link."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for part in ("results.md", "results/*.md", "experiments/*.md", "decisions/*.md")
    for path in (ROOT / "docs").glob(part)
)
WITHOUT_RECORD = {
    "0.3207",  # reported by others: SASRec, monkey0head/time-to-split
    "0.9314",  # validation RMSE of 2026-11-25; its run left no record
}
RECORD_LINK = re.compile(r"\]\(([^)]*\.json)\)")
LINK_OR_CODE = re.compile(r"\]\([^)]*\)|```.*?```|`[^`]*`", re.DOTALL)
FIGURE = re.compile(r"(?<![\d.])(\d*)\.(\d{3,})(?!\d)")


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_every_figure_is_in_a_record_that_its_page_links(page: Path) -> None:
    """Figures with three or more decimals, signs aside; shares may stand as percent."""
    text = page.read_text(encoding="utf-8")
    recorded = list(_recorded_numbers(page, text))
    figures = {match.group() for match in FIGURE.finditer(LINK_OR_CODE.sub("", text))}
    named = {f"0{figure}" if figure.startswith(".") else figure for figure in figures}
    missing = {figure for figure in named - WITHOUT_RECORD if not _is_recorded(figure, recorded)}
    assert not missing


def _recorded_numbers(page: Path, text: str) -> Iterator[float]:
    for link in set(RECORD_LINK.findall(text)):
        record = json.loads((page.parent / link).read_text(encoding="utf-8"))
        yield from _numbers(record)


def _numbers(content: object) -> Iterator[float]:
    """Absolute values of all numbers in a JSON document."""
    if isinstance(content, dict):
        for part in content.values():
            yield from _numbers(part)
    elif isinstance(content, list):
        for part in content:
            yield from _numbers(part)
    elif isinstance(content, int | float):
        yield abs(float(content))


def _is_recorded(figure: str, recorded: list[float]) -> bool:
    value, decimals = float(figure), len(figure.partition(".")[2])
    half_digit = 0.500001 * 10**-decimals
    return any(
        abs(factor * number - value) <= half_digit for number in recorded for factor in (1, 100)
    )
