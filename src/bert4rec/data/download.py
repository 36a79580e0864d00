"""Where a MovieLens release comes from: a local folder or archive first, else GroupLens, else (100K) a public wheel.

The result is a folder with the release's files; what is in them is left to `releases` and `sources`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bert4rec.data.releases import Release, ml_100k_in_recbole
from bert4rec.data.schema import Schema
from bert4rec.errors import DataError, SourceError, UsageError

URL = "https://files.grouplens.org/datasets/movielens/{name}.zip"
CONNECT_SECONDS = 10

WHEEL = "recbole==1.2.1"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
"""A wheel with MovieLens 100K among its examples (RecBole's atomic files); fetched, never installed."""

Report = Callable[[str], None]


@dataclass(frozen=True)
class Obtained:
    """A release's files, their layout, and where they came from."""

    folder: Path
    schema: Schema
    origin: str


def obtain(release: Release, data_dir: Path | None, scratch: Path, report: Report) -> Obtained:
    """The release's files, from what is at hand or from the network; archives are unpacked into `scratch`."""
    named = data_dir or (Path(os.environ["BERT4REC_DATA"]) if os.environ.get("BERT4REC_DATA") else None)
    if named is not None and not named.exists():
        raise UsageError(f"{named}: no such folder; data_dir (or BERT4REC_DATA) names where {release.name} lies")
    for folder in (named, cache_folder()):
        found = find_local(release, folder) if folder is not None else None
        if found is not None:
            return _open_local(release, found, scratch, report)
    if data_dir is not None:
        raise DataError(f"{data_dir}: holds neither {release.name}.zip nor a folder {release.name}; {_advice(release)}")
    return _from_network(release, scratch, report)


def cache_folder() -> Path:
    """Where downloads are kept: `$BERT4REC_CACHE`, or a folder of the user's cache."""
    return Path(os.environ.get("BERT4REC_CACHE") or Path.home() / ".cache" / "bert4rec")


def find_local(release: Release, folder: Path) -> Path | None:
    """The folder with the release's events, or its archive, in or at `folder`."""
    events = release.schema.events.file
    if folder.is_file():
        return folder if folder.suffix == ".zip" else None
    for candidate in (folder / release.name, folder):
        if (candidate / events).is_file() and (candidate.name == release.name or _all_files(release.schema, candidate)):
            return candidate
    archive = folder / f"{release.name}.zip"
    return archive if archive.is_file() else None


def _all_files(schema: Schema, folder: Path) -> bool:
    return all((folder / table.file).is_file() for table in (schema.events, schema.items, schema.users) if table)


def _open_local(release: Release, found: Path, scratch: Path, report: Report) -> Obtained:
    if found.is_dir():
        return Obtained(found, release.schema, f"folder {found.name}")
    md5 = _md5(found)
    if release.md5 and md5 != release.md5:
        report(f"note: {found.name} is not the published archive (md5 {md5}, not {release.md5}); used as it is")
    return Obtained(unpack(found, release.schema, scratch), release.schema, f"{found.name} (md5 {md5})")


def unpack(archive: Path, schema: Schema, scratch: Path) -> Path:
    """The files of a release out of its archive, each checked against the archive's own checksum."""
    names = [table.file for table in (schema.events, schema.items, schema.users) if table]
    try:
        with zipfile.ZipFile(archive) as contents:
            for name in names:
                members = [member for member in contents.namelist() if Path(member).name == name]
                if not members:
                    raise SourceError(f"holds no file {name}; it is not the archive of {schema.name}", archive)
                with contents.open(min(members, key=len)) as packed, (scratch / name).open("wb") as out:
                    shutil.copyfileobj(packed, out, 2**20)
    except (zipfile.BadZipFile, EOFError, OSError) as problem:
        if isinstance(problem, OSError) and not isinstance(problem, zipfile.BadZipFile) and problem.errno:
            raise
        raise SourceError(f"truncated or damaged ({problem}); fetch it again", archive) from problem
    return scratch


def _from_network(release: Release, scratch: Path, report: Report) -> Obtained:
    url = URL.format(name=release.name)
    try:
        archive = _download(url, release, report)
    except (urllib.error.URLError, OSError) as problem:
        reason = getattr(problem, "reason", problem)
        if release.name != "ml-100k":
            raise DataError(f"{url}: cannot be reached ({reason}); {_advice(release)}") from problem
        report(f"{url}: cannot be reached ({reason}); taking the copy in the wheel {WHEEL}")
        return _from_wheel(release, scratch)
    return _open_local(release, archive, scratch, report)


def _download(url: str, release: Release, report: Report) -> Path:
    """Fetches the archive into the cache; a file that is not the published one is not kept."""
    target = cache_folder() / f"{release.name}.zip"
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_suffix(".part")
    try:
        with urllib.request.urlopen(url, timeout=CONNECT_SECONDS) as answer, unfinished.open("wb") as out:
            size = int(answer.headers.get("Content-Length") or 0)
            report(f"downloading {url} ({size / 2**20:.1f} MB)")
            shutil.copyfileobj(answer, out, 2**20)
        md5 = _md5(unfinished)
        if release.md5 and md5 != release.md5:
            raise DataError(f"{url}: the download has md5 {md5}, not the published {release.md5}; try again later")
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
    return target


def _from_wheel(release: Release, scratch: Path) -> Obtained:
    """MovieLens 100K out of a wheel that the user's own pip fetches; nothing of it is installed or run."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder, "wheel.txt")
        wanted.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        done = subprocess.run(
            [*pip, "--require-hashes", "-r", str(wanted), "-d", folder], capture_output=True, text=True, check=False
        )
        wheels = list(Path(folder).glob("*.whl"))
        if done.returncode or not wheels:
            raise DataError(f"{release.name}: neither GroupLens nor a package index can be reached; {_advice(release)}")
        schema = ml_100k_in_recbole()
        return Obtained(unpack(wheels[0], schema, scratch), schema, f"wheel {WHEEL}, RecBole's atomic files")


def _advice(release: Release) -> str:
    return (
        f"place {release.name}.zip (from https://grouplens.org/datasets/movielens/) or its unpacked folder somewhere "
        "and name that place with --data_dir or BERT4REC_DATA"
    )


def _md5(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
