"""Runs of commands: in this process, or in their own where streams and signals matter."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bert4rec.cli.main import main

ROOT = Path(__file__).parents[1]

TINY = {
    "hidden_size": 16,
    "num_heads": 2,
    "num_layers": 1,
    "seq_length": 12,
    "feature_embedding_size": 4,
    "user_embedding_size": 4,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "max_epochs": 2,
    "windows": "random",
    "accelerator": "cpu",
}
"""Settings of a model that trains in a second."""


@dataclass(frozen=True)
class Done:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    def refused(self, code: int) -> str:
        """Error message of a refused command: one line, with this exit code."""
        assert self.err.startswith("bert4rec: error: "), self.err
        assert self.err.count("\n") == 1, self.err
        assert self.err.endswith("\n")
        assert self.code == code, self.err
        return self.err.removeprefix("bert4rec: error: ").strip()

    def succeeded(self) -> str:
        """Output of a command that succeeded without a word on stderr."""
        assert (self.code, self.err) == (0, "")
        return self.out


def run(*words: object, entry: Callable[[Sequence[str]], int] = main) -> Done:
    """Run a command in this process, on one thread: the models of tests are too small for more."""
    out, err, threads = io.StringIO(), io.StringIO(), torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = entry([str(word) for word in words])
    finally:
        torch.set_num_threads(threads)
    return Done(code, out.getvalue(), err.getvalue())


def settings(**more: object) -> list[object]:
    """Flags of the tiny settings."""
    return [word for name, value in {**TINY, **more}.items() for word in (f"--{name}", value)]


def process(
    *words: object, script: Sequence[str] = ("-m", "bert4rec"), **options: Any
) -> subprocess.Popen[str]:
    """Start a command in its own process; its streams are text."""
    command = [sys.executable, *script, *map(str, words)]
    usual = {
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "stdin": subprocess.DEVNULL,
        "env": environment(),
    }
    return subprocess.Popen(command, text=True, **{**usual, **options})


def finished(running: subprocess.Popen[str]) -> Done:
    """Wait for a process, and return its exit code and output."""
    out, err = running.communicate(timeout=120)
    return Done(running.returncode, out or "", err)


def environment() -> dict[str, str]:
    """Environment of this process, with the package's source, on one thread, output buffered."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return {**kept, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}


ML_1M = {
    "ml-1m/ratings.dat": "".join(
        f"{user}::{(user + position) % 12 + 1}::{1 + (user + position) % 5}"
        f"::{978300000 + 100 * position}\n"
        for user in range(115, 131)
        for position in range(8)
    ),
    "ml-1m/movies.dat": "".join(
        f"{item}::Film {item} ({1980 + item})::{'War|Drama'[: 3 + 6 * (item % 2)]}\n"
        for item in range(1, 13)
    ),
    "ml-1m/users.dat": "".join(
        f"{user}::{'FM'[user % 2]}::25::7::00000\n" for user in range(115, 131)
    ),
}
"""The layout of MovieLens 1M: users 115 … 130 with 8 ratings each of 12 films."""


def zipped(path: Path, files: Mapping[str, str] = ML_1M) -> Path:
    """Write an archive of the files, uncompressed: a changed byte is a changed content."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def printed_columns(text: str, row: str) -> list[str]:
    """Column names of the printed table whose first line is `row`; wrapped names are joined."""
    table = next(part for part in text.split("\n\n") if f"\n{row} " in part).splitlines()
    width = max(map(len, table))
    blank = [all(line.ljust(width)[at] == " " for line in table) for at in range(width)]
    gaps = [at for at in range(width - 1) if blank[at] and blank[at + 1]]
    starts = [0, *(at + 2 for at in gaps if at + 1 not in gaps)]
    first = next(number for number, line in enumerate(table) if line.startswith(f"{row} "))
    head = table[:first]
    spans = zip(starts, [*starts[1:], width], strict=True)
    return [" ".join(" ".join(line[start:stop] for line in head).split()) for start, stop in spans]
