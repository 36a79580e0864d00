"""Training on machines without optional libraries or system calls."""

from __future__ import annotations

import json
import site
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import ROOT
from small_runs import run_of

SCRIPT = """
import json, os, sys

folders, data, output, settings, lacks = json.loads(sys.argv[1])
sys.path += folders
for module in lacks["modules"]:
    sys.modules[module] = None
for name in lacks["of the system"]:
    delattr(os, name)
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.training.train import train

train(PreparedDataset.open(data), RunConfig.from_dict(settings), output)
watched = ("rich", "polars", "jsonargparse", "matplotlib", "resource")
present = [name for name in watched if sys.modules.get(name)]
print("used", *present)
"""

LIBRARIES = ("rich", "polars", "_polars_runtime", "jsonargparse", "matplotlib", "mpl_toolkits")


def packages_without(folder: Path, absent: tuple[str, ...]) -> Path:
    """Folder of links to the installed packages, without the absent ones."""
    folder.mkdir()
    for entry in (path for packages in site.getsitepackages() for path in Path(packages).iterdir()):
        if not entry.name.startswith(absent):
            (folder / entry.name).symlink_to(entry)
    return folder


def trained(tmp_path: Path, data: Path, packages: list[str], lacks: dict[str, list[str]]) -> str:
    """Output of a run in a process that sees only these packages."""
    given = [
        [str(ROOT / "src"), *packages],
        str(data),
        str(tmp_path / "run"),
        run_of(max_epochs=1).to_dict(),
        lacks,
    ]
    words = [sys.executable, "-S", "-c", SCRIPT, json.dumps(given)]
    done = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_training_needs_no_library_for_tables_flags_or_pictures(
    world_folder: Path, tmp_path: Path
) -> None:
    packages = [str(packages_without(tmp_path / "packages", LIBRARIES))]
    said = trained(tmp_path, world_folder, packages, {"modules": [], "of the system": []})
    assert f"{tmp_path / 'run' / 'losses.png'}: not drawn, for matplotlib is not installed" in said
    assert f"model folder: {tmp_path / 'run'}\nused resource\n" in said
    assert (tmp_path / "run" / "config.json").is_file()
    assert not (tmp_path / "run" / "losses.png").exists()


@pytest.mark.slow
def test_training_needs_nothing_that_windows_lacks(world_folder: Path, tmp_path: Path) -> None:
    lacks = {
        "modules": ["resource", "fcntl", "pwd", "grp", "termios"],
        "of the system": ["sysconf", "getuid", "fork"],
    }
    said = trained(tmp_path, world_folder, site.getsitepackages(), lacks)
    assert "peak memory unknown" in said
    assert "memory unknown." in (tmp_path / "run" / "README.md").read_text()
