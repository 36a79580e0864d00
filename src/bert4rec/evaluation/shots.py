"""How good the answers to people are whom the model never saw: by how many of their events are visible, k = 0 … 19.

The target is the same for every k, so the curve tells what more events are worth, and not how hard targets are. Beside
the model: itself without a word on the people, rules, and popularity, of all and of people alike.

Legend: C cases (users).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import Cases, Split
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import GroupPopularity, Popularity, SequentialRules, grouping
from bert4rec.evaluation.evaluate import Scorer, can_know_the_time, place_of_target
from bert4rec.evaluation.intervals import difference_and_interval, mean_and_interval
from bert4rec.evaluation.metrics import Floats, place_metrics

SHOTS = (0, 1, 3, 5, 10, 19)
METRICS = ("hit@10", "ndcg@10")

Found = Mapping[str, tuple[float, tuple[float, float]]]


@dataclass(frozen=True)
class ShotCurves:
    """Hit@10 and NDCG@10 with 95 % intervals, by scorer and number of visible events."""

    users: int
    request_time: bool
    values: Mapping[str, Mapping[int, Found]]
    minus: Mapping[str, Mapping[int, Found]]
    """The first scorer, the model, minus each other, paired by user."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "users": self.users,
            "request_time": self.request_time,
            "values": {name: _plain(curve) for name, curve in self.values.items()},
            "minus": {name: _plain(curve) for name, curve in self.minus.items()},
        }


def _plain(curve: Mapping[int, Found]) -> dict[str, dict[str, dict[str, Any]]]:
    return {
        str(shots): {name: {"value": value, "interval": list(edges)} for name, (value, edges) in found.items()}
        for shots, found in curve.items()
    }


class _NothingKnown:
    """A scorer that is told nothing of the people but their events."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer, self.name = scorer, f"{scorer.name}, demographics hidden"

    def score(self, histories: Histories) -> Tensor:
        return self.scorer.score(histories.without_user_features())


def shot_curves(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    cases: Literal["validation", "test"] = "test",
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[Iterator[Cases], int], Iterator[Cases]] = lambda pieces, _: pieces,
) -> ShotCurves:
    """Asks for the same target at every number of visible events; the request time is known where it can be.

    Raises DataError for a split whose users are no strangers.
    """
    asked: Cases = getattr(split, cases)
    if not asked.strangers:
        raise DataError(f"{dataset.name}: split {split.name!r} asks nobody new; take 'cold-users'")
    known = can_know_the_time(scorer, dataset)
    scorers = _scorers(scorer, dataset, split)
    place: dict[str, dict[int, list[Any]]] = {one.name: {shots: [] for shots in SHOTS} for one in scorers}
    for piece in progress(asked.pieces(batch_size), -(-len(asked) // batch_size)):
        target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
        for shots in SHOTS:
            histories = piece.with_shots(shots).histories(dataset, known)
            for one in scorers:
                place[one.name][shots].append(place_of_target(one, histories, target_B))
    metrics = {name: {shots: _metrics(parts) for shots, parts in curve.items()} for name, curve in place.items()}
    first, *others = metrics.values()
    return ShotCurves(
        users=len(asked),
        request_time=known,
        values={
            name: {shots: mean_and_interval(found, seed) for shots, found in curve.items()}
            for name, curve in metrics.items()
        },
        minus={
            name: {shots: difference_and_interval(first[shots], curve[shots], seed) for shots in SHOTS}
            for name, curve in zip(list(metrics)[1:], others, strict=True)
        },
    )


def _scorers(scorer: Scorer, dataset: PreparedDataset, split: Split) -> list[Scorer]:
    scorers: list[Scorer] = [scorer]
    if dataset.user_features:
        scorers.append(_NothingKnown(scorer))
    if grouping(dataset):
        scorers.append(GroupPopularity(dataset, split))
    return [*scorers, SequentialRules(dataset, split), Popularity(dataset, split)]


def _metrics(parts: Sequence[Any]) -> dict[str, Floats]:
    found = place_metrics(np.concatenate(parts))
    return {name: found[name] for name in METRICS}
