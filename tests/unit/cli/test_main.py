"""The bare command, exit codes, and errors as one line."""

from __future__ import annotations

import errno
import os

import pytest

from bert4rec import __version__
from bert4rec.cli.main import COMMANDS, guarded
from bert4rec.errors import (
    Bert4RecError,
    ConfigError,
    DataError,
    SourceError,
    UnknownItem,
    UnknownUser,
    UsageError,
)
from command_line import Done, run


def raising(problem: BaseException, debug: bool = False) -> Done:
    """Exit code and message of work that ends in an error."""

    def work() -> None:
        raise problem

    return run(entry=lambda words: guarded(work, debug))


def test_the_bare_command_lists_the_commands() -> None:
    for words in ([], ["--help"], ["-h"]):
        printed = run(*words).succeeded()
        assert all(f"\n  {name} " in printed for name in COMMANDS)


def test_the_version_is_printed() -> None:
    assert run("--version").succeeded() == f"bert4rec {__version__}\n"


def test_an_unknown_command_is_refused_with_the_nearest_one() -> None:
    assert run("trian").refused(2) == "unknown command 'trian'; did you mean 'train'?"
    assert "the commands are schema, prepare, train" in run("--frobnicate").refused(2)


@pytest.mark.parametrize(
    ("problem", "code"),
    [
        (UsageError("wrong"), 2),
        (ConfigError("wrong"), 2),
        (Bert4RecError("wrong"), 1),
        (DataError("wrong"), 1),
        (SourceError("wrong", "a.csv", 3, "r"), 1),
        (UnknownUser(7), 1),
        (UnknownItem([7]), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_each_branch_of_errors_has_its_exit_code(problem: BaseException, code: int) -> None:
    assert raising(problem).refused(code) == (str(problem) or "interrupted")


def test_a_message_of_several_lines_becomes_one() -> None:
    assert raising(DataError("first\n  second\n")).refused(1) == "first second"


@pytest.mark.parametrize(
    "number", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOTDIR, errno.EFBIG, errno.EIO]
)
def test_what_the_system_refuses_is_one_line_with_the_file(number: int) -> None:
    assert (
        raising(OSError(number, os.strerror(number), "a/b.txt")).refused(1)
        == f"a/b.txt: {os.strerror(number)}"
    )


@pytest.mark.parametrize(("left_with", "code"), [(None, 0), (0, 0), (3, 3), ("words", 1)])
def test_an_exit_on_the_way_keeps_its_code(left_with: object, code: int) -> None:
    assert raising(SystemExit(left_with)).code == code


def test_debug_adds_the_traceback_before_the_line() -> None:
    done = raising(DataError("wrong"), debug=True)
    assert done.err.startswith("Traceback")
    assert done.err.endswith("bert4rec: error: wrong\n")
    assert "Traceback" in run("train", "--hidden_size", "x", "--debug").err


def test_a_bug_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        raising(ZeroDivisionError())
