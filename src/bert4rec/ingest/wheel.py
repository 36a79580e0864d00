"""MovieLens 100K from a public wheel, where package indexes can be reached and GroupLens cannot.

The wheel is fetched by the user's own pip and checked against its hash. It is never installed or
run.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bert4rec.errors import DataError
from bert4rec.ingest.local_files import advice, cache_folder, digest_of, unpack
from bert4rec.ingest.movielens import Release, ml_100k_in_recbole
from bert4rec.ingest.source import Source

WHEEL = "recbole==1.2.1"
"""Package with MovieLens 100K among its examples, as RecBole's atomic files."""
WHEEL_FILE = "recbole-1.2.1-py3-none-any.whl"
WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"


def cached_wheel() -> Path | None:
    """Wheel in the cache, if it is there and complete."""
    path = cache_folder() / WHEEL_FILE
    return path if path.is_file() and digest_of(path, "sha256") == WHEEL_SHA256 else None


def open_wheel(release: Release, wheel: Path, scratch: Path) -> Source:
    """Source of the files in the wheel."""
    schema = ml_100k_in_recbole()
    origin = f"wheel {WHEEL}, RecBole's atomic files"
    return Source(unpack(wheel, schema, scratch), schema, origin, scratch, release.rows)


def fetch_wheel(release: Release) -> Path:
    """Wheel in the cache, downloaded by pip.

    Raises:
        DataError: pip cannot fetch it, or the cache cannot be written.
    """
    with tempfile.TemporaryDirectory() as folder:
        failure = _pip_download(Path(folder))
        fetched = Path(folder, WHEEL_FILE)
        if failure is not None or not fetched.is_file():
            raise DataError(
                f"{release.name}: GroupLens cannot be reached, and the wheel {WHEEL} cannot be "
                f"fetched ({_last_line(failure or '')}); {advice(release)}"
            )
        return _keep(fetched)


def _pip_download(folder: Path) -> str | None:
    """Download the wheel into the folder; pip's error output where that fails."""
    requirements = folder / "wheel.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n", encoding="utf-8")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet"]
    # A wheel runs no code when it is fetched; a source distribution would.
    wheels_alone = ["--no-deps", "--only-binary", ":all:", "--require-hashes"]
    done = subprocess.run(
        [*pip, *wheels_alone, "-r", str(requirements), "-d", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr if done.returncode else None


def _keep(fetched: Path) -> Path:
    """Copy of the wheel in the cache."""
    kept = cache_folder() / WHEEL_FILE
    unfinished = kept.with_suffix(".part")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(fetched, unfinished)
        unfinished.replace(kept)
    except OSError as problem:
        raise DataError(f"{kept}: cannot be written ({problem.strerror or problem})") from problem
    finally:
        unfinished.unlink(missing_ok=True)
    return kept


def _last_line(stderr: str) -> str:
    """Reason of pip's failure in one line."""
    if "No module named pip" in stderr:
        return "this Python has no pip"
    lines = stderr.strip().splitlines() or ["pip does not say why"]
    return lines[-1].strip()
