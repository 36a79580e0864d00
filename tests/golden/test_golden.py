"""Public names, flags and losses against their golden files.

To change them on purpose, run `BERT4REC_GOLDEN=write pytest tests/golden` and review the
difference.
"""

from __future__ import annotations

import json
import os
import re
from argparse import Action
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from jsonargparse import ArgumentParser

import bert4rec
from bert4rec.cli import scripts as documented
from bert4rec.cli.flags import make_parser
from bert4rec.cli.main import COMMANDS, module_of
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.training.train import train
from small_runs import run_of

HERE = Path(__file__).parent


def golden(name: str, found: Any) -> Any:
    """Stored value of this name; the found value is stored first on request."""
    path = HERE / f"{name}.json"
    if os.environ.get("BERT4REC_GOLDEN") == "write":
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def test_public_names_match_the_golden_file() -> None:
    assert golden("public_names", bert4rec.__all__) == bert4rec.__all__


def flags_of(parser: ArgumentParser) -> dict[str, str]:
    """Type and default of each flag."""
    return {
        "/".join(action.option_strings) or action.dest: f"{_type_of(action)} = {action.default}"
        for action in parser._actions
        if action.dest not in ("help", "print_config")
    }


def _type_of(action: Action) -> str:
    if action.nargs == 0:
        return "switch"
    text = str(
        getattr(action, "_typehint", None) or getattr(action, "type", None) or type(action).__name__
    )
    return re.sub(r"<class '([\w.]+)'>|typing\.", lambda found: found[1] or "", text)


class ParserMade(Exception):
    """Raised once the parser is known, so that nothing runs."""


def parser_of_script(name: str, monkeypatch: pytest.MonkeyPatch) -> ArgumentParser:
    """Parser of a documented script."""
    made: list[ArgumentParser] = []

    def record(parser: ArgumentParser, words: Sequence[str]) -> None:
        made.append(parser)
        raise ParserMade

    monkeypatch.setattr(documented, "parse", record)
    with pytest.raises(ParserMade):
        getattr(documented, name)([])
    return made[0]


def test_flags_of_every_command_match_the_golden_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = {}
    for command in COMMANDS:
        parser = make_parser(f"bert4rec {command}", "")
        module_of(command).add_flags(parser)
        found[command] = flags_of(parser)
    for script in ("trainer", "inference"):
        found[f"{script}.py"] = flags_of(parser_of_script(script, monkeypatch))
    stored = golden("flags", found)
    assert stored.keys() == found.keys()
    for command, flags in found.items():
        assert flags == stored[command], command


RUNS = {
    "documented": run_of(max_epochs=4),
    "gated": run_of(
        max_epochs=4,
        block="gated",
        relative_time=True,
        relative_position=True,
        user_features="sum",
        cosine_head=False,
        schedule="linear",
    ),
}


@pytest.mark.parametrize("name", RUNS)
def test_losses_of_a_small_run_match_the_golden_file(
    name: str, world: PreparedDataset, tmp_path: Path
) -> None:
    found = losses(train(world, RUNS[name], tmp_path / "run", log=lambda line: None))
    stored = golden(f"losses_{name}", {"settings": RUNS[name].to_dict(), "losses": found})
    assert RunConfig.from_dict(stored["settings"]) == RUNS[name]
    assert stored["losses"].keys() == found.keys()
    for task, curve in found.items():
        # Other CPUs round differently.
        assert curve == pytest.approx(stored["losses"][task], rel=1e-3), task


def losses(folder: Path) -> dict[str, list[float]]:
    """Loss of each task by epoch."""
    history = json.loads((folder / "training.json").read_text())["history"]
    return {
        task: [round(epoch["losses"][task], 6) for epoch in history]
        for task in history[0]["losses"]
    }
