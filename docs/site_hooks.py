"""Hooks of the documentation site: files outside docs/ that pages link to.

Pages are read on a code host, in an editor and on the site. A link such as `../CONTRIBUTING.md`
works in the first two. These hooks copy its target into the site and point the link there.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
OUTSIDE = "repository"
"""Folder of the site that holds copies of repository files."""

_LINK = re.compile(r"(?<=\]\()([^)#:\s]+)")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add every linked repository file to the site, and those that it links to in turn."""
    waiting = [file for file in files if file.src_uri.endswith(".md")]
    while waiting:
        file = waiting.pop()
        for target in _outside_targets(file.content_string, _repository_path(file.src_uri)):
            uri = posixpath.join(OUTSIDE, target)
            if files.get_file_from_path(uri) is not None:
                continue
            added = File.generated(config, uri, abs_src_path=str(ROOT / target))
            files.append(added)
            if target.endswith(".md"):
                waiting.append(added)
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Point links to repository files at their copies on the site."""
    here = _repository_path(page.file.src_uri)

    def on_site(match: re.Match[str]) -> str:
        target = _resolved(match.group(1), here)
        uri = target.removeprefix("docs/") if target.startswith("docs/") else f"{OUTSIDE}/{target}"
        if files.get_file_from_path(uri) is None:
            return match.group(1)
        return posixpath.relpath(uri, posixpath.dirname(page.file.src_uri) or ".")

    return _LINK.sub(on_site, markdown)


def _outside_targets(markdown: str, here: str) -> list[str]:
    """Linked files of the repository that are not below docs/."""
    targets = {_resolved(link, here) for link in _LINK.findall(markdown)}
    return sorted(
        target
        for target in targets
        if not target.startswith(("docs/", "../")) and (ROOT / target).is_file()
    )


def _resolved(link: str, here: str) -> str:
    """Path in the repository of a link on the page `here`."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(here), link))


def _repository_path(src_uri: str) -> str:
    """Path in the repository of a page of the site."""
    prefix = f"{OUTSIDE}/"
    return src_uri.removeprefix(prefix) if src_uri.startswith(prefix) else f"docs/{src_uri}"
