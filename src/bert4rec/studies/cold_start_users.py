"""The k-shot curve: how well people are answered whom the model never saw, after so many of their events.

Every row asks for the same event of the same users and is shown the last k events before it. What is shown is struck
out, what is not shown the system does not know; the target stays a candidate.

Legend: C cases (users), K numbers of events.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.split_rules import COLD_START_TARGET
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import Popularity, PopularityByGroup, SequentialRules
from bert4rec.evaluation.evaluate import can_know_the_time, protocol_of
from bert4rec.evaluation.intervals import difference_and_interval, mean_and_interval
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.report import COMPARED, protocol_line, sign_flip_p_value
from bert4rec.retrieval.ranking import target_rank
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.folds import protocol_of_folds

SHOTS = (0, 1, 3, 5, 10, COLD_START_TARGET - 1)
MODEL, NO_DEMOGRAPHICS, NO_TIME_TOLD = (
    "model",
    "model without demographics",
    "model, request time unknown",
)

Found = Mapping[str, tuple[float, tuple[float, float]]]
"""Value and 95 % interval of each metric."""
Told = Callable[[Histories], Histories]
"""What a row is told of the histories."""


@dataclass(frozen=True)
class Difference:
    """How far the first row is above the second, on the same users."""

    first: str
    second: str
    values: Mapping[int, Found]
    """By the number of events shown."""
    p_values: Mapping[int, Mapping[str, float]]
    """Of the paired sign-flip test."""


@dataclass(frozen=True)
class ColdStartUsers:
    """Hit@10 and NDCG@10 of every row by the number of events shown, and what is claimed of the rows."""

    protocol: Mapping[str, Any]
    values: Mapping[str, Mapping[int, Found]]
    differences: Sequence[Difference]
    rank_C: Mapping[str, Mapping[int, Ints]] = field(repr=False)
    """The place of each case's target, by row and number of events shown: what folds are pooled from."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "protocol": dict(self.protocol),
            "rows": {
                name: [_plain(k, found) for k, found in by_k.items()]
                for name, by_k in self.values.items()
            },
            "differences": [
                {
                    "first": pair.first,
                    "second": pair.second,
                    "cold_start_users": [
                        _plain(k, found, pair.p_values[k]) for k, found in pair.values.items()
                    ],
                }
                for pair in self.differences
            ],
        }

    def to_markdown(self) -> str:
        """A table of the rows and one of the differences for each metric, the protocol below."""
        lines: list[str] = []
        for metric in COMPARED:
            lines += [*_table(f"{metric} after k events", self.values, metric, ".4f"), ""]
            pairs = {f"{pair.first} − {pair.second}": pair.values for pair in self.differences}
            lines += [*_table(f"difference of {metric}", pairs, metric, "+.4f"), ""]
        return "\n".join([*lines, self.protocol_line()])

    def protocol_line(self) -> str:
        """The protocol in one line."""
        return protocol_line(self.protocol)


def cold_start_users(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 256,
    seed: int = 0,
    progress: Callable[[Iterator[int], int], Iterator[int]] = lambda steps, _: steps,
) -> ColdStartUsers:
    """The curve of a model, with and without demographics, beside what counting reaches.

    The time of the request is known where it can be; a row more says what the model reaches without. Counting does
    not look at it. Raises DataError for a split whose users train, or that has no cases.
    """
    cases = split.cases(subset)
    if not len(cases) or not cases.is_cold_start_C.all():
        raise DataError(
            f"{dataset.name}: split {split.name!r} asks no cold_users; take split 'cold-start-users'"
        )
    knows = can_know_the_time(scorer, dataset)
    counted: list[Scorer] = [SequentialRules(dataset, split), Popularity(dataset, split)]
    by_group = PopularityByGroup(dataset, split)
    rows: dict[str, tuple[Scorer, Told]] = {MODEL: (scorer, _everything)}
    if dataset.user_features:
        rows[NO_DEMOGRAPHICS] = (scorer, no_demographics)
    if knows:
        rows[NO_TIME_TOLD] = (scorer, Histories.without_request_time)
    if by_group.table_U:
        counted.insert(1, by_group)
    rows |= {counting.name: (counting, _everything) for counting in counted}
    rank_C: dict[str, dict[int, Ints]] = {name: {} for name in rows}
    for k in progress(iter(SHOTS), len(SHOTS)):
        for name, found in _places(
            rows, dataset, cases.with_last_events(k), knows, batch_size
        ).items():
            rank_C[name][k] = found
    claims = [
        (MODEL, by_group.name, (0,)),
        (MODEL, NO_DEMOGRAPHICS, SHOTS),
        (MODEL, SequentialRules.name, SHOTS),
    ]
    protocol = {
        **protocol_of(dataset, split, subset, knows, seed),
        "filter": "the events that are shown",
        **({"request_time": "known but where a row says otherwise"} if knows else {}),
    }
    return _curve(protocol, rank_C, [claim for claim in claims if claim[1] in rows], seed)


def pooled(curves: Sequence[ColdStartUsers], seed: int = 0) -> ColdStartUsers:
    """The curve of the users of several folds together, each answered by the model that never saw them.

    Raises DataError where two curves are of one fold, or not of the same data, cases and rows.
    """
    first = curves[0]
    protocols, rows = [curve.protocol for curve in curves], [curve.rank_C for curve in curves]
    agree = ("dataset_checksum", "subset", "request_time")
    protocol = {
        **protocol_of_folds(protocols, rows, agree, what="curves", whose="users"),
        "users": sum(of["users"] for of in protocols),
    }
    rank_C = {
        name: {k: np.concatenate([curve.rank_C[name][k] for curve in curves]) for k in by_k}
        for name, by_k in first.rank_C.items()
    }
    return _curve(
        protocol,
        rank_C,
        [(pair.first, pair.second, tuple(pair.values)) for pair in first.differences],
        seed,
    )


def _curve(
    protocol: Mapping[str, Any],
    rank_C: Mapping[str, Mapping[int, Ints]],
    claims: Sequence[tuple[str, str, Sequence[int]]],
    seed: int,
) -> ColdStartUsers:
    """What the places come to; a claim is a row, another one, and the numbers of events it is about."""
    metric_C = {
        name: {k: _compared(places) for k, places in by_k.items()} for name, by_k in rank_C.items()
    }
    return ColdStartUsers(
        protocol=protocol,
        values={
            name: {k: mean_and_interval(found, seed) for k, found in by_k.items()}
            for name, by_k in metric_C.items()
        },
        differences=[
            _difference(
                first, second, {k: (metric_C[first][k], metric_C[second][k]) for k in ks}, seed
            )
            for first, second, ks in claims
        ],
        rank_C=rank_C,
    )


def _compared(rank_C: Ints) -> dict[str, Floats]:
    metrics = rank_metrics(rank_C)
    return {metric: metrics[metric] for metric in COMPARED}


def _places(
    rows: Mapping[str, tuple[Scorer, Told]],
    dataset: PreparedDataset,
    cases: Cases,
    knows: bool,
    batch_size: int,
) -> dict[str, Ints]:
    """The place of every target `[C]` in each row."""
    rank_B: dict[str, list[Ints]] = {name: [] for name in rows}
    for piece in cases.batches(batch_size):
        histories = piece.histories(dataset, knows)
        target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
        for name, (scorer, told) in rows.items():
            rank_B[name].append(target_rank(scorer, told(histories), target_B))
    return {name: np.concatenate(places) for name, places in rank_B.items()}


def _everything(histories: Histories) -> Histories:
    return histories


def no_demographics(histories: Histories) -> Histories:
    """Those of cold_users of whom nothing is known: what the unknown user's row holds is what they are given."""
    return replace(histories, user_features={})


def _difference(
    first: str,
    second: str,
    pairs: Mapping[int, tuple[dict[str, Floats], dict[str, Floats]]],
    seed: int,
) -> Difference:
    return Difference(
        first,
        second,
        values={k: difference_and_interval(one, other, seed) for k, (one, other) in pairs.items()},
        p_values={
            k: {metric: sign_flip_p_value(one[metric] - other[metric], seed) for metric in one}
            for k, (one, other) in pairs.items()
        },
    )


def _plain(k: int, found: Found, p_values: Mapping[str, float] | None = None) -> dict[str, Any]:
    told = {
        name: {"value": value, "interval": list(edges)} for name, (value, edges) in found.items()
    }
    for name, p_value in (p_values or {}).items():
        told[name]["p_value"] = p_value
    return {"k": k, **told}


def _table(
    title: str, rows: Mapping[str, Mapping[int, Found]], metric: str, form: str
) -> list[str]:
    """Markdown lines: a row each, a column for every k."""
    cells = {
        name: [_with_interval(by_k.get(k), metric, form) for k in SHOTS]
        for name, by_k in rows.items()
    }
    return [
        f"| {title} | " + " | ".join(map(str, SHOTS)) + " |",
        "|---" * (len(SHOTS) + 1) + "|",
        *(f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()),
    ]


def _with_interval(found: Found | None, metric: str, form: str) -> str:
    if found is None:
        return "–"
    value, (low, high) = found[metric]
    return f"{value:{form}} [{low:{form}}, {high:{form}}]"
