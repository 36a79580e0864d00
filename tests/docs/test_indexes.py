"""Index pages link every page of their folder."""

from __future__ import annotations

from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
INDEXES = {
    "commands": "commands.md",
    "decisions": "decisions/README.md",
    "evaluation": "evaluation.md",
    "experiments": "experiments.md",
    "results": "results.md",
}


@pytest.mark.parametrize("folder", INDEXES)
def test_every_page_of_a_folder_is_in_its_index(folder: str) -> None:
    index = DOCS / INDEXES[folder]
    text = index.read_text(encoding="utf-8")
    pages = set((DOCS / folder).glob("*.md")) - {index}
    missing = {
        page.name for page in pages if f"{page.name})" not in text and f"{page.name}#" not in text
    }
    assert pages
    assert not missing
