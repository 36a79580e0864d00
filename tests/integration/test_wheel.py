"""The wheel on its own: installed without the checkout, it holds all that training needs."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from command_line import ROOT

SOURCES = ("pyproject.toml", "README.md", "LICENSE", "src")
SMALL = ("--max_epochs=1", "--hidden_size=16", "--num_heads=2", "--accelerator=cpu")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh virtual environment in which the package comes from its wheel.

    Other packages, torch above all, come from this environment by a path file. An editable
    install of the package stays out: Python reads path files in site directories alone.
    """
    folder = tmp_path_factory.mktemp("wheel")
    wheel = build_wheel(folder)
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
    pip = [sys.executable, "-m", "pip", "--python", folder / "venv" / "bin" / "python"]
    call([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], folder)
    return folder / "venv"


def build_wheel(folder: Path) -> Path:
    """Build from a copy of the sources, so that nothing is written into the checkout."""
    copy = folder / "sources"
    copy.mkdir()
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("*.egg-info"))
        else:
            shutil.copy(source, copy / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, copy]
    call(build, folder)
    (wheel,) = folder.glob("*.whl")
    return wheel


def call(command: list[str | Path], folder: Path) -> str:
    """Run a command outside the checkout, without its sources on the path; return its stdout."""
    hidden = ("PYTHONPATH", "PIP_CONSTRAINT")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**kept, "OMP_NUM_THREADS": "1"},
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_wheel_trains_with_a_preset_outside_the_checkout(
    environment: Path, world_folder: Path, tmp_path: Path
) -> None:
    bert4rec = environment / "bin" / "bert4rec"
    train = [bert4rec, "train", "--preset", "small", "--data", world_folder, "--output", "run"]
    call([*train, *SMALL], tmp_path)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["settings"]["hidden_size"] == 16
    recommend = [bert4rec, "recommend", "--model", "run", "--user_id", "1", "--k", "3", "--json"]
    assert len(json.loads(call(recommend, tmp_path))["items"]) == 3


@pytest.mark.slow
def test_package_comes_from_the_wheel_and_runs_as_a_module(
    environment: Path, tmp_path: Path
) -> None:
    python = environment / "bin" / "python"
    path = call([python, "-c", "import bert4rec; print(bert4rec.__file__)"], tmp_path)
    assert Path(path.strip()).is_relative_to(environment)
    by_module = call([python, "-m", "bert4rec", "--version"], tmp_path)
    by_script = call([environment / "bin" / "bert4rec", "--version"], tmp_path)
    assert by_module == by_script
