"""Draw the terminal session of README.md from a real run.

`python docs/draw_terminal.py demo/model docs/pictures/terminal.svg` runs the commands and draws
what they print. Long tables are cut with an ellipsis. The commands read a copy of the model folder
without titles, since the titles of MovieLens may not be redistributed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.terminal_theme import TerminalTheme
from rich.text import Text

from bert4rec.artefact.model_folder import load, save
from bert4rec.data.splits import make_split

WIDTH = 120
THEME = TerminalTheme(
    (30, 34, 42),
    (222, 226, 232),
    [(30, 34, 42), (224, 108, 117), (152, 195, 121), (229, 192, 123), *[(97, 175, 239)] * 4],
)
SESSION = [
    ("bert4rec recommend --model {model} --user_id 1 --k 4 --at_most genres=2", 6),
    ("bert4rec explain --model {model} --user_id 1", 11),
]
"""Commands, and how many lines of their output are shown."""


def main(model: str, picture: str) -> None:
    """Run the session and write the picture."""
    with TemporaryDirectory() as folder:
        untitled = _without_titles(Path(model), Path(folder) / "model")
        svg = _drawn_session(untitled)
    Path(picture).write_text(svg, encoding="utf-8")


def _without_titles(model: Path, copy: Path) -> Path:
    """Copy of a model folder whose items have no titles."""
    trained = load(model)
    untitled = replace(trained.dataset.vocabularies, titles=None)
    dataset = replace(trained.dataset, stored_vocabularies=untitled)
    split = make_split(dataset, trained.config.split)
    save(copy, trained.network, trained.config, dataset, split)
    return copy


def _drawn_session(model: Path) -> str:
    """The commands and their output as SVG; the prompts name `demo/model`."""
    console = Console(record=True, width=WIDTH, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    for number, (command, lines) in enumerate(SESSION):
        if number:
            console.print()
        console.print(_prompt(command.format(model="demo/model")))
        shown = _output(command.format(model=shlex.quote(str(model))))
        for line in shown[:lines]:
            console.print(Text.from_ansi(line), soft_wrap=True)
        if len(shown) > lines:
            console.print("…", style="dim")
    return console.export_svg(title="bert4rec", theme=THEME)


def _prompt(command: str) -> Text:
    return Text.assemble(("$ ", "bold green"), (command, "bold"))


def _output(command: str) -> list[str]:
    """Lines that the command prints to a terminal of this width."""
    words = [sys.executable, "-m", "bert4rec.cli.main", *shlex.split(command)[1:]]
    environment = {
        **os.environ,
        "COLUMNS": str(WIDTH),
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
    }
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
