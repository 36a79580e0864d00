"""The documentation site builds strictly, its links lead somewhere, and it needs no other host."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

import bert4rec

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
OUTSIDE_DOCS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *(ROOT / "models").rglob("README.md"),
]


class Links(HTMLParser):
    """Link targets and ids of one page; scripts and style sheets apart."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.targets: set[str] = set()
        self.loaded: set[str] = set()
        self.ids: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes that link, load or name something."""
        values = {name: value for name, value in attrs if value}
        self.ids |= {values[name] for name in ("id", "name") if name in values}
        if tag == "a" and "href" in values:
            self.targets.add(values["href"])
        if tag in ("img", "script") and "src" in values:
            self.loaded.add(values["src"])
        if tag == "link" and values.get("rel") == "stylesheet":
            self.loaded.add(values["href"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Site of a strict build, which fails for a broken link or a page without navigation."""
    if find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed; it is part of the dev extra")
    folder = tmp_path_factory.mktemp("site")
    words = ["-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run([sys.executable, *words], cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Links]:
    return {path: Links(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


@pytest.mark.slow
def test_every_link_of_the_site_leads_somewhere(site: Path, pages: dict[Path, Links]) -> None:
    broken = [
        f"{page.relative_to(site)}: {target}"
        for page, links in pages.items()
        if page.name != "404.html"
        for target in sorted(links.targets | links.loaded)
        if not _leads_somewhere(page, target, pages)
    ]
    assert not broken


@pytest.mark.slow
def test_site_loads_nothing_from_other_hosts(pages: dict[Path, Links]) -> None:
    loaded = {target for links in pages.values() for target in links.loaded}
    assert loaded
    assert not [target for target in loaded if urlsplit(target).netloc]


def _leads_somewhere(page: Path, target: str, pages: dict[Path, Links]) -> bool:
    parts = urlsplit(target)
    if parts.scheme or parts.netloc:
        return True  # other hosts are not asked
    file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
    if file.is_dir():
        file /= "index.html"
    if not file.is_file():
        return False
    return not parts.fragment or file not in pages or unquote(parts.fragment) in pages[file].ids


def test_every_public_name_has_a_place_in_the_api_pages() -> None:
    text = "\n".join(page.read_text(encoding="utf-8") for page in (DOCS / "api").glob("*.md"))
    documented = re.findall(r"^::: bert4rec\.(\w+)$", text, re.MULTILINE)
    assert sorted(documented) == sorted(set(bert4rec.__all__) - {"__version__"})


@pytest.mark.parametrize(
    "page", [*OUTSIDE_DOCS, *DOCS.rglob("*.md")], ids=lambda path: str(path.relative_to(ROOT))
)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    """Links as a code host follows them, anchors included."""
    for target, anchor in _links(page):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor and file.suffix == ".md":
            assert anchor in _anchors(file), f"{target}#{anchor}"


def _links(page: Path) -> Iterator[tuple[str, str]]:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s:]+)\)", text):
        path, _, anchor = target.partition("#")
        yield path, anchor


def _anchors(page: Path) -> set[str]:
    """Anchors of the headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}
