"""Teachers of knowledge distillation: trained models that give soft targets (Hinton et al. 2015).

Teachers read the batches of their student. They are frozen: not optimised, averaged, checkpointed
or shared between devices. The loss of the student is computed by `losses`.

Legend: S supervised tokens, T tokens, V item rows, D width (of several teachers, the sum of
theirs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch, Supervised
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.features import Feature
from bert4rec.data.splits import Split
from bert4rec.errors import ConfigError
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.cross_entropy import SoftTargets

PASSES = {"next_item": "causal", "item_prediction": "masked"}
"""Item tasks, and the part of a batch that each of them reads."""


class Teacher:
    """Trained models that give soft targets: for each task, the mean of the models trained for it.

    It is no module, or it would be a part of its student.
    """

    def __init__(
        self, scorers: Mapping[str, Sequence[NetworkScorer]], weight: float, temperature: float
    ) -> None:
        self.weight, self.temperature = weight, temperature
        groups = {task: tuple(members) for task, members in scorers.items()}
        # Tasks with the same members share their mean, and with it its item embeddings.
        means = {group: _MeanScores(group) for group in groups.values()}
        self.means = {task: means[group] for task, group in groups.items()}
        self.scorers = list(dict.fromkeys(chain.from_iterable(means)))
        for scorer in self.scorers:
            scorer.network.requires_grad_(False)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Teacher:
        """Return the teacher itself: weight averaging copies the student's module."""
        return self

    @property
    def tasks(self) -> list[str]:
        """Tasks with soft targets."""
        return list(self.means)

    def to(self, device: torch.device) -> None:
        """Move to a device, before the first batch."""
        for scorer in self.scorers:
            scorer.network.to(device)

    @torch.no_grad()
    def soft_targets(self, batch: Batch) -> dict[str, SoftTargets]:
        """Distributions over the items for the supervised tokens, by task."""
        found = {}
        for task, mean in self.means.items():
            targets: Supervised | None = getattr(batch, PASSES[task])
            if targets is not None:
                found[task] = self._soft_targets(mean, targets, causal=task == "next_item")
        return found

    def _soft_targets(self, mean: _MeanScores, targets: Supervised, causal: bool) -> SoftTargets:
        bias_V = mean.bias_V
        return SoftTargets(
            mean.queries(targets, causal) / self.temperature,
            mean.output_VD,
            None if bias_V is None else bias_V / self.temperature,
            self.weight,
        )


class _MeanScores:
    """Mean of several models' scores, as one matrix product.

    The scores of one model are `query @ output.T + bias`. Their mean is the product of all queries
    side by side, divided by the number of models, and all outputs side by side.
    """

    def __init__(self, members: Sequence[NetworkScorer]) -> None:
        self.members = members

    def queries(self, targets: Supervised, causal: bool) -> Tensor:
        """Query vectors of the scores, `[S, D]`."""
        parts = [_queries(member, targets, causal) for member in self.members]
        return torch.cat(parts, 1) / len(parts) if len(parts) > 1 else parts[0]

    @cached_property
    def output_VD(self) -> Tensor:
        """Output item embeddings."""
        parts = [member.output_VD for member in self.members]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    @property
    def bias_V(self) -> Tensor | None:
        """Mean item bias; models with a cosine head have none and count as 0."""
        biases = [member.network.item_head.bias_V for member in self.members]
        given: list[Tensor] = [bias_V for bias_V in biases if bias_V is not None]
        return torch.stack(given).sum(0) / len(self.members) if given else None


def _queries(scorer: NetworkScorer, targets: Supervised, causal: bool) -> Tensor:
    """Query vectors of one model's scores, `[S, D]`."""
    state_TD = scorer.network.encode(targets.sequences, scorer.item_VD, causal)
    return scorer.network.item_head.output_states(state_TD[targets.token_S])


def load_teacher(config: RunConfig, dataset: PreparedDataset, split: Split) -> Teacher | None:
    """Teacher named by the settings, or None.

    Raises ArtefactError if a model cannot be loaded, UsageError if one is named twice, ConfigError
    if this run cannot learn from it.
    """
    training = config.training
    if not training.teacher:
        return None
    models = [artefact.load_for_dataset(folder, dataset) for folder in training.teacher]
    artefact.refuse_duplicates(models)
    for folder, model in zip(training.teacher, models, strict=True):
        for obstacle in _obstacles(model, config, dataset, split):
            raise ConfigError(f"teacher {folder}: {obstacle}")
    scorers = [(model.scorer(), _item_tasks(model.config)) for model in models]
    by_task: dict[str, list[NetworkScorer]] = {}
    for task in _item_tasks(config):
        members = [scorer for scorer, tasks in scorers if task in tasks]
        if members:
            by_task[task] = members
    return Teacher(by_task, training.distillation_weight, training.distillation_temperature)


def _user_features(dataset: PreparedDataset) -> list[Feature]:
    """User features with their values, which cold-start windows hand to teacher and student."""
    return [feature for feature, _ in dataset.user_features.values()]


def _obstacles(
    model: Artefact, config: RunConfig, dataset: PreparedDataset, split: Split
) -> Iterator[str]:
    """Reasons why the run cannot learn from a model: leaked test events, or unknown inputs."""
    yield from artefact.incompatibilities(model, dataset, split)
    if _user_features(model.dataset) != _user_features(dataset):
        yield (
            f"knows the user features of {dataset.name} with other values, and would misread those "
            "of this run; take a model of the same prepared folder"
        )
    teacher_tasks, tasks = _item_tasks(model.config), _item_tasks(config)
    teacher, student = model.config.model, config.model
    if not set(tasks) & set(teacher_tasks):
        yield (
            f"was trained for {teacher_tasks[0]} alone, this run is for {tasks[0]}: "
            "there is nothing to learn from it"
        )
    if teacher.seq_length < student.seq_length:
        yield (
            f"reads {teacher.seq_length} events, not the {student.seq_length} of this run; "
            f"take seq_length {teacher.seq_length} or less"
        )
    if dataset.has_times and teacher.request_time not in ("sometimes", student.request_time):
        yield (
            f"was trained with request_time {teacher.request_time!r}, this run is with "
            f"{student.request_time!r}; take {teacher.request_time!r} here too"
        )
    if model.config.training.exclude_seen and not config.training.exclude_seen:
        yield (
            "was trained with exclude_seen and knows nothing of seen items; "
            "take exclude_seen here too"
        )


def _item_tasks(config: RunConfig) -> list[str]:
    """Item tasks with a weight above 0."""
    return [task for task in PASSES if getattr(config.training.task_weights, task)]
