from __future__ import annotations

from pathlib import Path

import pytest

from bert4rec.config import RunConfig
from bert4rec.errors import ConfigError
from bert4rec.tuning.space import Choices, Range, Space, read_space, with_parameters


def space(folder: Path, text: str) -> Space:
    (folder / "space.yaml").write_text(text)
    return read_space(folder / "space.yaml")


def test_a_space_holds_choices_and_ranges_of_the_settings_kinds(tmp_path: Path) -> None:
    found = space(
        tmp_path,
        "learning_rate: {low: 1e-4, high: 1.0e-2, log: true}\n"
        "num_layers: {low: 1, high: 4}\n"
        "dropout: [0, 0.2]\n"
        "block: [transformer, gated]\n"
        "relative_time: [true, false]\n"
        "task_weights:\n  rating_prediction: [0, 1]\n  next_item: {low: 1, high: 2}\n",
    )
    assert found == {
        "learning_rate": Range(1e-4, 1e-2, log=True),
        "num_layers": Range(1, 4, whole=True),
        "dropout": Choices((0.0, 0.2)),
        "block": Choices(("transformer", "gated")),
        "relative_time": Choices((True, False)),
        "task_weights.rating_prediction": Choices((0.0, 1.0)),
        "task_weights.next_item": Range(1.0, 2.0),
    }


def test_parameters_take_the_place_of_settings_and_of_tasks_weights() -> None:
    run = RunConfig.from_dict({"hidden_size": 32, "task_weights": {"user_preference": 0.7}})
    found = with_parameters(run, {"num_layers": 2, "task_weights.next_item": 0.5})
    assert (found.model.hidden_size, found.model.num_layers) == (32, 2)
    weights = found.training.task_weights
    assert (weights.next_item, weights.user_preference, weights.item_prediction) == (0.5, 0.7, 1.0)


BAD = {
    "an unknown setting": ("hiden_size: [8]", "unknown setting 'hiden_size'"),
    "an unknown task": ("task_weights: {nextitem: [1]}", "unknown setting 'task_weights.nextitem'"),
    "one number for all tasks": ("task_weights: [1, 2]", r"task_weights is \[1, 2\]: give choices"),
    "a value alone": (
        "hidden_size: 8",
        "hidden_size is 8: expected a list of choices, or low and high",
    ),
    "no choices": ("hidden_size: []", r"hidden_size is \[\]: expected a list"),
    "half a range": ("hidden_size: {low: 8}", "hidden_size is {'low': 8}: expected"),
    "more than a range": ("hidden_size: {low: 8, high: 9, by: 1}", "hidden_size is .*: expected"),
    "a word for a number": ("hidden_size: [8, wide]", "hidden_size is 'wide': expected int"),
    "a fraction for a count": (
        "hidden_size: {low: 1.5, high: 3}",
        "hidden_size: low is 1.5: expected int",
    ),
    "a truth for a count": ("num_layers: [true]", "num_layers is True: expected int"),
    "a truth for a number": ("dropout: [false]", "dropout is False: expected a number"),
    "a number without end": (
        "learning_rate: {low: 0, high: .inf}",
        "learning_rate: high is inf: expected a number",
    ),
    "no such choice": ("block: [lstm]", "block is 'lstm': expected one of .*gated"),
    "a range of words": ("block: {low: 1, high: 2}", "block has low and high, but is no number"),
    "a range turned round": ("num_layers: {low: 4, high: 1}", "num_layers: low 4 is above high 1"),
    "the logarithm of nothing": (
        "dropout: {low: 0, high: 0.5, log: true}",
        "dropout: low is 0.0: with log",
    ),
    "a word for log": ("num_layers: {low: 1, high: 4, log: often}", "num_layers: log is 'often'"),
    "another question": ("split: [global-temporal]", "split is no setting to search"),
    "a list": ("- 1", "holds no settings"),
    "nothing": ("", "holds no settings"),
    "brackets left open": ("dropout: [1", "not YAML"),
}


@pytest.mark.parametrize(("text", "message"), BAD.values(), ids=BAD)
def test_what_is_no_space_is_refused_in_one_line_that_names_the_file(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError, match=rf"^{tmp_path / 'space.yaml'}: .*{message}") as refused:
        space(tmp_path, text)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone.yaml: cannot be read \(No such file"):
        read_space(tmp_path / "gone.yaml")
