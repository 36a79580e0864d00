"""Elements of a preset, each as the settings that take it out. Training is left to `ablations`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset

EMA = 0.999
"""Decay of averaged weights, tried where a preset has none."""
ON = 1.0
"""Weight of a task that is turned on."""


@dataclass(frozen=True)
class Element:
    """Part of the network or of its training, and the settings of a preset without it."""

    name: str
    """Name for `--only`."""
    row: str
    """Title of the run in a table."""
    changes: Mapping[str, Any]
    """The settings that differ from the preset's; a task's weight is `task_weights.NAME`."""
    needs: str = ""
    """Part of the data without which the element has no effect."""
    missing: str = ""
    """Reason why there is nothing to take out; empty where there is something."""

    @property
    def flags(self) -> list[str]:
        """Changes as flags of `bert4rec train`."""
        return [f"--{name}={str(value).lower()}" for name, value in self.changes.items()]


def elements_of(run: RunConfig, dataset: PreparedDataset) -> list[Element]:
    """Every element; `missing` says where the preset or the data has none."""
    in_data = _parts_of_data(dataset)
    found: list[Element] = []
    for element in (*_inputs(run), *_tasks(run), *_network(run), *_training(run)):
        found.append(_checked(element, run, in_data, found))
    return found


def flat(run: RunConfig) -> dict[str, Any]:
    """Settings by the names of their flags."""
    settings = run.to_dict()
    weights = settings.pop("task_weights")
    return {**settings, **{f"task_weights.{task}": weight for task, weight in weights.items()}}


def _parts_of_data(dataset: PreparedDataset) -> dict[str, bool]:
    return {
        "item features": bool(dataset.item_features),
        "times": dataset.has_times,
        "ratings": len(dataset.rating_levels) > 0,
    }


def _checked(
    element: Element, run: RunConfig, in_data: Mapping[str, bool], others: Sequence[Element]
) -> Element:
    """Element with the settings that really differ, or with the reason why there is none."""
    before = flat(run)
    changes = {name: value for name, value in element.changes.items() if before[name] != value}
    same = [other.name for other in others if not other.missing and other.changes == changes]
    missing = element.missing
    if not missing and not changes:
        missing = "the preset has none"
    elif not missing and not in_data.get(element.needs, True):
        missing = f"the data has no {element.needs}"
    elif not missing and same:
        missing = f"the same as {same[0]}"
    return replace(element, changes=changes, missing=missing)


def _inputs(run: RunConfig) -> list[Element]:
    nowhere = {"position": "none", "relative_position": False}
    attends = run.model.user_features == "cross_attention"
    return [
        Element(
            "item_metadata", "without item metadata", {"item_features": False}, "item features"
        ),
        Element("user_tokens", "without the user", {"user_features": "none"}),
        Element(
            "cross_attention",
            "user added, no cross-attention",
            {"user_features": "sum"},
            missing="" if attends else "the preset has none",
        ),
        _switched("temporal_embedding", "temporal embedding", run, True, False, needs="times"),
        Element("time_bias", "without time bias", {"relative_time": False}, "times"),
        Element("request_time", "without request time", {"request_time": "never"}, "times"),
        Element("position", "without any position", nowhere),
        _switched(
            "position", "absolute position", run, "sinusoidal", "none", name="absolute_position"
        ),
        Element("relative_position", "without relative position", {"relative_position": False}),
        Element("rating_input", "without past ratings", {"rating_input": False}, "ratings"),
    ]


def _switched(
    setting: str, title: str, run: RunConfig, on: Any, off: Any, needs: str = "", name: str = ""
) -> Element:
    """Element that is taken out where the preset has it, and added where it has not."""
    present = flat(run)[setting] != off
    return Element(
        name or setting,
        f"{'without' if present else 'with'} {title}",
        {setting: off if present else on},
        needs,
    )


def _tasks(run: RunConfig) -> list[Element]:
    return [
        _item_task(run, "item_prediction", "next_item"),
        _item_task(run, "next_item", "item_prediction"),
        Element(
            "rating_prediction",
            "without rating task",
            {"task_weights.rating_prediction": 0.0},
            "ratings",
        ),
        Element(
            "user_preference", "without preference task", {"task_weights.user_preference": 0.0}
        ),
    ]


def _item_task(run: RunConfig, task: str, other: str) -> Element:
    """Item task taken out, or turned on where the preset lacks it.

    Where no other task recommends, the other item task takes its place.
    """
    titles = {"item_prediction": "masked items", "next_item": "next items"}
    before = flat(run)
    if not before[f"task_weights.{task}"]:
        return Element(task, f"with {titles[task]}", {f"task_weights.{task}": ON})
    off = {f"task_weights.{task}": 0.0}
    if before[f"task_weights.{other}"]:
        return Element(task, f"without {titles[task]}", off)
    return Element(
        task, f"{titles[other]}, not {titles[task]}", {**off, f"task_weights.{other}": ON}
    )


def _network(run: RunConfig) -> list[Element]:
    halved = max(1, run.model.num_layers // 2)
    return [
        Element("gating", "transformer blocks", {"block": "transformer"}),
        Element("half_depth", _layers(halved), {"num_layers": halved}),
        Element("one_layer", _layers(1), {"num_layers": 1}),
        Element("rating_factors", "without rating factors", {"rating_factor_size": 0}, "ratings"),
        Element(
            "cosine_head",
            "dot product, not cosine" if run.model.cosine_head else "cosine, not dot product",
            {"cosine_head": not run.model.cosine_head},
        ),
    ]


def _layers(number: int) -> str:
    return f"{number} layer" + "s" * (number > 1)


def _training(run: RunConfig) -> list[Element]:
    model, average = run.model, run.training.ema_decay
    averaging = ("without averaged weights", 0.0) if average else ("with averaged weights", EMA)
    hides_ids = model.item_features and model.id_dropout
    hides_users = model.user_features != "none" and model.user_dropout
    return [
        Element(
            "id_dropout",
            "without id-dropout",
            {"id_dropout": 0.0},
            "item features",
            missing="" if hides_ids else "the preset has none",
        ),
        Element(
            "user_dropout",
            "without user-dropout",
            {"user_dropout": 0.0},
            missing="" if hides_users else "the preset has none",
        ),
        Element("ema", averaging[0], {"ema_decay": averaging[1]}),
        Element("exclude_seen", "seen items are candidates", {"exclude_seen": False}),
    ]
