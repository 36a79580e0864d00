"""Every setting has an observable effect.

Each is changed, and an observed value changes with it. A new setting needs an entry.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import chdir
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from bert4rec import artefact
from bert4rec.config import (
    ModelConfig,
    PrepareConfig,
    RunConfig,
    SplitConfig,
    TaskWeights,
    TrainingConfig,
)
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.data.training_batches import TrainingBatches
from bert4rec.errors import Bert4RecError
from bert4rec.ingest.prepare import prepare_dataset
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training import finalise
from bert4rec.training import lightning_trainer as trainer_of
from bert4rec.training import train as fit
from bert4rec.training.cuda_graphs import uses_cuda_graphs
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.losses import multi_task_loss
from bert4rec.training.module import value_tables
from small_networks import SMALL
from small_runs import last_checkpoint

WORLD = synthetic_dataset(seed=0, num_users=24, num_items=12, events_per_user=16)
LONGER = synthetic_dataset(seed=0, num_users=24, num_items=12, events_per_user=20)

WIDER = synthetic_dataset(seed=0, num_users=24, num_items=60, events_per_user=10)

BASE = RunConfig(
    replace(SMALL, num_layers=1, hidden_size=8, seq_length=4),
    TrainingConfig(
        batch_size=8, max_epochs=1, learning_rate=0.01, windows="random", accelerator="cpu"
    ),
)


@dataclass(frozen=True)
class Reach:
    """What a setting is changed to, what is looked at, and what else has to be set for it to
    matter."""

    to: Any
    look: Callable[[RunConfig, Path], Any]
    given: Mapping[str, Any] = field(default_factory=dict)


# What can be looked at


def network(run: RunConfig) -> Bert4Rec:
    torch.manual_seed(0)
    return Bert4Rec.for_dataset(run.model, WORLD, run.training.task_weights)


def batches(run: RunConfig) -> TrainingBatches:
    return TrainingBatches(WORLD, make_split(WORLD, run.split), run.model, run.training)


def scores(run: RunConfig, _: Path) -> list[list[float]]:
    histories = make_split(WORLD, run.split).test[:3].histories(WORLD, request_time=True)
    return NetworkScorer(network(run), run).score(histories).tolist()


def attention(run: RunConfig, _: Path) -> list[tuple[int, ...]]:
    histories = make_split(WORLD, run.split).test[:1].histories(WORLD, request_time=True)
    return [
        tuple(weight.shape)
        for weight in NetworkScorer(network(run), run).attention_weights(histories)["layers"]
    ]


def first_loss(run: RunConfig, network: Bert4Rec) -> torch.Tensor:
    batch, training = batches(run)[0], run.training
    predictions, tables = network.train()(batch), value_tables(WORLD)
    return multi_task_loss(
        predictions,
        batch,
        training.task_weights,
        tables,
        rating_factor_l2=training.rating_factor_l2,
    ).total


def training_loss(run: RunConfig, _: Path) -> float:
    made = network(run)
    torch.manual_seed(1)
    return float(first_loss(run, made).detach())


def what_learns(run: RunConfig, _: Path) -> set[str]:
    made = network(run)
    first_loss(run, made).backward()
    return {
        name for name, p in made.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }


def blocks_run(run: RunConfig, _: Path) -> int:
    made, times = network(run), []
    made.blocks[0].register_forward_pre_hook(lambda *_: times.append(1))
    first_loss(run, made).backward()
    return len(times)


def width(path: str) -> Callable[[RunConfig, Path], int]:
    return lambda run, _: network(run).get_parameter(path).shape[1]


def in_batch(look: Callable[[Batch], Any]) -> Callable[[RunConfig, Path], Any]:
    return lambda run, _: look(batches(run)[0])


def sequences(batch: Batch) -> Any:
    assert batch.causal is not None
    return batch.causal.sequences


def masked_tokens(batch: Batch) -> int:
    assert batch.masked is not None
    return len(batch.masked.token_S)


def trained(run: RunConfig, folder: Path) -> list[list[float]]:
    """A weight that every task reaches, where training ends."""
    if run not in _trained:
        fit.train(WORLD, run, folder, log=lambda line: None)
        _trained[run] = last_checkpoint(folder)["state_dict"]["network.item.weight"].tolist()
    return _trained[run]


_trained: dict[RunConfig, list[list[float]]] = {}
"""Most settings are changed in one and the same run, which is made once."""


def taught(run: RunConfig, folder: Path) -> list[list[float]]:
    """Train with a setting that names a model folder; that model is trained first, beside it."""
    fit.train(WORLD, BASE, folder.with_name("teacher"), log=lambda line: None)
    with chdir(folder.parent):
        return trained(run, folder)


def held_back(run: RunConfig, folder: Path) -> float:
    return float(
        artefact.load(fit.train(WIDER, run, folder, log=lambda line: None)).network.get_buffer(
            COLD_ITEM_PENALTY
        )
    )


def epochs(run: RunConfig, folder: Path) -> int:
    fit.train(WORLD, run, folder, log=lambda line: None)
    return last_checkpoint(folder)["epoch"]


def trainer(look: Callable[[Any], Any]) -> Callable[[RunConfig, Path], Any]:
    def found(run: RunConfig, folder: Path) -> Any:
        try:
            return look(trainer_of.make_trainer(run.training, folder, []))
        except Exception as problem:  # a machine without such a device says so
            return str(problem)

    return found


def patience(run: RunConfig, folder: Path) -> list[int]:
    return [
        callback.patience
        for callback in trainer_of.make_callbacks(run.training, folder)
        if hasattr(callback, "patience")
    ]


def loggers(made: Any) -> list[str]:
    return [type(logger).__name__ for logger in made.loggers]


def loader(name: str) -> Callable[[RunConfig, Path], Any]:
    return lambda run, _: getattr(
        TrainingDataModule(WORLD, make_split(WORLD, run.split), run).train_dataloader(), name
    )


def split(run: RunConfig, _: Path) -> str:
    return make_split(WORLD, run.split).checksum


REACH: dict[str, Reach] = {
    # ModelConfig
    "hidden_size": Reach(16, width("item.weight")),
    "num_heads": Reach(4, attention),
    "num_layers": Reach(2, attention),
    "seq_length": Reach(3, in_batch(lambda batch: max(sequences(batch).lengths))),
    "dropout": Reach(0.5, training_loss),
    "block": Reach("gated", scores),
    "feed_forward_factor": Reach(2, width("blocks.0.feed_forward.3.weight")),
    "position": Reach("none", scores),
    "relative_position": Reach(True, what_learns),
    "relative_time": Reach(True, what_learns),
    "temporal_embedding": Reach(False, what_learns),
    "item_features": Reach(False, what_learns),
    "rating_input": Reach(False, what_learns),
    "user_features": Reach("none", what_learns),
    "feature_embedding_size": Reach(5, width("metadata.features.0.values.weight")),
    "user_embedding_size": Reach(5, width("user.user.weight")),
    "cosine_head": Reach(False, what_learns),
    "logit_scale": Reach(5.0, scores),
    "id_dropout": Reach(0.5, training_loss),
    "user_dropout": Reach(0.5, training_loss),
    "request_time": Reach(
        "never", in_batch(lambda batch: sequences(batch).request_time_T.tolist())
    ),
    "rating_factor_size": Reach(5, width("rating_head.factors.user.weight")),
    "gradient_checkpointing": Reach(True, blocks_run),
    "scoring": Reach("masked", scores),
    # TrainingConfig
    "batch_size": Reach(4, in_batch(lambda batch: len(sequences(batch).lengths))),
    "learning_rate": Reach(0.02, trained),
    "max_epochs": Reach(2, epochs),
    "patience": Reach(3, patience),
    "task_weights.item_prediction": Reach(0.5, trained),
    "task_weights.next_item": Reach(0.5, trained),
    "task_weights.rating_prediction": Reach(0.9, trained),
    "task_weights.user_preference": Reach(0.9, trained),
    "windows": Reach("last", in_batch(lambda batch: sequences(batch).item_T.tolist())),
    "window_stride": Reach(1, lambda run, _: len(batches(run)), {"windows": "sliding"}),
    "cold_start_windows": Reach(2, in_batch(lambda batch: sequences(batch).lengths)),
    "cold_item_cost": Reach(1.0, held_back, {"id_dropout": 0.5}),
    "mask_probability": Reach(0.8, in_batch(masked_tokens)),
    "exclude_seen": Reach(False, trained),
    "teacher": Reach(["teacher"], taught),
    "distillation_weight": Reach(0.9, taught, {"teacher": ["teacher"]}),
    "distillation_temperature": Reach(2.0, taught, {"teacher": ["teacher"]}),
    "warm_start_from": Reach("teacher", taught),
    "rating_factor_l2": Reach(0.9, training_loss),
    "rating_learning_rate": Reach(0.5, trained),
    "weight_decay": Reach(0.5, trained),
    "adam_beta2": Reach(0.5, trained),
    "warmup_steps": Reach(1, trained, {"max_epochs": 8}),  # of 24 steps a tenth warms up at most: 2
    "schedule": Reach("constant", trained),
    "max_grad_norm": Reach(0.01, trained),
    "gradient_accumulation_steps": Reach(2, trained),
    "ema_decay": Reach(0.5, trained),
    "cuda_graphs": Reach(False, lambda run, dataset: uses_cuda_graphs(run, torch.device("cuda"))),
    "precision": Reach("bf16-mixed", trained),
    "accelerator": Reach("gpu", trainer(lambda made: type(made.accelerator).__name__)),
    "devices": Reach(2, trainer(lambda made: made.num_devices)),
    "num_workers": Reach(1, loader("num_workers")),
    "pin_memory": Reach(True, loader("pin_memory")),
    "seed": Reach(43, trained),
    "logger": Reach("tensorboard", trainer(loggers)),
    "use_wandb": Reach(True, trainer(loggers)),
    # SplitConfig
    "split": Reach("global-temporal", split),
    "test_share": Reach(0.3, split, {"split": "global-temporal"}),
    "fold": Reach(
        1, lambda run, _: make_split(LONGER, run.split).checksum, {"split": "cold-start-users"}
    ),
}


def leaves(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    return [
        name
        for key, value in settings.items()
        for name in (leaves(value, f"{key}.") if isinstance(value, Mapping) else [prefix + key])
    ]


def with_setting(run: RunConfig, name: str, value: Any) -> RunConfig:
    settings = run.to_dict()
    *group, leaf = name.split(".")
    place = settings[group[0]] if group else settings
    assert place[leaf] != value, f"{name} is {value!r} already"
    place[leaf] = value
    return RunConfig.from_dict(settings)


class Wandb:
    """A logger that logs nowhere."""

    def __init__(self, **_: Any) -> None:
        self.log_hyperparams = lambda _: None


@pytest.mark.parametrize("name", leaves(RunConfig().to_dict()))
def test_a_setting_reaches_what_it_names(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in REACH, f"{name} is new: say in REACH what changes with it"
    monkeypatch.setattr(trainer_of, "WandbLogger", Wandb)
    # The last checkpoint is read below; metrics are not.
    monkeypatch.setattr(finalise, "drop_checkpoints", lambda _: None)
    monkeypatch.setattr(finalise, "evaluate_rows", lambda *_: {})
    reach = REACH[name]
    run = RunConfig.from_dict({**BASE.to_dict(), **reach.given})
    before = reach.look(run, tmp_path / "before")
    assert reach.look(run, tmp_path / "again") == before  # it is no accident
    assert reach.look(with_setting(run, name, reach.to), tmp_path / "after") != before


def test_there_are_no_entries_for_settings_that_are_gone() -> None:
    assert set(REACH) == set(leaves(RunConfig().to_dict()))


def test_every_group_of_settings_is_walked() -> None:
    named = {
        entry.name
        for group in (ModelConfig, TrainingConfig, SplitConfig)
        for entry in fields(group)
    }
    tasks = {f"task_weights.{entry.name}" for entry in fields(TaskWeights)}
    assert set(leaves(RunConfig().to_dict())) == (named - {"task_weights"}) | tasks


# Preparation

EVENTS = "u,i,r,t\n1,5,3,300\n1,6,4,100\n1,5,5,200\n2,5,1,150\n2,6,2,160\n3,7,2,170\n"
SCHEMA = "events: {file: %s, user: u, item: i, rating: r, time: t}\n"


class Tables:
    """Small tables of every kind that preparation reads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "e.csv").write_text(EVENTS)
        (folder / "one.csv").write_text(EVENTS.replace("3,7,2,170", "3,7,5,170"))
        (folder / "tied.csv").write_text(
            "u,i,r,t\n" + "".join(f"1,{item},3,300\n" for item in range(20))
        )
        (folder / "bad.csv").write_text(EVENTS + "3,8,good,180\n")
        for schema in ("e", "one", "bad", "tied"):
            (folder / f"{schema}.yaml").write_text(SCHEMA % f"{schema}.csv")
        for place, rating in (("first", "4.0"), ("second", "5.0")):
            release = folder / place / "ml-latest-small"
            release.mkdir(parents=True)
            (release / "ratings.csv").write_text(
                f"userId,movieId,rating,timestamp\n1,11,{rating},978300760\n"
            )
            (release / "movies.csv").write_text("movieId,title,genres\n11,A (1987),Comedy\n")

    def prepared(self, look: Callable[[PreparedDataset], Any], **settings: Any) -> Any:
        """What is seen of the dataset, or the error."""
        paths = {"schema", "data_dir", "output"} & settings.keys()
        config = PrepareConfig(
            **{**settings, **{name: self.folder / settings[name] for name in paths}}
        )
        try:
            return look(prepare_dataset(config, lambda line: None))
        except Bert4RecError as problem:
            return str(problem)


def checksum(dataset: PreparedDataset) -> str:
    return dataset.checksum


def items(dataset: PreparedDataset) -> list[Any]:
    return [dataset.items.raw(item) for item in dataset.item_N]


PREPARED: dict[str, tuple[Mapping[str, Any], Any, Callable[[PreparedDataset], Any]]] = {
    "dataset": ({"dataset": "ml-latest-small", "data_dir": "first"}, "ml-1m", checksum),
    "data_dir": ({"dataset": "ml-latest-small", "data_dir": "first"}, "second", checksum),
    "schema": ({"schema": "e.yaml"}, "one.yaml", checksum),
    "output": ({"schema": "e.yaml"}, "elsewhere", lambda dataset: dataset.folder),
    "name": ({"schema": "e.yaml"}, "mine", lambda dataset: dataset.name),
    "file_order": ({"schema": "e.yaml"}, True, items),
    "ties": ({"schema": "tied.yaml"}, "shuffled", items),
    "on_bad_rows": ({"schema": "bad.yaml"}, "drop", checksum),
    "repeated_pairs": ({"schema": "e.yaml"}, "last", items),
    "min_user_events": ({"schema": "e.yaml"}, 2, items),
    "min_item_events": ({"schema": "e.yaml"}, 2, items),
    "overwrite": ({"schema": "one.yaml", "output": "made"}, True, checksum),
}
"""For each setting the others, what it is changed to, and what is looked at."""


@pytest.mark.parametrize("name", [entry.name for entry in fields(PrepareConfig)])
def test_a_setting_of_preparation_reaches_what_it_names(name: str, tmp_path: Path) -> None:
    assert name in PREPARED, f"{name} is new: say in PREPARED what changes with it"
    given, to, look = PREPARED[name]
    tables = Tables(tmp_path)
    tables.prepared(look, schema="e.yaml", output="made")  # what `overwrite` finds
    before = tables.prepared(look, **{"output": "before", **given})
    after = tables.prepared(
        look, **{"output": "after" if name != "output" else to, **given, name: to}
    )
    assert after != before


def test_there_are_no_entries_for_settings_of_preparation_that_are_gone() -> None:
    assert set(PREPARED) == {entry.name for entry in fields(PrepareConfig)}
