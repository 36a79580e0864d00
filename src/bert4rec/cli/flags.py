"""Flags and configuration files from the dataclasses of settings: flat names, defaults < file < flags."""

from __future__ import annotations

import argparse
import difflib
import re
from collections.abc import Sequence
from dataclasses import fields
from itertools import pairwise
from typing import Any, TypeVar

from jsonargparse import ArgumentParser, Namespace, set_parsing_settings

from bert4rec.config import RunConfig
from bert4rec.errors import ConfigError, UsageError

set_parsing_settings(docstring_parse_attribute_docstrings=True)

Settings = TypeVar("Settings")


def make_parser(program: str, description: str) -> ArgumentParser:
    """A parser with the flags that every command has."""
    parser = ArgumentParser(prog=program, description=description, exit_on_error=False)
    parser.add_argument("--config", action="config", help="A YAML file of settings; flags come after it.")
    parser.add_argument("--debug", action="store_true", help="Print the traceback of an error.")
    return parser


def add_json(parser: ArgumentParser) -> None:
    """The flag of commands that answer machines too."""
    parser.add_argument("--json", action="store_true", help="One JSON document on stdout, and nothing else there.")


def parse(parser: ArgumentParser, words: Sequence[str]) -> Namespace:
    """The flags' values; what is wrong with them in one line."""
    try:
        return parser.parse_args(list(words))
    except argparse.ArgumentError as problem:
        raise UsageError(_one_line(str(problem), parser, words)) from problem
    except SystemExit as stopped:  # --help and --print_config have been answered
        if stopped.code:
            raise UsageError(f"cannot read these flags; see '{parser.prog} --help'") from stopped
        raise


def _one_line(message: str, parser: ArgumentParser, words: Sequence[str]) -> str:
    """jsonargparse's complaint as a sentence of ours, with the nearest known name."""
    text = " ".join(message.split())
    in_file = next((f"{after}: " for word, after in pairwise(words) if word == "--config"), "")
    typed = re.match(r'Parser key "(?P<key>[^"]+)": Expected (?:a|an) (?P<kind>.+?)\.? Got value: (?P<value>.*)', text)
    if typed:
        kind = re.sub(r"<class '(\w+)'>|typing\.Literal", lambda found: found[1] or "one of ", typed["kind"])
        where = "" if _on_line(typed["key"], words) else in_file
        return f"{where}{typed['key']} is {typed['value']!r}: expected {kind}"
    unknown = re.search(r"Option '(?P<key>[^']+)' is not accepted|does not accept option '(?P<nested>[^']+)'", text)
    if unknown:
        key = unknown["key"] or unknown["nested"]
        return f"{in_file}unknown setting {key!r}{_nearest(key, parser)}"
    flag = re.match(r"unrecognized arguments: (?P<flag>\S+)", text)
    if flag:
        return f"unknown flag {flag['flag']!r}{_nearest(flag['flag'].lstrip('-').partition('=')[0], parser)}"
    if "File does not exist" in text:
        return f"{in_file.rstrip(': ')}: no such configuration file"
    return f"{in_file if 'Problems parsing config' in text else ''}{text}"


def _on_line(key: str, words: Sequence[str]) -> bool:
    return any(word.lstrip("-").partition("=")[0] == key for word in words)


def _nearest(key: str, parser: ArgumentParser) -> str:
    known = [action.dest for action in parser._actions]
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; '{parser.prog} --help' lists what is known"


def add_settings(parser: ArgumentParser, *groups: type) -> None:
    """A flag for each field of the dataclasses, its docstring as help."""
    for group in groups:
        parser.add_class_arguments(group)


def settings_of(kind: type[Settings], args: Namespace) -> Settings:
    """A dataclass from the flags' values; checks run in its constructor."""
    return kind(**{entry.name: args[entry.name] for entry in fields(kind)})  # type: ignore[arg-type]


def run_config(args: Namespace) -> RunConfig:
    """All settings of a training run."""
    names = RunConfig().to_dict()
    settings: dict[str, Any] = {name: args[name] for name in names}
    settings["task_weights"] = (
        args.task_weights.as_dict() if isinstance(args.task_weights, Namespace) else args.task_weights
    )
    try:
        return RunConfig.from_dict(settings)
    except TypeError as problem:
        raise ConfigError(str(problem)) from problem
