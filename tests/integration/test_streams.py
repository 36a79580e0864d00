"""Signals, pipes and terminals: what a process does with them that a function cannot show."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import environment, finished, process, run, settings


def test_interrupted_training_exits_with_130_and_resumes(
    world_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    words = [
        "train",
        "--data",
        world_folder,
        "--output",
        folder,
        *settings(max_epochs=20, patience=20),
    ]
    running = process(*words)
    assert running.stdout is not None
    while "epoch   2/20" not in running.stdout.readline():  # the first epoch has been saved by then
        assert running.poll() is None
    running.send_signal(signal.SIGINT)
    done = finished(running)
    assert done.refused(130) == "interrupted; what was trained is kept, --resume goes on from it"
    assert (folder / "training" / "last.ckpt").is_file()
    assert not (folder / "config.json").exists()
    assert "--resume goes on with it, --overwrite starts anew" in run(*words).refused(2)
    first = run(*words, "--resume").succeeded().splitlines()[0]
    assert 2 <= int(first.split()[1].partition("/")[0]) < 20
    assert json.loads((folder / "training.json").read_text())["epochs"] == 20


def test_terminated_training_exits_with_143_and_keeps_its_checkpoint(
    world_folder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    more = settings(max_epochs=20, patience=20)
    words = ["train", "--data", world_folder, "--output", folder, *more]
    running = process(*words)
    assert running.stdout is not None
    while "epoch   2/20" not in running.stdout.readline():
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    done = finished(running)
    assert done.refused(143) == "terminated; what was trained is kept, --resume goes on from it"
    assert not (folder / ".lock").exists()
    assert (folder / "training" / "last.ckpt").is_file()


SLOW = """
import os, signal, sys, tempfile
from pathlib import Path
from bert4rec.cli.main import guarded
from bert4rec.files import atomic_path

def work():
    with tempfile.TemporaryDirectory(dir=sys.argv[1]), atomic_path(Path(sys.argv[1], "a")):
        print("working", flush=True)
        signal.pause()

sys.exit(guarded(work, debug=False))
"""


def test_terminated_command_exits_with_143_and_leaves_nothing(tmp_path: Path) -> None:
    running = process(tmp_path, script=("-c", SLOW))
    assert running.stdout is not None
    assert running.stdout.readline() == "working\n"
    assert len(list(tmp_path.iterdir())) == 2
    running.send_signal(signal.SIGTERM)
    assert finished(running).refused(143) == "terminated"
    assert list(tmp_path.iterdir()) == []


def test_damaged_checkpoint_is_named_on_resume(
    world_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "model"
    words = ["train", "--data", world_folder, "--output", folder, *settings()]
    monkeypatch.setattr("bert4rec.training.train.finalise", interrupted)
    assert "--resume goes on" in run(*words).refused(130)
    monkeypatch.undo()
    (folder / "training" / "training.json").unlink()
    last = folder / "training" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    assert (
        run(*words, "--resume").refused(1)
        == f"{last}: absent or damaged; --overwrite trains from the start"
    )
    run(*words, "--overwrite").succeeded()


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


def test_interrupt_between_two_steps_is_one_line(
    model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bert4rec.evaluation.evaluate.evaluate", interrupted)
    assert run("evaluate", "--model", model).refused(130) == "interrupted"


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_characters_outside_the_console_encoding_become_question_marks(
    model: Path, encoding: str
) -> None:
    env = {**environment(), "PYTHONIOENCODING": encoding}
    words = ["evaluate", "--model", model]
    table = finished(process(*words, env=env, encoding=encoding)).succeeded()
    sign = "?" if encoding == "ascii" else "±"
    assert re.search(rf"0\.\d{{4}} {re.escape(sign)}0\.\d{{4}}", table)


@pytest.mark.parametrize(
    ("words", "code"), [("presets >&-", 0), ("presets >&- 2>&- <&-", 0), ("presets --no 2>&-", 2)]
)
def test_closed_streams_are_no_error(words: str, code: int) -> None:
    """The shell closes a stream before the command starts."""
    shell = ["bash", "-c", f"{sys.executable} -m bert4rec {words}"]
    done = subprocess.run(shell, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "")


def test_closed_pipe_is_no_error(model: Path) -> None:
    for json_or_table in (["--json"], []):
        reading, writing = os.pipe()
        os.close(reading)
        with os.fdopen(writing, "w") as stdout:
            done = finished(
                process(
                    "recommend", "--model", model, "--user_id", "1", *json_or_table, stdout=stdout
                )
            )
        done.succeeded()


def test_training_continues_after_its_reader_closes_the_pipe(
    world_folder: Path, tmp_path: Path
) -> None:
    running = process("train", "--data", world_folder, "--output", tmp_path / "model", *settings())
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    running.stdout = None
    finished(running).succeeded()
    run("doctor", "--model", tmp_path / "model").succeeded()


def on_a_terminal(*words: object) -> tuple[int, str]:
    """The exit code, and everything that a terminal of 120 columns was sent."""
    ours, theirs = pty.openpty()
    env = {**environment(), "TERM": "xterm", "COLUMNS": "120"}
    running = process(*words, stdin=theirs, stdout=theirs, stderr=theirs, env=env)
    os.close(theirs)
    pieces = []
    try:
        while piece := os.read(ours, 2**16):
            pieces.append(piece)
    except OSError:  # how Linux says that nobody writes any more
        pass
    os.close(ours)
    return running.wait(timeout=120), b"".join(pieces).decode()


def test_training_on_a_terminal_shows_a_bar_that_agrees_with_the_lines(
    world_folder: Path, tmp_path: Path
) -> None:
    code, seen = on_a_terminal(
        "train", "--data", world_folder, "--output", tmp_path / "model", *settings()
    )
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen)
    assert code == 0
    assert re.search(r"epoch   1/2 +━+ \d+/5 ", plain)
    assert re.search(r"epoch   2/2 +━+ 5/5 ", plain)
    assert "v_num" not in plain
    assert "epoch   1/2  item_prediction" in plain
    assert plain.rstrip().splitlines()[-1] == f"model folder: {tmp_path / 'model'}"
