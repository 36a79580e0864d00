"""A trained model that another one learns from, besides the data (Hinton et al. 2015).

It reads the batches that its student reads and says how likely every item is; what that costs the student is left to
`losses`. It is frozen, and no part of what is optimised, averaged, kept in checkpoints or shared between devices.

Legend: V item rows, S supervised tokens, D width.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig
from bert4rec.data.batches import Batch, Supervised
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Split
from bert4rec.errors import ConfigError
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training.losses import SoftTargets

READINGS = {"next_item": "causal", "item_prediction": "masked"}
"""The item tasks, and the reading of a batch that each is asked of."""


class Teacher:
    """What a trained model says of a batch, for the tasks that it was trained for itself.

    Not a module, or it would be one of its student's.
    """

    def __init__(self, scorer: NetworkScorer, tasks: Sequence[str], weight: float, temperature: float) -> None:
        self.scorer, self.tasks, self.weight, self.temperature = scorer, tasks, weight, temperature
        scorer.network.requires_grad_(False)

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Teacher:
        """Whose weights are averaged in a copy has the same teacher."""
        return self

    def to(self, device: torch.device) -> None:
        """Move there, before anything is asked."""
        self.scorer.network.to(device)

    @torch.no_grad()
    def taught(self, batch: Batch) -> dict[str, SoftTargets]:
        """What it says of the supervised tokens, by task."""
        bias_V = self.scorer.network.item_head.bias_V
        return {
            task: SoftTargets(
                self._queries(read, causal=task == "next_item") / self.temperature,
                self.scorer.key_VD,
                None if bias_V is None else bias_V / self.temperature,
                self.weight,
            )
            for task in self.tasks
            if (read := getattr(batch, READINGS[task])) is not None
        }

    def _queries(self, read: Supervised, causal: bool) -> Tensor:
        """The states' side of its scores, `[S, D]`."""
        state_TD = self.scorer.network.encode(read.sequences, self.scorer.item_VD, causal)
        return self.scorer.network.item_head.queries(state_TD[read.token_S])


def teacher_of(run: RunConfig, dataset: PreparedDataset, split: Split) -> Teacher | None:
    """The teacher that the settings name; None where they name none.

    Raises ArtefactError where it cannot be loaded, ConfigError where this run cannot learn from it.
    """
    training = run.training
    if not training.teacher:
        return None
    model = artefact.load(training.teacher)
    for obstacle in _obstacles(model, run, dataset, split):
        raise ConfigError(f"teacher {training.teacher}: {obstacle}")
    tasks = [task for task in _item_tasks(run) if task in _item_tasks(model.run)]
    return Teacher(model.scorer(), tasks, training.distillation_weight, training.distillation_temperature)


def _obstacles(model: Artefact, run: RunConfig, dataset: PreparedDataset, split: Split) -> Iterator[str]:
    """Why the run cannot learn from the model: it may know the answers, or would be asked what it never learned."""
    its, known = model.run, model.dataset
    if known.checksum != dataset.checksum:
        yield (
            f"was trained on {known.name} (data checksum {known.checksum}), this run is on {dataset.name} "
            f"({dataset.checksum}); take a teacher of the same prepared folder"
        )
    if model.split["checksum"] != split.checksum:
        yield (
            f"was trained on split {model.split['name']} (checksum {model.split['checksum']}), this run is on "
            f"{split.name} ({split.checksum}), whose answers it may have seen; take a teacher of the same split"
        )
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
