"""The list of presets, and the settings of one."""

from __future__ import annotations

import json

import pytest
import yaml

from bert4rec.config import RunConfig
from bert4rec.presets import preset_names, preset_summary, read_preset
from command_line import run


def test_the_list_has_a_line_for_each_preset() -> None:
    lines = run("presets").succeeded().splitlines()
    assert [line.split()[0] for line in lines] == preset_names()
    assert all(
        line.endswith(preset_summary(name))
        for line, name in zip(lines, preset_names(), strict=True)
    )


def test_a_named_preset_is_printed_as_yaml() -> None:
    assert yaml.safe_load(run("presets", "small").succeeded()) == read_preset("small")


def test_json_holds_every_preset_or_the_named_one() -> None:
    records = json.loads(run("presets", "--json").succeeded())
    assert {record["name"]: record["settings"] for record in records} == {
        name: read_preset(name) for name in preset_names()
    }
    (small,) = json.loads(run("presets", "small", "--json").succeeded())
    assert small["summary"] == preset_summary("small")


@pytest.mark.parametrize("name", preset_names())
def test_a_preset_holds_settings_that_exist_and_fit_together(name: str) -> None:
    assert RunConfig.from_dict(read_preset(name)).changes() or name == "documented"


def test_the_documented_preset_is_the_defaults() -> None:
    documented, defaults = read_preset("documented"), RunConfig().to_dict()
    assert documented == {name: defaults[name] for name in documented}
