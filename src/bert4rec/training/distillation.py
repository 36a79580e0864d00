"""Trained models that another one learns from, besides the data (Hinton et al. 2015).

They read the batches that their student reads and say how likely every item is; what that costs the student is left to
`losses`. They are frozen, and no part of what is optimised, averaged, kept in checkpoints or shared between devices.

Legend: V item rows, S supervised tokens, D width (of several teachers, the sum of theirs).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch, Supervised
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import ConfigError
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.cross_entropy import SoftTargets

READINGS = {"next_item": "causal", "item_prediction": "masked"}
"""The item tasks, and the reading of a batch that each is asked of."""


class Teacher:
    """What trained models say of a batch: of each task, the mean of those that were trained for it themselves.

    Not a module, or it would be one of its student's.
    """

    def __init__(
        self, scorers: Mapping[str, Sequence[NetworkScorer]], weight: float, temperature: float
    ) -> None:
        self.weight, self.temperature = weight, temperature
        groups = {task: tuple(members) for task, members in scorers.items()}
        means = {group: _Mean(group) for group in groups.values()}
        self.means = {task: means[group] for task, group in groups.items()}
        self.scorers = list(dict.fromkeys(scorer for group in means for scorer in group))
        for scorer in self.scorers:
            scorer.network.requires_grad_(False)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Teacher:
        """Whose weights are averaged in a copy has the same teacher."""
        return self

    @property
    def tasks(self) -> list[str]:
        """The tasks that it teaches."""
        return list(self.means)

    def to(self, device: torch.device) -> None:
        """Move there, before anything is asked."""
        for scorer in self.scorers:
            scorer.network.to(device)

    @torch.no_grad()
    def taught(self, batch: Batch) -> dict[str, SoftTargets]:
        """What it says of the supervised tokens, by task."""
        return {
            task: SoftTargets(
                mean.queries(read, causal=task == "next_item") / self.temperature,
                mean.output_VD,
                None if mean.bias_V is None else mean.bias_V / self.temperature,
                self.weight,
            )
            for task, mean in self.means.items()
            if (read := getattr(batch, READINGS[task])) is not None
        }


class _Mean:
    """The mean of several models' scores as one product.

    Each one's scores are `queries @ keys.T + bias`, so their mean is all queries side by side, divided by the number of
    models, times all keys side by side.
    """

    def __init__(self, members: Sequence[NetworkScorer]) -> None:
        self.members = members

    def queries(self, read: Supervised, causal: bool) -> Tensor:
        """The states' side of the scores, `[S, D]`."""
        parts = [_queries(member, read, causal) for member in self.members]
        return torch.cat(parts, 1) / len(parts) if len(parts) > 1 else parts[0]

    @cached_property
    def output_VD(self) -> Tensor:
        """The items' side of the scores."""
        parts = [member.output_VD for member in self.members]
        return torch.cat(parts, 1) if len(parts) > 1 else parts[0]

    @property
    def bias_V(self) -> Tensor | None:
        """What is added to every row's scores; a model of cosines adds nothing."""
        parts: list[Tensor] = [
            bias_V
            for member in self.members
            if (bias_V := member.network.item_head.bias_V) is not None
        ]
        return torch.stack(parts).sum(0) / len(self.members) if parts else None


def _queries(scorer: NetworkScorer, read: Supervised, causal: bool) -> Tensor:
    """The states' side of one model's scores, `[S, D]`."""
    state_TD = scorer.network.encode(read.sequences, scorer.item_VD, causal)
    return scorer.network.item_head.output_states(state_TD[read.token_S])


def teacher_of(run: RunConfig, dataset: PreparedDataset, split: Split) -> Teacher | None:
    """The teacher that the settings name; None where they name none.

    Raises ArtefactError where a model cannot be loaded, UsageError where one is named twice, ConfigError where this run
    cannot learn from it.
    """
    training = run.training
    if not training.teacher:
        return None
    models = [artefact.load_for_dataset(folder, dataset) for folder in training.teacher]
    artefact.refuse_duplicates(models)
    for folder, model in zip(training.teacher, models, strict=True):
        for obstacle in _obstacles(model, run, dataset, split):
            raise ConfigError(f"teacher {folder}: {obstacle}")
    scorers = [(model.scorer(), _item_tasks(model.run)) for model in models]
    able = {
        task: [scorer for scorer, tasks in scorers if task in tasks] for task in _item_tasks(run)
    }
    taught = {task: group for task, group in able.items() if group}
    return Teacher(taught, training.distillation_weight, training.distillation_temperature)


def _obstacles(
    model: Artefact, run: RunConfig, dataset: PreparedDataset, split: Split
) -> Iterator[str]:
    """Why the run cannot learn from the model: it may know the answers, or would be asked what it never learned."""
    its = model.run
    yield from artefact.incompatibilities(model, dataset, split)
    if not set(_item_tasks(run)) & set(_item_tasks(its)):
        trained, wanted = _item_tasks(its)[0], _item_tasks(run)[0]
        yield f"was trained for {trained} alone, this run is for {wanted}: there is nothing to learn from it"
    if its.model.seq_length < run.model.seq_length:
        length = its.model.seq_length
        yield f"reads {length} events, not the {run.model.seq_length} of this run; take seq_length {length} or less"
    if dataset.has_times and its.model.request_time not in ("sometimes", run.model.request_time):
        trained, wanted = its.model.request_time, run.model.request_time
        yield f"was trained with request_time {trained!r}, this run is with {wanted!r}; take {trained!r} here too"
    if its.training.exclude_seen and not run.training.exclude_seen:
        yield "was trained with exclude_seen and knows nothing of seen items; take exclude_seen here too"


def _item_tasks(run: RunConfig) -> list[str]:
    return [task for task in READINGS if getattr(run.training.task_weights, task)]
