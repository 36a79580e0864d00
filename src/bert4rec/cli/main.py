"""The `bert4rec` command: dispatch to a command's module, and errors as one line.

A command's module has `add_flags` and `run`; heavy libraries are imported in `run`, so `--help` is
instant. Exit codes: 0 success, 1 unusable data or file, 2 wrong usage, 130 interrupted,
143 terminated.
"""

from __future__ import annotations

import difflib
import io
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import FrameType, ModuleType

from bert4rec.errors import Bert4RecError, DataError, Terminated, UsageError
from bert4rec.shown_text import shown

COMMANDS = {
    "schema": "propose a schema for your own tables",
    "prepare": "turn raw ratings into a prepared folder",
    "train": "train a model on a prepared folder",
    "distill": "train a small model by knowledge distillation",
    "tune": "hyper-parameter search",
    "presets": "list the named configurations for train, distill and tune",
    "evaluate": "compare a model with baselines, with intervals and protocol",
    "recommend": "recommend the top-k items for a user",
    "explain": "explain the score of an item: effects of events and features",
    "profile": "demographics, statistics and predicted preferences of a user",
    "add-items": "add cold-start items to a trained model by their metadata",
    "update-items": "change titles and features of items that a trained model knows",
    "publish": "copy a model folder without the data, for publication",
    "compare": "compare two models or reports on the same users",
    "bench": "latency and throughput by catalogue size",
    "doctor": "check the installation, the device, data and models",
}

INTERRUPTED, TERMINATED = 130, 143


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line; returns its exit code."""
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
    """Parse the flags of a command and run it."""
    from bert4rec.cli.flags import make_parser, parse, set_defaults

    command = module_of(name)
    parser = make_parser(f"bert4rec {name}", command.__doc__ or "")
    command.add_flags(parser)
    if hasattr(command, "defaults"):
        set_defaults(parser, command.defaults(words))
    command.run(parse(parser, words))


def module_of(name: str) -> ModuleType:
    """Module of a command."""
    return import_module(f"bert4rec.cli.{name.replace('-', '_')}")


def usage() -> str:
    """Help of the bare command."""
    lines = [f"  {name:<12} {summary}" for name, summary in COMMANDS.items()]
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
    """Limit the time that torch's threads spin while they wait for each other.

    Torch reads the limit on import. By default they spin long. Beside another busy program,
    training then takes a multiple of its time (docs/decisions/0009-threads-spin-briefly.md).
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "2000")


def guarded(work: Callable[[], None], debug: bool) -> int:
    """Run some work; returns its exit code.

    Errors are one line on stderr, after a traceback if `debug`.
    """
    _spin_briefly()
    _open_closed_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A console without ± and é shows ? there, as stderr does by itself.
        sys.stdout.reconfigure(errors="replace")
    try:
        with _termination_raises():
            code = _code_of(work)
        sys.stdout.flush()
    except Bert4RecError as problem:
        return _complain(str(problem), problem.exit_code, debug)
    except KeyboardInterrupt as stopped:
        return _complain(str(stopped) or "interrupted", INTERRUPTED, debug)
    except Terminated as stopped:
        return _complain(str(stopped), TERMINATED, debug)
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


@contextmanager
def _termination_raises() -> Iterator[None]:
    """Raise `Terminated` on SIGTERM, so that clean-up runs; a second one changes nothing.

    Only the main thread of a process may set a handler, and one of the caller is kept.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Terminated("terminated")


def _open_closed_streams() -> None:
    """Send what would go to a closed stream (`>&-`) nowhere.

    Python has no object for such a stream, and the next file to be opened would take its number:
    a library's message could end up in that file.
    """
    number = os.open(os.devnull, os.O_RDWR)
    while number <= 2:
        number = os.open(os.devnull, os.O_RDWR)
    os.close(number)
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115


def _code_of(work: Callable[[], None]) -> int:
    """Exit code of the work: 0 also after --help and --print_config, else that of a SystemExit."""
    try:
        work()
    except SystemExit as left:
        # A closed pipe under rich's table ends in a SystemExit too.
        if left.code is None or isinstance(left.__context__, BrokenPipeError):
            return 0
        return left.code if isinstance(left.code, int) else 1
    return 0


def _complain(message: str, code: int, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(
        "bert4rec: error:",
        shown(" ".join(line.strip() for line in message.strip().splitlines())),
        file=sys.stderr,
    )
    return code


def _settle_stdout() -> None:
    """Drop output that stdout cannot take; Python would report it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
