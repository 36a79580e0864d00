"""Named configurations that come with the package, one YAML file each.

The first line of a file is a comment that summarises the preset. Files of a user's own are read by
`cli.flags`.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from typing import Any

import yaml

from bert4rec.errors import ConfigError

_SUFFIX = ".yaml"


def preset_names() -> list[str]:
    """Names of all presets, in alphabetical order."""
    entries = [entry.name for entry in files(__name__).iterdir()]
    return sorted(name.removesuffix(_SUFFIX) for name in entries if name.endswith(_SUFFIX))


def preset_text(name: str) -> str:
    """YAML text of a preset. Raises ConfigError for an unknown name."""
    names = preset_names()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        advice = f"did you mean {near[0]!r}?" if near else f"the presets are {', '.join(names)}"
        raise ConfigError(f"unknown preset {name!r}; {advice}")
    return files(__name__).joinpath(name + _SUFFIX).read_text(encoding="utf-8")


def preset_summary(name: str) -> str:
    """One-line description of a preset: its first comment line."""
    return preset_text(name).splitlines()[0].lstrip("# ")


def read_preset(name: str) -> dict[str, Any]:
    """Settings of a preset that differ from the defaults, as `RunConfig.from_dict` takes them.

    >>> read_preset("small")["hidden_size"]
    64
    """
    return dict(yaml.safe_load(preset_text(name)))
