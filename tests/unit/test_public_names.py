"""Importing the package costs nothing, and an engine needs little."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import bert4rec


def imported_by(code: str) -> set[str]:
    """The top-level modules that a fresh interpreter holds after running the code."""
    printed = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys\n{code}\nprint(*{{name.split('.')[0] for name in sys.modules}})",
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return set(printed.split())


def test_importing_the_package_imports_no_library() -> None:
    assert not {"torch", "numpy", "lightning", "polars"} & imported_by("import bert4rec")


def test_an_engine_needs_no_dataframes_no_flags_and_no_trainer() -> None:
    loaded = imported_by("from bert4rec import RecommendationEngine")
    assert "torch" in loaded
    assert not {"polars", "jsonargparse", "lightning", "matplotlib"} & loaded


@pytest.mark.parametrize("name", bert4rec.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(bert4rec, name) is not None


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'colour'"):
        bert4rec.colour  # noqa: B018
    assert dir(bert4rec) == sorted(bert4rec.__all__)


def test_the_version_is_that_of_the_distribution() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert bert4rec.__version__ == project["version"]
