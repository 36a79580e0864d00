"""Search space: a YAML file that maps settings to choices or ranges.

    learning_rate: {low: 1.0e-4, high: 1.0e-2, log: true}
    num_layers: {low: 1, high: 4}
    block: [transformer, gated]
    task_weights: {rating_prediction: [0.0, 0.3]}

Values are chosen by `search`.
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
"""Settings that cannot be searched: they change the task, the machine, or no result."""

Value = bool | int | float | str


@dataclass(frozen=True)
class Choices:
    """Categorical parameter."""

    values: tuple[Value, ...]

    def suggest(self, trial: Trial, name: str) -> Value:
        """Value of the setting in a trial."""
        return trial.suggest_categorical(name, self.values)  # type: ignore[return-value]

    def to_dict(self) -> Any:
        """Plain values for JSON."""
        return list(self.values)


@dataclass(frozen=True)
class Range:
    """Number from `low` to `high`, both included; an integer if `whole`."""

    low: int | float
    high: int | float
    log: bool = False
    whole: bool = False

    def suggest(self, trial: Trial, name: str) -> Value:
        """Value of the setting in a trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def to_dict(self) -> Any:
        """Plain values for JSON."""
        return {"low": self.low, "high": self.high, "log": self.log}


Space = Mapping[str, Choices | Range]
"""Parameters by setting; the weight of a task is named `task_weights.next_item`."""


def read_space(path: Path) -> Space:
    """Search space of a file. Raises ConfigError, which names the file and the setting."""
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
    """Type of each setting, by its name in a space."""
    groups = [
        ("", ModelConfig),
        ("", TrainingConfig),
        ("", SplitConfig),
        ("task_weights.", TaskWeights),
    ]
    found: dict[str, Any] = {}
    for prefix, group in groups:
        for name, kind in typing.get_type_hints(group).items():
            found[prefix + name] = kind
    del found["task_weights"]
    return found


def _checked(name: str, value: Any, kind: Any) -> Any:
    """Value in the type of its setting."""
    if kind is float:
        return _number(name, value)
    if get_origin(kind) is Literal:
        choices = list(get_args(kind))
        if value not in choices:
            raise ConfigError(f"{name} is {value!r}: expected one of {choices}")
    elif type(value) is not kind:
        raise ConfigError(f"{name} is {value!r}: expected {kind.__name__}")
    return value


def _number(name: str, value: Any) -> float:
    """Finite number; YAML reads `1e-3` as a string."""
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


def with_parameters(config: RunConfig, parameters: Mapping[str, Value]) -> RunConfig:
    """Run with changed settings. Raises ConfigError if they contradict each other."""
    settings = config.to_dict()
    for name, value in parameters.items():
        group, _, task = name.rpartition(".")
        (settings[group] if group else settings)[task] = value
    return RunConfig.from_dict(settings)


def written(value: Value) -> str:
    """Value as text; sampled numbers are rounded to four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
