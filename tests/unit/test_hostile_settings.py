from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bert4rec import artefact
from bert4rec.cli import train
from bert4rec.config import SURROUNDINGS, RunConfig
from bert4rec.errors import ConfigError

HOSTILE = (None, "x", -1, math.nan, math.inf, 10**30, 10**5000, [], {}, [[1]], True)


def refusal(settings: dict[str, Any]) -> str:
    try:
        RunConfig.from_dict(settings)
    except ConfigError as problem:
        return str(problem)
    return ""


@pytest.mark.parametrize("name", RunConfig().to_dict())
def test_a_hostile_value_of_any_setting_is_one_line_or_taken(name: str) -> None:
    for value in HOSTILE:
        message = refusal({name: value})
        assert "\n" not in message
        assert len(message) < 400


@pytest.mark.parametrize("value", [-1, 2**32, 0.5, True])
def test_seed_is_a_whole_number_that_every_generator_takes(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^seed is .* it must be a whole number"):
        RunConfig.from_dict({"seed": value})


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_learning_rate_is_finite(value: float) -> None:
    with pytest.raises(ConfigError, match=r"learning_rate is .* it must be a finite number"):
        RunConfig.from_dict({"learning_rate": value})


@pytest.mark.parametrize("name", ["hidden_size", "num_layers", "batch_size", "seq_length"])
def test_absurd_sizes_are_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is .* at most"):
        RunConfig.from_dict({name: 10**12})


def test_surroundings_are_settings() -> None:
    assert set(SURROUNDINGS) <= RunConfig().to_dict().keys()


def test_a_warm_start_takes_no_surroundings_from_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = RunConfig.from_dict(
        {"use_wandb": True, "logger": "mlflow", "num_workers": 8, "hidden_size": 64}
    )
    monkeypatch.setattr(artefact, "stored_run_config", lambda folder: foreign)
    taken = SimpleNamespace(**train.defaults(["--from", "model"]))
    assert taken.hidden_size == 64
    assert not set(SURROUNDINGS) & vars(taken).keys()
