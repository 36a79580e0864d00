"""MovieLens releases on this machine: a folder, an archive, or the cache of downloads."""

from __future__ import annotations

import hashlib
import os
import shutil
import zipfile
import zlib
from pathlib import Path

from bert4rec.errors import DataError, SourceError, UsageError
from bert4rec.ingest.file_types import suffix_of
from bert4rec.ingest.movielens import RELEASES, Release
from bert4rec.ingest.schema import Schema
from bert4rec.ingest.source import Source
from bert4rec.log import Log


def find_local(release: Release, data_dir: Path | None) -> Path | None:
    """Archive or folder of a release.

    It is looked up in `data_dir` alone if given, else in `$BERT4REC_DATA` and the cache.

    Raises:
        UsageError: The named folder does not exist.
    """
    environment = os.environ.get("BERT4REC_DATA")
    named = data_dir or (Path(environment) if environment else None)
    if named is not None and not named.exists():
        raise UsageError(
            f"{named}: no such folder; data_dir (or BERT4REC_DATA) names where {release.name} lies"
        )
    locations = [named] if data_dir else [named, cache_folder()]
    found = (_find_in(release, location) for location in locations if location is not None)
    return next((path for path in found if path is not None), None)


def cache_folder() -> Path:
    """Folder of downloads: `$BERT4REC_CACHE`, or `bert4rec` in the user's cache folder."""
    return Path(os.environ.get("BERT4REC_CACHE") or Path.home() / ".cache" / "bert4rec")


def _find_in(release: Release, location: Path) -> Path | None:
    """Archive or folder of the release, in or at `location`."""
    if location.is_file():
        return location if suffix_of(location) == ".zip" else None
    inside = location / release.folder
    if (inside / release.schema.events.file).is_file():
        return inside
    if _is_release_folder(release, location):
        return location
    archive = location / f"{release.name}.zip"
    if archive.is_file():
        return archive
    # A folder without its files: reading says which one is missing.
    return inside if inside.is_dir() else None


def _is_release_folder(release: Release, location: Path) -> bool:
    """True if the folder has the release's name, or its files and no other release's name."""
    if location.name == release.folder:
        return True
    other_folders = {other.folder for other in RELEASES.values()} - {release.folder}
    has_files = all((location / table.file).is_file() for table in release.schema.tables)
    return has_files and location.name not in other_folders


def open_local(release: Release, found: Path, scratch: Path, log: Log) -> Source:
    """Source of a release's folder or archive; an archive that was not published is noted."""
    if found.is_dir():
        return Source(found, release.schema, f"folder {found.name}", scratch, release.rows)
    md5 = md5_of(found)
    if release.md5 and md5 != release.md5:
        log(
            f"note: {found.name} is not the published archive "
            f"(md5 {md5}, not {release.md5}); used as it is"
        )
    folder = unpack(found, release.schema, scratch)
    return Source(folder, release.schema, f"{found.name} (md5 {md5})", scratch, release.rows)


def unpack(archive: Path, schema: Schema, scratch: Path) -> Path:
    """Folder of the schema's files, unpacked and checked against the archive's own checksums.

    Raises:
        SourceError: The archive is damaged, or holds another dataset.
        DataError: The files cannot be written.
    """
    try:
        with zipfile.ZipFile(archive) as contents:
            for table in schema.tables:
                _unpack_file(contents, table.file, archive, schema, scratch)
    # NotImplementedError is an unknown compression, RuntimeError an encrypted file.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as problem:
        raise SourceError(f"truncated or damaged ({problem}); fetch it again", archive) from problem
    except OSError as problem:
        raise DataError(
            f"{archive}: cannot be unpacked into {scratch} ({problem.strerror or problem})"
        ) from problem
    return scratch


def _unpack_file(
    contents: zipfile.ZipFile, name: str, archive: Path, schema: Schema, scratch: Path
) -> None:
    members = [member for member in contents.namelist() if Path(member).name == name]
    if not members:
        raise SourceError(f"holds no file {name}; it is not the archive of {schema.name}", archive)
    shallowest = min(members, key=len)
    with contents.open(shallowest) as packed, (scratch / name).open("wb") as out:
        shutil.copyfileobj(packed, out, 2**20)


def advice(release: Release) -> str:
    """Remedy for a release that cannot be found or fetched."""
    return (
        f"place {release.name}.zip (from https://grouplens.org/datasets/movielens/) or its "
        "unpacked folder somewhere and name that place with --data_dir or BERT4REC_DATA"
    )


def md5_of(path: Path) -> str:
    """MD5 of a file, the checksum that GroupLens publishes."""
    return digest_of(path, "md5")


def digest_of(path: Path, algorithm: str) -> str:
    """Checksum of a file; no use for security."""
    with path.open("rb") as content:
        digest = hashlib.file_digest(content, lambda: hashlib.new(algorithm, usedforsecurity=False))
    return digest.hexdigest()
