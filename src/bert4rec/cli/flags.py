"""Flags, presets and configuration files, from the dataclasses of settings.

Names are flat. Precedence: defaults < preset < configuration file < flags.
"""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Container, Mapping, Sequence
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TrainingConfig
from bert4rec.errors import ConfigError, UsageError
from bert4rec.presets import preset_names, read_preset

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Settings = TypeVar("Settings")


def make_parser(program: str, description: str) -> ArgumentParser:
    """Parser with the flags of every command."""
    parser = ArgumentParser(
        prog=program, description=description, exit_on_error=False, allow_abbrev=False
    )
    parser.add_argument(
        "--config", action="config", help="YAML file of settings; flags after it override them."
    )
    parser.add_argument("--debug", action="store_true", help="Print the traceback of an error.")
    return parser


def add_json(parser: ArgumentParser) -> None:
    """Add `--json`."""
    parser.add_argument(
        "--json", action="store_true", help="One JSON document on stdout, and nothing else there."
    )


def add_data(parser: ArgumentParser) -> None:
    """Add `--data` and `--data_dir`."""
    parser.add_argument(
        "--data", type=Path, help="The prepared folder; default: the data stored with the model."
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        help="In place of --data: where the MovieLens release lies that the model was trained on.",
    )


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """Values of the flags; errors are one line each. A preset changes the parser's defaults."""
    files = [Path(file) for file in words_after("--config", words)]
    contents = [_read_file(file) for file in files]
    if any(action.dest == "preset" for action in parser._actions):
        _apply_preset(parser, words, contents)
    try:
        return parser.parse_args(list(words))
    except argparse.ArgumentError as problem:
        raise UsageError(_one_line(str(problem), parser, words, files)) from problem
    except SystemExit as stopped:  # --help and --print_config have been answered
        if stopped.code:
            raise UsageError(f"cannot read these flags; see '{parser.prog} --help'") from stopped
        raise


def set_defaults(parser: ArgumentParser, settings: Mapping[str, Any]) -> None:
    """Replace the defaults of the settings' flags."""
    flat = {name: value for name, value in settings.items() if name != "task_weights"}
    tasks = {
        f"task_weights.{name}": value for name, value in settings.get("task_weights", {}).items()
    }
    if settings:
        parser.set_defaults({**flat, **tasks})


def _apply_preset(
    parser: ArgumentParser, words: Sequence[str], files: Sequence[Mapping[str, Any]]
) -> None:
    """Make the settings of the preset the parser's defaults; a flag names it, or else a file."""
    in_files = [content["preset"] for content in files if content.get("preset")]
    named = words_after("--preset", words) or in_files
    if named:
        set_defaults(parser, read_preset(str(named[-1])))


def words_after(flag: str, words: Sequence[str]) -> list[str]:
    """Every value of a flag on a command line that is not parsed yet."""
    apart = [after for word, after in pairwise(words) if word == flag]
    joined = [word.partition("=")[2] for word in words if word.startswith(f"{flag}=")]
    return [*apart, *joined]


def _read_file(file: Path) -> Mapping[str, Any]:
    """Settings of a configuration file; their names are checked with the flags."""
    try:
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as problem:
        reason = (
            "no such configuration file"
            if not file.exists()
            else f"cannot be read ({problem.strerror})"
        )
        raise ConfigError(f"{file}: {reason}") from problem
    except UnicodeDecodeError as problem:
        raise ConfigError(f"{file}: not a text file in UTF-8; a configuration is YAML") from problem
    except yaml.YAMLError as problem:
        mark = getattr(problem, "problem_mark", None)
        where = f"{file}, row {mark.line + 1}" if mark else f"{file}"
        raise ConfigError(
            f"{where}: not YAML ({getattr(problem, 'problem', problem)})"
        ) from problem
    if not isinstance(content, Mapping):
        raise ConfigError(f"{file}: holds no settings; write one a line, like 'hidden_size: 64'")
    return content


def _one_line(
    message: str, parser: ArgumentParser, words: Sequence[str], files: Sequence[Path]
) -> str:
    """One sentence for an error of jsonargparse, with the nearest known name."""
    text = " ".join(message.split())
    in_file = ", ".join(map(str, files)) + ": " if files else ""
    missing = re.match(r"the following arguments are required: (?P<names>.+)", text)
    if missing:
        names = [
            name if name in _positional(parser) else f"--{name}"
            for name in missing["names"].split(", ")
        ]
        return f"missing {', '.join(names)}; '{parser.prog} --help' says what to give"
    typed = re.match(
        r'Parser key "(?P<key>[^"]+)"(?: element \d+)?: '
        r"Expected (?:a|an) (?P<kind>.+?)\.? Got value: (?P<value>.*)",
        text,
    )
    if typed:
        kind = re.sub(
            r"<class '(\w+)'>|typing\.Literal", lambda found: found[1] or "one of ", typed["kind"]
        )
        where = "" if _on_line(typed["key"], words) else in_file
        return f"{where}{typed['key']} is {typed['value']!r}: expected {kind}"
    valueless = re.match(r"argument (?P<flag>--[^/:]+): expected one argument", text)
    if valueless:
        flag = valueless["flag"]
        return f"{flag}: expected one argument; if it begins with -, write {flag}=-5,-6"
    group = re.match(
        r'Parser key "(?P<key>[^"]+)": Unable to load config \'(?P<value>.*)\' - ', text
    )
    if group:
        return (
            f"{group['key']} is {group['value']!r}: set its parts, like --{group['key']}.NAME 0.5"
        )
    unknown = re.search(
        r"Option '(?P<key>[^']+)' is not accepted|does not accept option '(?P<nested>[^']+)'", text
    )
    if unknown:
        key = unknown["key"] or unknown["nested"]
        return f"{in_file}unknown setting {key!r}{_nearest(key, parser)}"
    flag = re.match(r"unrecognized arguments: (?P<flag>\S+)", text)
    if flag:
        dashes, name = re.match(r"(-*)([^=]*)", flag["flag"]).groups()  # type: ignore[union-attr]
        advice = _nearest(name, parser, "--") if dashes else "; flags begin with --"
        return f"unknown flag {flag['flag']!r}{advice}"
    return text


def _positional(parser: ArgumentParser) -> list[str]:
    return [action.dest for action in parser._actions if not action.option_strings]


def _on_line(key: str, words: Sequence[str]) -> bool:
    return any(word.lstrip("-").partition("=")[0] == key for word in words)


def _nearest(key: str, parser: ArgumentParser, dashes: str = "") -> str:
    known = [action.dest for action in parser._actions]
    near = difflib.get_close_matches(key, known, n=1)
    return (
        f"; did you mean {dashes + near[0]!r}?"
        if near
        else f"; '{parser.prog} --help' lists what is known"
    )


def add_switch(parser: ArgumentParser, name: str, default: bool, help: str) -> None:
    """Add a flag that is on or off."""
    parser.add_argument(f"--{name}", type=bool, nargs="?", const=True, default=default, help=help)


def add_folders(parser: ArgumentParser, name: str, help: str) -> None:
    """Add a required flag that names one or more folders."""
    _accept_single_value(
        parser.add_argument(f"--{name}", type=Path, nargs="+", required=True, help=help)
    )


def _accept_single_value(action: Any) -> None:
    """Accept a single value from a file for a list flag."""
    check = action._check_type

    def check_all(value: Any, *rest: Any, **options: Any) -> Any:
        return check([value] if isinstance(value, str | Path) else value, *rest, **options)

    action._check_type = check_all


def add_run_settings(parser: ArgumentParser, skip: Container[str] = ()) -> None:
    """Add the flags of a training run: the preset, and all settings but the skipped ones."""
    names = ", ".join(preset_names())
    parser.add_argument(
        "--preset",
        type=str,
        help=f"Named settings below --config and flags: {names} ('bert4rec presets').",
    )
    add_settings(parser, ModelConfig, TrainingConfig, SplitConfig, skip=skip)


def add_settings(parser: ArgumentParser, *groups: type, skip: Container[str] = ()) -> None:
    """Add a flag for each field of the dataclasses, with its docstring as help.

    A boolean flag without a value is true: `--overwrite`.
    """
    for group in groups:
        parser.add_class_arguments(
            group, skip={entry.name for entry in fields(group) if entry.name in skip}
        )
    actions: list[Any] = parser._actions
    for action in actions:
        kind = getattr(action, "_typehint", None)
        if kind is bool:
            action.nargs, action.const = "?", True
        elif kind == tuple[str, ...]:
            action._typehint, action.nargs, action.metavar = str, "*", action.dest.upper()
            _accept_single_value(action)


def at_least_one(args: Namespace, name: str) -> int:
    """Value of a flag, checked to be 1 or more."""
    if args[name] < 1:
        raise UsageError(f"{name} is {args[name]}: it must be 1 or more")
    return int(args[name])


def settings_of(kind: type[Settings], args: Namespace) -> Settings:
    """Dataclass of the flags' values, checked by its constructor."""
    return kind(**{entry.name: args[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]


def run_config(args: Namespace) -> RunConfig:
    """Settings of a training run from the flags' values."""
    names = RunConfig().to_dict()
    settings: dict[str, Any] = {name: args[name] for name in names}
    settings["task_weights"] = (
        args.task_weights.as_dict()
        if isinstance(args.task_weights, Namespace)
        else args.task_weights
    )
    try:
        return RunConfig.from_dict(settings)
    except TypeError as problem:
        raise ConfigError(str(problem)) from problem
