from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.errors import ConfigError, UsageError
from bert4rec.training import finalise
from bert4rec.tuning import search
from bert4rec.tuning.search import TrialResult, tune
from bert4rec.tuning.space import Choices, Range, Space
from small_runs import run_of, same_weights

SPACE: Space = {
    "learning_rate": Range(1e-4, 1e-2, log=True),
    "num_layers": Choices((1, 2)),
    "task_weights.rating_prediction": Choices((0.0, 0.3)),
}
RUN = run_of(max_epochs=2)


@pytest.fixture
def tuned(world: PreparedDataset, tmp_path: Path) -> Callable[..., list[TrialResult]]:
    """Searches: `tuned(3)`, `tuned(3, "other", resume=True)`; the trials, the best first."""

    def start(
        trials: int, folder: str = "search", run: RunConfig = RUN, space: Space = SPACE, **more: Any
    ) -> list[TrialResult]:
        return tune(
            world, run, space, tmp_path / folder, trials, **{"log": lambda line: None, **more}
        )

    return start


def timeless(results: list[TrialResult]) -> list[dict[str, Any]]:
    """All of the trials but how long they took."""
    return [
        {
            **vars(result),
            "figures": {name: value for name, value in result.figures.items() if name != "seconds"},
        }
        for result in results
    ]


def instant(
    monkeypatch: pytest.MonkeyPatch, fails: Callable[[int], BaseException | None] = lambda _: None
) -> list[int]:
    """Numbers of the trained trials, which take no time and are best at a learning rate of 1e-3."""
    trained: list[int] = []

    def train(dataset: object, run: RunConfig, folder: Path, **_: Any) -> None:
        number = int(folder.name.removeprefix("trial-"))
        trained.append(number)
        if (problem := fails(number)) is not None:
            raise problem
        folder.mkdir(parents=True)
        reached = 1 / (1 + abs(math.log10(run.training.learning_rate) + 3)) / run.model.num_layers
        history = [{"validation": {"ndcg@10": reached, "hit@10": reached / 2}}]
        figures = {"history": history, "best_epoch": 1, "epochs": 1, "seconds": 0.1}
        (folder / "training.json").write_text(json.dumps(figures))

    monkeypatch.setattr(search, "train", train)
    return trained


# What a search leaves


def test_every_trial_is_a_run_of_its_own_and_the_best_is_told(
    tuned: Callable[..., list[TrialResult]], tmp_path: Path
) -> None:
    results = tuned(3)
    assert {result.number for result in results} == {0, 1, 2}
    reached = [result.figures["ndcg@10"] for result in results]
    assert reached == sorted(reached, reverse=True)
    for result in results:
        folder = tmp_path / "search" / f"trial-00{result.number}"
        settings = json.loads((folder / "config.json").read_text())["settings"]
        assert settings["learning_rate"] == result.parameters["learning_rate"]
        assert (
            settings["task_weights"]["rating_prediction"]
            == result.parameters["task_weights.rating_prediction"]
        )
        history = json.loads((folder / "training.json").read_text())["history"]
        assert result.figures["ndcg@10"] == max(epoch["validation"]["ndcg@10"] for epoch in history)
        assert (folder / "training" / "log" / "version_0" / "metrics.csv").is_file()
    record = json.loads((tmp_path / "search" / "trials.json").read_text())
    assert record["best"] == results[0].number
    assert [trial["figures"] for trial in record["trials"]] == [
        result.figures for result in results
    ]
    best = RunConfig.from_dict(yaml.safe_load((tmp_path / "search" / "best.yaml").read_text()))
    stored = json.loads(
        (tmp_path / "search" / record["trials"][0]["folder"] / "config.json").read_text()
    )["settings"]
    assert best.to_dict() == stored


def test_no_trial_looks_at_the_test(
    tuned: Callable[..., list[TrialResult]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked, evaluate_by_request_time = [], finalise.evaluate_by_request_time

    def note(scorer: Any, dataset: Any, split: Any, subset: Any) -> Any:
        asked.append(subset)
        return evaluate_by_request_time(scorer, dataset, split, subset)

    monkeypatch.setattr(finalise, "evaluate_by_request_time", note)
    tuned(1)
    assert asked == ["validation"]
    metrics = json.loads((tmp_path / "search" / "trial-000" / "metrics.json").read_text())
    assert set(metrics) == {"validation_request_time_on", "validation_request_time_off"}
    assert "test" not in (tmp_path / "search" / "trial-000" / "README.md").read_text().split()


def test_a_search_finds_what_is_better_and_the_seed_decides_how(
    tuned: Callable[..., list[TrialResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    instant(monkeypatch)
    found, again, other = (
        tuned(20),
        tuned(12, "again"),
        tuned(2, "other", run_of(max_epochs=2, seed=7)),
    )
    chosen = {result.number: result.parameters for result in found}
    assert {result.number: result.parameters for result in again} == {
        number: chosen[number] for number in range(12)
    }
    assert {result.number: result.parameters for result in other} != {
        number: chosen[number] for number in range(2)
    }
    first = max(result.figures["ndcg@10"] for result in found if result.number < 10)
    assert found[0].figures["ndcg@10"] > max(first, 0.9)
    assert found[0].parameters["num_layers"] == 1


# Interrupted


def test_an_interrupted_search_goes_on_to_the_trials_of_one_that_never_was(
    tuned: Callable[..., list[TrialResult]], tmp_path: Path
) -> None:
    logged: list[str] = []

    def stop_in_the_second_trial(line: str) -> None:
        logged.append(line)
        if line.startswith("epoch   2/") and any(line.startswith("trial 1,") for line in logged):
            raise KeyboardInterrupt

    whole = tuned(2)
    with pytest.raises(KeyboardInterrupt, match="--resume goes on from it"):
        tuned(2, "cut", log=stop_in_the_second_trial)
    logged.clear()
    assert timeless(tuned(2, "cut", resume=True, log=logged.append)) == timeless(whole)
    assert not [line for line in logged if line.startswith("trial 0")]
    assert [line.split()[1] for line in logged if line.startswith("epoch")] == ["2/2"]
    assert same_weights(tmp_path / "cut" / "trial-001", tmp_path / "search" / "trial-001")


def test_a_late_interrupt_changes_no_choice_either(
    tuned: Callable[..., list[TrialResult]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instant(monkeypatch)
    whole = tuned(13)
    once = iter([KeyboardInterrupt()])
    trained = instant(monkeypatch, lambda number: next(once, None) if number == 11 else None)
    with pytest.raises(KeyboardInterrupt):
        tuned(13, "cut")
    with (tmp_path / "cut" / "study.journal").open("ab") as journal:
        journal.write(b'{"op_code": 6, "wor')  # as a full disk or a power cut leaves it
    assert tuned(13, "cut", resume=True) == whole
    assert trained == [*range(12), 11, 12]


def test_a_search_may_be_prolonged(
    tuned: Callable[..., list[TrialResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = instant(monkeypatch)
    tuned(4)
    tuned(6, resume=True)
    assert trained == [0, 1, 2, 3, 4, 5]
    assert len(tuned(2, resume=True)) == 6


def refused(logged: str, **changes: Any) -> tuple[str, dict[str, Any]]:
    return logged, changes


OTHERS = {
    "preset": refused("with num_heads 2, not 1", run=run_of(max_epochs=2, num_heads=1)),
    "space": refused(
        r"in another space \(num_layers \[1, 2\], not \[1\]\)",
        space={**SPACE, "num_layers": Choices((1,))},
    ),
    "smaller space": refused("in another space", space={"num_layers": SPACE["num_layers"]}),
    "split": refused("on another split", run=run_of(max_epochs=2, split="global-temporal")),
    "seed": refused("with seed 42, not 1", run=run_of(max_epochs=2, seed=1)),
}


@pytest.mark.parametrize(("logged", "changes"), OTHERS.values(), ids=OTHERS)
def test_a_search_goes_on_with_the_same_alone(
    tuned: Callable[..., list[TrialResult]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    logged: str,
    changes: dict[str, Any],
) -> None:
    instant(monkeypatch)
    tuned(1)
    with pytest.raises(
        UsageError,
        match=rf"^{tmp_path / 'search'}: was searched {logged}.*; choose another --output$",
    ):
        tuned(2, resume=True, **changes)


def test_other_data_are_refused_and_so_is_a_folder_of_something_else(
    tuned: Callable[..., list[TrialResult]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    instant(monkeypatch)
    tuned(1)
    other = synthetic_dataset(seed=1, num_users=80, num_items=24, events_per_user=20)
    with pytest.raises(UsageError, match="was searched on another dataset"):
        tune(other, RUN, SPACE, tmp_path / "search", 2, resume=True)
    with pytest.raises(UsageError, match="holds a search; --resume goes on with it"):
        tuned(2)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    with pytest.raises(UsageError, match="holds something that is no search"):
        tuned(1, "letters")
    assert [path.name for path in (tmp_path / "letters").iterdir()] == ["a.txt"]


def test_a_search_is_on_one_device(tuned: Callable[..., list[TrialResult]]) -> None:
    with pytest.raises(ConfigError, match="devices is 2: a search trains on one"):
        tuned(1, run=run_of(devices=2))


# Trials that fail

FULL = {
    "of a GPU": torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "of Python": MemoryError(),
    "on Linux": RuntimeError(
        "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
    ),
    "on Windows": RuntimeError(
        "DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."
    ),
}


@pytest.mark.parametrize("problem", FULL.values(), ids=FULL)
def test_a_trial_that_runs_out_of_memory_has_failed_and_the_search_goes_on(
    problem: Exception,
    tuned: Callable[..., list[TrialResult]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    trained = instant(monkeypatch, lambda number: problem if number == 1 else None)
    *complete, failed = tuned(3)
    assert [result.state for result in complete] == ["complete", "complete"]
    assert (failed.number, failed.state, failed.figures) == (1, "failed", {})
    assert failed.reason.startswith("out of memory: ")
    assert failed.reason.split(": ", 1)[1]
    assert (
        json.loads((tmp_path / "search" / "trials.json").read_text())["trials"][-1]["reason"]
        == failed.reason
    )
    tuned(3, resume=True)
    assert trained == [0, 1, 2]


def test_a_trial_that_diverges_or_contradicts_itself_has_failed(
    tuned: Callable[..., list[TrialResult]],
) -> None:
    run = run_of(max_epochs=1, max_grad_norm=0.0, cosine_head=False)
    logged: list[str] = []
    (diverged,) = tuned(1, run=run, space={"learning_rate": Choices((1e38,))}, log=logged.append)
    assert diverged.state == "failed"
    assert "scored NaN" in diverged.reason
    assert logged[-1] == f"trial 0 failed: {diverged.reason}"
    (contradicts,) = tuned(1, "other", space={"num_heads": Choices((3,))})
    assert contradicts.reason.startswith("hidden_size 8 is not a multiple of num_heads 3")


def test_what_no_setting_is_to_blame_for_ends_the_search_and_the_trial_is_not_over(
    tuned: Callable[..., list[TrialResult]], monkeypatch: pytest.MonkeyPatch
) -> None:
    once = iter([RuntimeError("the moon is full")])
    trained = instant(monkeypatch, lambda number: next(once, None))
    with pytest.raises(RuntimeError, match="the moon is full"):
        tuned(2)
    assert [result.state for result in tuned(2, resume=True)] == ["complete", "complete"]
    assert trained == [0, 0, 1]
