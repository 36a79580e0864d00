"""Where a MovieLens release comes from: a local folder or archive first, else GroupLens, else (100K) a public wheel.

The result is a folder with the release's files; what is in them is left to `releases` and `sources`.
"""

from __future__ import annotations

import hashlib
import http.client
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bert4rec.errors import DataError, SourceError, UsageError
from bert4rec.ingest.movielens import RELEASES, Release, ml_100k_in_recbole
from bert4rec.ingest.schema import Schema

URL = "https://files.grouplens.org/datasets/movielens/{name}.zip"
NETWORK_SECONDS = 10
"""How long to wait for a connection, and for each piece of the answer."""

WHEEL = "recbole==1.2.1"
WHEEL_FILE = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
"""A wheel with MovieLens 100K among its examples (RecBole's atomic files); fetched, never installed."""

Log = Callable[[str], None]


@dataclass(frozen=True)
class Obtained:
    """Files, their layout, and where they came from."""

    folder: Path
    schema: Schema
    origin: str
    scratch: Path
    """A folder for what is made on the way; it goes once the files are read."""
    published_rows: int | None = None
    """Events that the files are known to hold."""


def obtain(release: Release, data_dir: Path | None, scratch: Path, log: Log) -> Obtained:
    """The release's files, from what is at hand or from the network; archives are unpacked into `scratch`."""
    found = find_at_hand(release, data_dir)
    if found is not None:
        return _open_local(release, found, scratch, log)
    if data_dir is not None:
        raise DataError(
            f"{data_dir}: holds neither {release.name}.zip nor a folder {release.folder}; {_advice(release)}"
        )
    return _from_network(release, scratch, log)


def find_at_hand(release: Release, data_dir: Path | None) -> Path | None:
    """The release's archive or folder: in `data_dir` alone if given, else in `$BERT4REC_DATA` or the cache."""
    environment = os.environ.get("BERT4REC_DATA")
    named = data_dir or (Path(environment) if environment else None)
    if named is not None and not named.exists():
        raise UsageError(
            f"{named}: no such folder; data_dir (or BERT4REC_DATA) names where {release.name} lies"
        )
    places = [named] if data_dir else [place for place in (named, cache_folder()) if place]
    return next((found for place in places if place and (found := _find(release, place))), None)


def cache_folder() -> Path:
    """Where downloads are kept: `$BERT4REC_CACHE`, or a folder of the user's cache."""
    return Path(os.environ.get("BERT4REC_CACHE") or Path.home() / ".cache" / "bert4rec")


def _find(release: Release, place: Path) -> Path | None:
    """The folder with the release's files, or its archive, in or at `place`."""
    if place.is_file():
        return place if place.suffix == ".zip" else None
    archive, inside = place / f"{release.name}.zip", place / release.folder
    if (inside / release.schema.events.file).is_file():
        return inside
    others = {other.folder for other in RELEASES.values()} - {release.folder}
    whole = all((place / table.file).is_file() for table in release.schema.tables)
    if place.name == release.folder or (whole and place.name not in others):
        return place
    if archive.is_file():
        return archive
    return (
        inside if inside.is_dir() else None
    )  # a folder without its files: reading says which is missing


def _open_local(release: Release, found: Path, scratch: Path, log: Log) -> Obtained:
    if found.is_dir():
        return Obtained(found, release.schema, f"folder {found.name}", scratch, release.rows)
    md5 = md5_of(found)
    if release.md5 and md5 != release.md5:
        log(
            f"note: {found.name} is not the published archive (md5 {md5}, not {release.md5}); used as it is"
        )
    folder = unpack(found, release.schema, scratch)
    return Obtained(folder, release.schema, f"{found.name} (md5 {md5})", scratch, release.rows)


def unpack(archive: Path, schema: Schema, scratch: Path) -> Path:
    """The files of a release out of its archive, each checked against the archive's own checksum."""
    try:
        with zipfile.ZipFile(archive) as contents:
            for name in (table.file for table in schema.tables):
                members = [member for member in contents.namelist() if Path(member).name == name]
                if not members:
                    raise SourceError(
                        f"holds no file {name}; it is not the archive of {schema.name}", archive
                    )
                with (
                    contents.open(min(members, key=len)) as packed,
                    (scratch / name).open("wb") as out,
                ):
                    shutil.copyfileobj(packed, out, 2**20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
        raise SourceError(f"truncated or damaged ({problem}); fetch it again", archive) from problem
    except OSError as problem:
        raise DataError(
            f"{archive}: cannot be unpacked into {scratch} ({problem.strerror or problem})"
        ) from problem
    return scratch


def _from_network(release: Release, scratch: Path, log: Log) -> Obtained:
    if release.name == "ml-100k" and _is_the_wheel(cache_folder() / WHEEL_FILE):
        return _open_wheel(release, cache_folder() / WHEEL_FILE, scratch)
    url = URL.format(name=release.name)
    try:
        archive = _download(url, release, log)
    except (
        urllib.error.URLError,
        http.client.HTTPException,
        ConnectionError,
        TimeoutError,
    ) as problem:
        reason = getattr(problem, "reason", None) or repr(problem)
        if release.name != "ml-100k":
            raise DataError(f"{url}: cannot be reached ({reason}); {_advice(release)}") from problem
        log(f"{url}: cannot be reached ({reason}); taking the copy in the wheel {WHEEL}")
        return _open_wheel(release, _fetch_wheel(release), scratch)
    return _open_local(release, archive, scratch, log)


def _download(url: str, release: Release, log: Log) -> Path:
    """Fetches the archive into the cache; a file that is not the published one is not kept."""
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
                    f"{url}: the download has md5 {md5}, not the published {release.md5}; try again later"
                )
            unfinished.replace(target)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as problem:
            raise DataError(
                f"{target}: cannot be written ({problem.strerror or problem})"
            ) from problem
        finally:
            unfinished.unlink(missing_ok=True)
    return target


def _copy(answer: http.client.HTTPResponse, out: BinaryIO, url: str, log: Log) -> None:
    """Copies the answer piece by piece; a line for each tenth of a large one."""
    size = int(answer.headers.get("NumberedTables-Length") or 0)
    log(f"downloading {url} ({size / 2**20:.1f} MB)")
    done = shown = 0
    while piece := answer.read(2**18):
        out.write(piece)
        done += len(piece)
        if size > 2**24 and done * 10 // size > shown:
            shown = done * 10 // size
            log(f"  {shown * 10} %")
    if size and done != size:
        raise http.client.IncompleteRead(b"", size - done)


def _fetch_wheel(release: Release) -> Path:
    """The wheel with MovieLens 100K in the cache, fetched by the user's own pip; nothing is installed or run."""
    kept = cache_folder() / WHEEL_FILE
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wheel.txt")
        wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        pip = [
            sys.executable,
            "-m",
            "pip",
            "--disable-pip-version-check",
            "download",
            "--quiet",
            "--no-deps",
        ]
        done = subprocess.run(
            [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(wanted), "-d", folder],
            capture_output=True,
            text=True,
            check=False,
        )
        fetched = Path(folder, WHEEL_FILE)
        if done.returncode or not fetched.is_file():
            raise DataError(
                f"{release.name}: GroupLens cannot be reached, and the wheel {WHEEL} cannot be fetched "
                f"({_last_words(done.stderr)}); {_advice(release)}"
            )
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(fetched, kept.with_suffix(".part"))
            kept.with_suffix(".part").replace(kept)
        except OSError as problem:
            raise DataError(
                f"{kept}: cannot be written ({problem.strerror or problem})"
            ) from problem
        finally:
            kept.with_suffix(".part").unlink(missing_ok=True)
    return kept


def _last_words(stderr: str) -> str:
    """Why pip failed, in one line."""
    if "No module named pip" in stderr:
        return "this Python has no pip"
    return (stderr.strip().splitlines() or ["pip does not say why"])[-1].strip()


def _is_the_wheel(path: Path) -> bool:
    return path.is_file() and _digest(path, "sha256") == WHEEL_SHA256


def _open_wheel(release: Release, wheel: Path, scratch: Path) -> Obtained:
    schema = ml_100k_in_recbole()
    origin = f"wheel {WHEEL}, RecBole's atomic files"
    return Obtained(unpack(wheel, schema, scratch), schema, origin, scratch, release.rows)


def _advice(release: Release) -> str:
    return (
        f"place {release.name}.zip (from https://grouplens.org/datasets/movielens/) or its unpacked folder somewhere "
        "and name that place with --data_dir or BERT4REC_DATA"
    )


def md5_of(path: Path) -> str:
    """The md5 of a file, the checksum that GroupLens publishes."""
    return _digest(path, "md5")


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(
            content, lambda: hashlib.new(algorithm, usedforsecurity=False)
        ).hexdigest()
