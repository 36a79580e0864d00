from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bert4rec.config import SplitConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.training import progress as progress_module
from bert4rec.training.module import TrainingModule
from bert4rec.training.progress import TrainingProgress, duration, megabytes, peak_memory_mb
from small_networks import batch_of, network_of, settings


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.04, "0.0 s"),
        (9.44, "9.4 s"),
        (10, "10 s"),
        (99, "99 s"),
        (100, "2 min"),
        (720, "12 min"),
        (5399, "90 min"),
        (5400, "1.5 h"),
        (12_600, "3.5 h"),
    ],
)
def test_a_duration_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


class Trainer(SimpleNamespace):
    """Attributes of a trainer that the progress reads."""

    def __init__(self, max_epochs: int = 3, batches: int = 5) -> None:
        super().__init__(
            is_global_zero=True,
            world_size=1,
            current_epoch=0,
            max_epochs=max_epochs,
            num_training_batches=batches,
            progress_bar_callback=None,
            callback_metrics={},
            strategy=SimpleNamespace(root_device=torch.device("cpu")),
        )


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A clock that stands still until it is moved."""
    made = SimpleNamespace(now=100.0)
    monkeypatch.setattr(progress_module.time, "perf_counter", lambda: made.now)
    return made


@pytest.fixture
def progress(world: PreparedDataset, lines: list[str]) -> TrainingProgress:
    return TrainingProgress(world, make_split(world, SplitConfig()), settings(), lines.append)


def epoch(
    progress: TrainingProgress,
    trainer: Trainer,
    clock: Any,
    ndcg: float,
    batch: Any,
    seconds: float = 2.0,
    **others: float,
) -> None:
    progress.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    clock.now += seconds
    progress.on_train_batch_end(trainer, None, None, batch, 0)  # type: ignore[arg-type]
    trainer.callback_metrics = {
        "train/next_item": 3.25,
        "train/loss": 4.5,
        "validation/hit@10": 0.5,
        "validation/ndcg@10": ndcg,
        **{f"validation/{name}": value for name, value in others.items()},
    }
    progress.on_train_epoch_end(trainer, None)  # type: ignore[arg-type]
    trainer.current_epoch += 1


def test_an_epoch_is_a_line_with_its_losses_metrics_rate_and_the_time_left(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    batch = batch_of(world)
    epoch(progress, Trainer(), clock, 0.25, batch)
    assert lines == [
        "epoch   1/3  next_item 3.250  loss 4.500  hit@10 0.5000  ndcg@10 0.2500 *  "
        f"{batch.events / 2:,.0f} events/s  2.0 s, 4.0 s left at most"
    ]


def test_the_line_tells_the_error_of_the_ratings_where_there_is_one(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    epoch(progress, Trainer(), clock, 0.25, batch_of(world), rating_rmse=0.9)
    assert "  loss 4.500  rating_rmse 0.9000  hit@10 0.5000  ndcg@10 0.2500 *  " in lines[0]


def test_only_an_epoch_better_than_all_before_is_marked(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    trainer, batch = Trainer(), batch_of(world)
    for ndcg in (0.2, 0.3, 0.25):
        epoch(progress, trainer, clock, ndcg, batch)
    assert [" * " in line for line in lines] == [True, True, False]
    assert progress.best["epoch"] == 2


def test_what_was_resumed_reports_all_of_its_epochs(
    progress: TrainingProgress, clock: Any, world: PreparedDataset
) -> None:
    batch, trainer = batch_of(world), Trainer()
    epoch(progress, trainer, clock, 0.3, batch)
    resumed = TrainingProgress(world, progress.split, progress.config, lambda line: None)
    resumed.load_state_dict(progress.state_dict())
    epoch(resumed, trainer, clock, 0.2, batch, seconds=4.0)
    summary = summary_on("cpu", resumed, world)
    assert [entry["epoch"] for entry in summary["history"]] == [1, 2]
    assert (summary["epochs"], summary["best_epoch"]) == (2, 1)
    assert (summary["seconds"], summary["seconds_to_best"]) == (6.0, 2.0)
    assert summary["history"][0]["losses"] == {"next_item": 3.25, "loss": 4.5}
    assert summary["history"][0]["validation"] == {"hit@10": 0.5, "ndcg@10": 0.3}


def summary_on(device: str, progress: TrainingProgress, world: PreparedDataset) -> dict[str, Any]:
    module = TrainingModule(network_of(world), settings(), world)
    return progress.summary(module, torch.device(device))


def test_the_figures_are_those_of_the_device_that_trained(
    progress: TrainingProgress, clock: Any, world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    epoch(progress, Trainer(), clock, 0.3, batch_of(world))
    for name, answer in {
        "is_available": True,
        "get_device_name": "card",
        "max_memory_allocated": 3 * 2**20,
    }.items():
        monkeypatch.setattr(torch.cuda, name, lambda *_, answer=answer: answer)
    monkeypatch.setattr(torch.mps, "driver_allocated_memory", lambda: 5 * 2**20)
    found = {device: summary_on(device, progress, world) for device in ("cpu", "cuda", "mps")}
    assert [found[device]["device"] for device in found] == ["cpu", "card", "mps"]
    assert found["cpu"]["peak_memory_mb"] > 50  # that of this process
    assert [found[device]["peak_memory_mb"] for device in ("cuda", "mps")] == [3, 5]


def steps(
    progress: TrainingProgress,
    trainer: Trainer,
    clock: Any,
    batch: Any,
    seconds: float,
    count: int = 20,
) -> None:
    progress.on_train_epoch_start(trainer, None)  # type: ignore[arg-type]
    for step in range(count):
        clock.now += 60.0 if step < 3 else seconds  # the first ones warm up
        progress.on_train_batch_end(trainer, None, None, batch, step)  # type: ignore[arg-type]


def test_after_its_first_steps_a_run_says_how_long_it_will_take(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    steps(progress, Trainer(max_epochs=10, batches=30), clock, batch_of(world), seconds=0.5)
    (line,) = lines
    assert line.startswith("about 15 s an epoch on this device (cpu, ")
    assert line.endswith("2 min for all 10, validation not counted")


def test_slow_steps_are_not_waited_for(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    steps(progress, Trainer(max_epochs=2, batches=30), clock, batch_of(world), seconds=10, count=5)
    (line,) = lines
    assert line.startswith("about 5 min an epoch on this device (cpu, ")


def test_a_run_of_hours_names_the_small_preset(
    world: PreparedDataset, lines: list[str], clock: Any
) -> None:
    large = settings(hidden_size=256, num_heads=4, num_layers=4, seq_length=50)
    progress = TrainingProgress(world, make_split(world, SplitConfig()), large, lines.append)
    steps(progress, Trainer(max_epochs=100, batches=30), clock, batch_of(world), seconds=10)
    assert len(lines) == 2
    assert lines[1].startswith("that is over an hour: --preset small would take about ")


def test_only_the_first_process_speaks(
    progress: TrainingProgress, lines: list[str], clock: Any, world: PreparedDataset
) -> None:
    trainer = Trainer()
    trainer.is_global_zero = False
    epoch(progress, trainer, clock, 0.3, batch_of(world))
    assert lines == []
    assert len(progress.epochs) == 1


def test_the_memory_held_is_that_of_a_python_process_with_torch() -> None:
    assert 50 < peak_memory_mb(torch.device("cpu")) < 100_000


def test_where_the_system_does_not_tell_memory_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_module, "resource", None)
    assert megabytes(peak_memory_mb(torch.device("cpu"))) == "unknown"
    assert megabytes(1234.4) == "1,234 MB"


def test_an_error_of_nobodys_ratings_is_not_kept(
    progress: TrainingProgress, clock: Any, world: PreparedDataset
) -> None:
    epoch(progress, Trainer(), clock, 0.25, batch_of(world), rating_rmse=float("nan"))
    assert progress.epochs[0]["validation"].keys() == {"hit@10", "ndcg@10"}
