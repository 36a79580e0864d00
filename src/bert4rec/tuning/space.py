"""What a search may choose: a YAML file that maps settings to choices or ranges.

    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    num_layers: {low: 1, high: 4}
    block: [transformer, gated]
    task_weights: {rating_prediction: [0.0, 0.3]}

How the values are chosen is left to `tune`.
"""

from __future__ import annotations

import math
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import yaml

from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TaskWeights, TrainingConfig
from bert4rec.errors import ConfigError

if TYPE_CHECKING:
    from optuna.trial import Trial

FIXED = (
    "split",
    "test_share",
    "fold",
    "teacher",
    "devices",
    "accelerator",
    "num_workers",
    "pin_memory",
    "logger",
    "use_wandb",
)
"""Settings that are no matter of a search: they change the question, the machine, or nothing."""

Value = bool | int | float | str


@dataclass(frozen=True)
class Choices:
    """One of several values."""

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """The value that a trial has for the setting."""
        return trial.suggest_categorical(name, self.values)  # type: ignore[return-value]

    def to_dict(self) -> Any:
        """As it is written in a file."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """A number from `low` to `high`, both included; whole where both are and the setting is."""

    low: int | float
    high: int | float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Trial, name: str) -> Value:
        """The value that a trial has for the setting."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def to_dict(self) -> Any:
        """As it is written in a file."""
        return {"low": self.low, "high": self.high, "log": self.log}


Space = Mapping[str, Choices | Range]
"""By setting; a task's weight is `task_weights.next_item`."""


def read_space(path: Path) -> Space:
    """The space of a file. Raises ConfigError in one line that names the file and the setting."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise ConfigError(
            f"{path}: cannot be read ({problem.strerror}); name a YAML file of settings"
        ) from problem
    except (UnicodeDecodeError, yaml.YAMLError) as problem:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(problem).split())})") from problem
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(
            f"{path}: holds no settings; write one a line, like 'num_layers: [1, 2, 4]'"
        )
    try:
        return {name: _entry(name, entry) for name, entry in _flat(content)}
    except ConfigError as problem:
        raise ConfigError(f"{path}: {problem}") from problem


def _flat(content: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    for name, entry in content.items():
        if name != "task_weights":
            yield str(name), entry
        elif isinstance(entry, Mapping) and entry:
            yield from ((f"task_weights.{task}", weight) for task, weight in entry.items())
        else:
            raise ConfigError(f"task_weights is {entry!r}: give choices or a range for each task")


def _entry(name: str, entry: Any) -> Choices | Range:
    kinds = _kinds()
    if name in FIXED:
        raise ConfigError(f"{name} is no setting to search; set it for all trials")
    if name not in kinds:
        raise ConfigError(f"unknown setting {name!r}; 'bert4rec train --help' lists them")
    if isinstance(entry, list) and entry:
        return Choices(tuple(_checked(name, value, kinds[name]) for value in entry))
    if isinstance(entry, Mapping) and {"low", "high"} <= entry.keys() <= {"low", "high", "log"}:
        return _range(name, entry, kinds[name])
    raise ConfigError(
        f"{name} is {entry!r}: expected a list of choices, or low and high and perhaps log"
    )


def _kinds() -> dict[str, Any]:
    """The type of each setting, by the name that it has in a space."""
    groups = [
        ("", ModelConfig),
        ("", TrainingConfig),
        ("", SplitConfig),
        ("task_weights.", TaskWeights),
    ]
    found = {
        prefix + name: kind
        for prefix, group in groups
        for name, kind in typing.get_type_hints(group).items()
    }
    return {name: kind for name, kind in found.items() if name != "task_weights"}


def _checked(name: str, value: Any, kind: Any) -> Any:
    """The value as the setting has it."""
    if kind is float:
        return _number(name, value)
    choices = get_args(kind) if get_origin(kind) is Literal else None
    if value not in choices if choices else type(value) is not kind:
        raise ConfigError(
            f"{name} is {value!r}: expected {f'one of {list(choices)}' if choices else kind.__name__}"
        )
    return value


def _number(name: str, value: Any) -> float:
    """What is written `1e-3` is a word to YAML, and a number to whoever wrote it."""
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise ConfigError(f"{name} is {value!r}: expected a number")
    return number


def _range(name: str, entry: Mapping[str, Any], kind: Any) -> Range:
    low, high, log = entry["low"], entry["high"], entry.get("log", False)
    if kind not in (int, float):
        raise ConfigError(f"{name} has low and high, but is no number; give a list of choices")
    low, high = _checked(f"{name}: low", low, kind), _checked(f"{name}: high", high, kind)
    if type(log) is not bool:
        raise ConfigError(f"{name}: log is {log!r}: expected true or false")
    if not low <= high:
        raise ConfigError(f"{name}: low {low} is above high {high}")
    if log and low <= 0:
        raise ConfigError(f"{name}: low is {low}: with log it must be above 0")
    return Range(low, high, log, whole=kind is int)


def with_parameters(run: RunConfig, parameters: Mapping[str, Value]) -> RunConfig:
    """The run with other settings. Raises ConfigError where they contradict each other."""
    settings = run.to_dict()
    for name, value in parameters.items():
        group, _, task = name.rpartition(".")
        (settings[group] if group else settings)[task] = value
    return RunConfig.from_dict(settings)


def written(value: Value) -> str:
    """A value for people: a drawn learning rate has more digits than anyone reads."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
