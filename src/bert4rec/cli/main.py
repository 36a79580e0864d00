"""`bert4rec`: one command with verbs. Finds the verb's file, reads its flags, and turns errors into one line.

A verb's file holds its flags and `run`; whatever it needs is imported when it runs, so that `--help` is instant.
Exit codes: 0 done, 1 the data cannot be used, 2 the request is wrong, 130 interrupted.
"""

from __future__ import annotations

import difflib
import io
import os
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from types import ModuleType

from bert4rec.errors import Bert4RecError, DataError, UsageError

COMMANDS = {
    "prepare": "raw ratings to a prepared folder",
    "train": "a prepared folder to a model folder",
    "distill": "trained models to a small one that says what they say",
    "tune": "a search for settings, each trial a run of its own",
    "presets": "the named configurations for train, distill and tune",
    "evaluate": "a model beside baselines, with intervals and the protocol",
    "recommend": "the best next items for a user",
    "explain": "what makes an item stand where it stands",
    "profile": "what is known and predicted of a user",
    "add-items": "new items for a trained model, by their metadata",
    "publish": "a model folder without the data, to pass on",
    "compare": "two models or reports on the same users",
    "bench": "how fast a model answers on this machine, with catalogues of any size",
    "doctor": "what is installed, which device is used, whether data and models are whole",
}

INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code of one command line."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _dispatch(words), debug="--debug" in words)


def _dispatch(words: list[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(usage())
        return
    if words[0] == "--version":
        from bert4rec import __version__

        print(f"bert4rec {__version__}")
        return
    if words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, n=1)
        advice = (
            f"; did you mean {near[0]!r}?" if near else f"; the commands are {', '.join(COMMANDS)}"
        )
        raise UsageError(f"unknown command {words[0]!r}{advice}")
    run_command(words[0], words[1:])


def run_command(name: str, words: Sequence[str]) -> None:
    """Reads the flags of a verb and runs it."""
    from bert4rec.cli.flags import make_parser, parse, set_defaults

    command = module_of(name)
    parser = make_parser(f"bert4rec {name}", command.__doc__ or "")
    command.add_flags(parser)
    if hasattr(command, "defaults"):
        set_defaults(parser, command.defaults(words))
    command.run(parse(parser, words))


def module_of(name: str) -> ModuleType:
    """The file of a verb."""
    return import_module(f"bert4rec.cli.{name.replace('-', '_')}")


def usage() -> str:
    """The help of the bare command."""
    lines = [f"  {name:<10} {summary}" for name, summary in COMMANDS.items()]
    return "\n".join(
        [
            "usage: bert4rec COMMAND [flags]",
            "",
            *lines,
            "",
            "'bert4rec COMMAND --help' lists the flags of a command.",
        ]
    )


def _spin_briefly() -> None:
    """Makes torch's threads spin only briefly while they wait for each other. It is read when torch is imported.

    By default they spin for long, and beside any other busy program they then spin against it: training takes a
    multiple of its time (docs/decisions/0009-threads-spin-briefly.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def guarded(work: Callable[[], None], debug: bool) -> int:
    """The exit code of some work; its errors as one line on stderr, with a traceback only where it was asked for."""
    _spin_briefly()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # a console without ± and é shows ? there, as stderr does by itself
    try:
        code = _code_of(work)
        sys.stdout.flush()
    except Bert4RecError as problem:
        return _complain(str(problem), problem.exit_code, debug)
    except KeyboardInterrupt as stopped:
        return _complain(str(stopped) or "interrupted", INTERRUPTED, debug)
    except BrokenPipeError:  # whoever read the output has enough
        return 0
    except OSError as problem:
        return _complain(
            f"{problem.filename or 'output'}: {problem.strerror or problem}",
            DataError.exit_code,
            debug,
        )
    finally:
        _settle_stdout()
    return code


def _code_of(work: Callable[[], None]) -> int:
    """0, also where --help and --print_config have been answered; or what some library leaves with."""
    try:
        work()
    except SystemExit as left:
        if left.code is None or isinstance(
            left.__context__, BrokenPipeError
        ):  # nobody reads rich's table
            return 0
        return left.code if isinstance(left.code, int) else 1
    return 0


def _complain(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(
        "bert4rec: error:",
        " ".join(line.strip() for line in message.strip().splitlines()),
        file=sys.stderr,
    )
    return code


def _settle_stdout() -> None:
    """What stdout does not take is dropped here, or Python would complain of it on its way out."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
