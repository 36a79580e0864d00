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
from bert4rec.training.cuda_graphs import uses_cuda_graphs
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.losses import multi_task_loss
from bert4rec.training.module import value_tables
from bert4rec.training.train import train
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
class Effect:
    """Changed value of a setting, and an observation that changes with it."""

    to: Any
    observe: Callable[[RunConfig, Path], Any]
    given: Mapping[str, Any] = field(default_factory=dict)
    """Other settings without which this one has no effect."""


# Observations


def network(config: RunConfig) -> Bert4Rec:
    torch.manual_seed(0)
    return Bert4Rec.for_dataset(config.model, WORLD, config.training.task_weights)


def batches(config: RunConfig) -> TrainingBatches:
    return TrainingBatches(WORLD, make_split(WORLD, config.split), config.model, config.training)


def scores(config: RunConfig, _: Path) -> list[list[float]]:
    histories = make_split(WORLD, config.split).test[:3].histories(WORLD, request_time=True)
    return NetworkScorer(network(config), config).score(histories).tolist()


def attention(config: RunConfig, _: Path) -> list[tuple[int, ...]]:
    histories = make_split(WORLD, config.split).test[:1].histories(WORLD, request_time=True)
    return [
        tuple(weight.shape)
        for weight in NetworkScorer(network(config), config).attention_weights(histories)["layers"]
    ]


def first_loss(config: RunConfig, network: Bert4Rec) -> torch.Tensor:
    batch, training = batches(config)[0], config.training
    predictions, tables = network.train()(batch), value_tables(WORLD)
    return multi_task_loss(
        predictions,
        batch,
        training.task_weights,
        tables,
        rating_factor_l2=training.rating_factor_l2,
    ).total


def training_loss(config: RunConfig, _: Path) -> float:
    made = network(config)
    torch.manual_seed(1)
    return float(first_loss(config, made).detach())


def trained_weights(config: RunConfig, _: Path) -> set[str]:
    made = network(config)
    first_loss(config, made).backward()
    return {
        name for name, p in made.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0
    }


def block_passes(config: RunConfig, _: Path) -> int:
    made, times = network(config), []
    made.blocks[0].register_forward_pre_hook(lambda *_: times.append(1))
    first_loss(config, made).backward()
    return len(times)


def width(path: str) -> Callable[[RunConfig, Path], int]:
    return lambda config, _: network(config).get_parameter(path).shape[1]


def in_batch(observe: Callable[[Batch], Any]) -> Callable[[RunConfig, Path], Any]:
    return lambda config, _: observe(batches(config)[0])


def sequences(batch: Batch) -> Any:
    assert batch.causal is not None
    return batch.causal.sequences


def masked_tokens(batch: Batch) -> int:
    assert batch.masked is not None
    return len(batch.masked.token_S)


def trained(config: RunConfig, folder: Path) -> list[list[float]]:
    """Item embeddings at the end of training, which every task trains."""
    if config not in _trained:
        train(WORLD, config, folder, log=lambda line: None)
        _trained[config] = last_checkpoint(folder)["state_dict"]["network.item.weight"].tolist()
    return _trained[config]


_trained: dict[RunConfig, list[list[float]]] = {}
"""Results by run: the base run is shared by most settings and trained once."""


def trained_beside_a_model(config: RunConfig, folder: Path) -> list[list[float]]:
    """Train with a setting that names a model folder; that model is trained first, beside it."""
    train(WORLD, BASE, folder.with_name("teacher"), log=lambda line: None)
    with chdir(folder.parent):
        return trained(config, folder)


def cold_item_penalty(config: RunConfig, folder: Path) -> float:
    return float(
        artefact.load(train(WIDER, config, folder, log=lambda line: None)).network.get_buffer(
            COLD_ITEM_PENALTY
        )
    )


def epochs(config: RunConfig, folder: Path) -> int:
    train(WORLD, config, folder, log=lambda line: None)
    return last_checkpoint(folder)["epoch"]


def trainer(observe: Callable[[Any], Any]) -> Callable[[RunConfig, Path], Any]:
    def found(config: RunConfig, folder: Path) -> Any:
        try:
            return observe(trainer_of.make_trainer(config.training, folder, []))
        except Exception as problem:  # a machine without such a device says so
            return str(problem)

    return found


def patience(config: RunConfig, folder: Path) -> list[int]:
    return [
        callback.patience
        for callback in trainer_of.make_callbacks(config.training, folder)
        if hasattr(callback, "patience")
    ]


def loggers(made: Any) -> list[str]:
    return [type(logger).__name__ for logger in made.loggers]


def loader(name: str) -> Callable[[RunConfig, Path], Any]:
    return lambda config, _: getattr(
        TrainingDataModule(WORLD, make_split(WORLD, config.split), config).train_dataloader(), name
    )


def split(config: RunConfig, _: Path) -> str:
    return make_split(WORLD, config.split).checksum


EFFECTS: dict[str, Effect] = {
    # ModelConfig
    "hidden_size": Effect(16, width("item.weight")),
    "num_heads": Effect(4, attention),
    "num_layers": Effect(2, attention),
    "seq_length": Effect(3, in_batch(lambda batch: max(sequences(batch).lengths))),
    "dropout": Effect(0.5, training_loss),
    "block": Effect("gated", scores),
    "feed_forward_factor": Effect(2, width("blocks.0.feed_forward.3.weight")),
    "position": Effect("none", scores),
    "relative_position": Effect(True, trained_weights),
    "relative_time": Effect(True, trained_weights),
    "temporal_embedding": Effect(False, trained_weights),
    "item_features": Effect(False, trained_weights),
    "rating_input": Effect(False, trained_weights),
    "user_features": Effect("none", trained_weights),
    "feature_embedding_size": Effect(5, width("metadata.features.0.values.weight")),
    "user_embedding_size": Effect(5, width("user.user.weight")),
    "cosine_head": Effect(False, trained_weights),
    "logit_scale": Effect(5.0, scores),
    "id_dropout": Effect(0.5, training_loss),
    "user_dropout": Effect(0.5, training_loss),
    "request_time": Effect(
        "never", in_batch(lambda batch: sequences(batch).request_time_T.tolist())
    ),
    "rating_factor_size": Effect(5, width("rating_head.factors.user.weight")),
    "gradient_checkpointing": Effect(True, block_passes),
    "scoring": Effect("masked", scores),
    # TrainingConfig
    "batch_size": Effect(4, in_batch(lambda batch: len(sequences(batch).lengths))),
    "learning_rate": Effect(0.02, trained),
    "max_epochs": Effect(2, epochs),
    "patience": Effect(3, patience),
    "task_weights.item_prediction": Effect(0.5, trained),
    "task_weights.next_item": Effect(0.5, trained),
    "task_weights.rating_prediction": Effect(0.9, trained),
    "task_weights.user_preference": Effect(0.9, trained),
    "windows": Effect("last", in_batch(lambda batch: sequences(batch).item_T.tolist())),
    "window_stride": Effect(1, lambda config, _: len(batches(config)), {"windows": "sliding"}),
    "cold_start_windows": Effect(2, in_batch(lambda batch: sequences(batch).lengths)),
    "cold_item_cost": Effect(1.0, cold_item_penalty, {"id_dropout": 0.5}),
    "mask_probability": Effect(0.8, in_batch(masked_tokens)),
    "exclude_seen": Effect(False, trained),
    "teacher": Effect(["teacher"], trained_beside_a_model),
    "distillation_weight": Effect(0.9, trained_beside_a_model, {"teacher": ["teacher"]}),
    "distillation_temperature": Effect(2.0, trained_beside_a_model, {"teacher": ["teacher"]}),
    "warm_start_from": Effect("teacher", trained_beside_a_model),
    "rating_factor_l2": Effect(0.9, training_loss),
    "rating_learning_rate": Effect(0.5, trained),
    "weight_decay": Effect(0.5, trained),
    "adam_beta2": Effect(0.5, trained),
    "warmup_steps": Effect(
        1, trained, {"max_epochs": 8}
    ),  # of 24 steps a tenth warms up at most: 2
    "schedule": Effect("constant", trained),
    "max_grad_norm": Effect(0.01, trained),
    "gradient_accumulation_steps": Effect(2, trained),
    "ema_decay": Effect(0.5, trained),
    "cuda_graphs": Effect(
        False, lambda config, dataset: uses_cuda_graphs(config, torch.device("cuda"))
    ),
    "precision": Effect("bf16-mixed", trained),
    "accelerator": Effect("gpu", trainer(lambda made: type(made.accelerator).__name__)),
    "devices": Effect(2, trainer(lambda made: made.num_devices)),
    "num_workers": Effect(1, loader("num_workers")),
    "pin_memory": Effect(True, loader("pin_memory")),
    "seed": Effect(43, trained),
    "logger": Effect("tensorboard", trainer(loggers)),
    "use_wandb": Effect(True, trainer(loggers)),
    # SplitConfig
    "split": Effect("global-temporal", split),
    "test_share": Effect(0.3, split, {"split": "global-temporal"}),
    "fold": Effect(
        1,
        lambda config, _: make_split(LONGER, config.split).checksum,
        {"split": "cold-start-users"},
    ),
}


def leaves(settings: Mapping[str, Any], prefix: str = "") -> list[str]:
    return [
        name
        for key, value in settings.items()
        for name in (leaves(value, f"{key}.") if isinstance(value, Mapping) else [prefix + key])
    ]


def with_setting(config: RunConfig, name: str, value: Any) -> RunConfig:
    settings = config.to_dict()
    *group, leaf = name.split(".")
    group_settings = settings[group[0]] if group else settings
    assert group_settings[leaf] != value, f"{name} is {value!r} already"
    group_settings[leaf] = value
    return RunConfig.from_dict(settings)


class Wandb:
    """A logger that logs nowhere."""

    def __init__(self, **_: Any) -> None:
        self.log_hyperparams = lambda _: None


@pytest.mark.parametrize("name", leaves(RunConfig().to_dict()))
def test_setting_has_an_observable_effect(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert name in EFFECTS, f"{name} is new: add its effect to EFFECTS"
    monkeypatch.setattr(trainer_of, "WandbLogger", Wandb)
    # The last checkpoint is read below; metrics are not.
    monkeypatch.setattr(finalise, "drop_checkpoints", lambda _: None)
    monkeypatch.setattr(finalise, "evaluate_by_request_time", lambda *_: {})
    effect = EFFECTS[name]
    config = RunConfig.from_dict({**BASE.to_dict(), **effect.given})
    before = effect.observe(config, tmp_path / "before")
    assert effect.observe(config, tmp_path / "again") == before  # it is deterministic
    assert effect.observe(with_setting(config, name, effect.to), tmp_path / "after") != before


def test_every_effect_is_of_a_setting() -> None:
    assert set(EFFECTS) == set(leaves(RunConfig().to_dict()))


def test_every_group_of_settings_is_covered() -> None:
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
        for folder_name, rating in (("first", "4.0"), ("second", "5.0")):
            release = folder / folder_name / "ml-latest-small"
            release.mkdir(parents=True)
            (release / "ratings.csv").write_text(
                f"userId,movieId,rating,timestamp\n1,11,{rating},978300760\n"
            )
            (release / "movies.csv").write_text("movieId,title,genres\n11,A (1987),Comedy\n12,B,\n")

    def prepared(self, observe: Callable[[PreparedDataset], Any], **settings: Any) -> Any:
        """Observation of the dataset, or the error message."""
        paths = {"schema", "data_dir", "output"} & settings.keys()
        config = PrepareConfig(
            **{**settings, **{name: self.folder / settings[name] for name in paths}}
        )
        try:
            return observe(prepare_dataset(config, lambda line: None))
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
    "keep_without_events": (
        {"dataset": "ml-latest-small", "data_dir": "first"},
        "items",
        lambda dataset: list(dataset.items.ids),
    ),
    "overwrite": ({"schema": "one.yaml", "output": "made"}, True, checksum),
}
"""Other settings, changed value and observation of each setting."""


@pytest.mark.parametrize("name", [entry.name for entry in fields(PrepareConfig)])
def test_setting_of_preparation_has_an_observable_effect(name: str, tmp_path: Path) -> None:
    assert name in PREPARED, f"{name} is new: add its effect to PREPARED"
    given, to, observe = PREPARED[name]
    tables = Tables(tmp_path)
    tables.prepared(observe, schema="e.yaml", output="made")  # the folder that `overwrite` replaces
    before = tables.prepared(observe, **{"output": "before", **given})
    after = tables.prepared(
        observe, **{"output": "after" if name != "output" else to, **given, name: to}
    )
    assert after != before


def test_every_effect_of_preparation_is_of_a_setting() -> None:
    assert set(PREPARED) == {entry.name for entry in fields(PrepareConfig)}
