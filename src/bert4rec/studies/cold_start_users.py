"""Few-shot curve: ranking for cold-start users after 0, 1, 3, … of their events.

Every row ranks the same target of the same users and is given the last k events before it. Given
events are filtered. Earlier events are unknown to the scorer; their items and the target stay
candidates.

Legend: C cases (users), B users of a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.split_rules import COLD_START_TARGET
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import Popularity, PopularityByGroup, SequentialRules
from bert4rec.evaluation.columns import map_values, merged
from bert4rec.evaluation.comparison import (
    COMPARED,
    PairedDifferences,
    compared_metrics,
    paired_differences,
)
from bert4rec.evaluation.evaluate import target_items
from bert4rec.evaluation.intervals import mean_estimates
from bert4rec.evaluation.protocol import protocol_line, protocol_of, uses_request_time
from bert4rec.result_tables import Estimate, Table, to_plain
from bert4rec.retrieval.ranking import target_rank
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.folds import pooled_protocol
from bert4rec.studies.progress import Progress, no_progress

EVENT_COUNTS = (0, 1, 3, 5, 10, COLD_START_TARGET - 1)
"""Numbers of events that a row is given."""
MODEL = "model"
NO_DEMOGRAPHICS = "model without demographics"
NO_REQUEST_TIME = "model, request time unknown"

ByEvents = Mapping[int, Mapping[str, Estimate]]
"""Estimates by number of events and metric."""
Change = Callable[[Histories], Histories]
"""Change to the histories before a row's scorer reads them."""
Claim = tuple[str, str, Sequence[int]]
"""Two rows that are compared, and the numbers of events they are compared after."""


@dataclass(frozen=True)
class RowDifference:
    """Differences of two rows on the same users, first minus second."""

    first: str
    second: str
    by_events: Mapping[int, PairedDifferences]
    """By the number of events given."""

    def values(self) -> ByEvents:
        """Difference of each metric, by the number of events."""
        return {k: found.difference for k, found in self.by_events.items()}

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        entries = [_difference_entry(k, found) for k, found in self.by_events.items()]
        return {"first": self.first, "second": self.second, "by_events": entries}


@dataclass(frozen=True)
class ColdStartUsers:
    """Hit@10 and NDCG@10 of every row by the number of events given, and differences of rows."""

    protocol: Mapping[str, Any]
    values: Mapping[str, ByEvents]
    """By row, number of events and metric."""
    differences: Sequence[RowDifference]
    rank_C: Mapping[str, Mapping[int, Ints]] = field(repr=False)
    """Rank of each case's target, by row and number of events; folds are pooled from it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = map_values(_row_entries, self.values)
        differences = [difference.to_dict() for difference in self.differences]
        return {"protocol": dict(self.protocol), "rows": rows, "differences": differences}

    def tables(self) -> list[Table]:
        """Tables of the rows and of the differences for each metric; the last has the protocol."""
        differences = {f"{pair.first} − {pair.second}": pair.values() for pair in self.differences}
        tables = []
        for metric in COMPARED:
            tables.append(_table(f"{metric} after k events", self.values, metric))
            table = _table(f"difference of {metric}", differences, metric)
            tables.append(replace(table, signed=True))
        return [*tables[:-1], replace(tables[-1], note=protocol_line(self.protocol))]


def _row_entries(by_events: ByEvents) -> list[dict[str, Any]]:
    return [{"k": k, **to_plain(metrics)} for k, metrics in by_events.items()]


def _table(title: str, values: Mapping[str, ByEvents], metric: str) -> Table:
    """One row for each name, a column for each number of events."""
    rows = [[name, *_cells(by_events, metric)] for name, by_events in values.items()]
    return Table("", [title, *map(str, EVENT_COUNTS)], rows)


def _cells(by_events: ByEvents, metric: str) -> list[Estimate | None]:
    return [by_events.get(k, {}).get(metric) for k in EVENT_COUNTS]


def _difference_entry(k: int, found: PairedDifferences) -> dict[str, Any]:
    metrics = {
        metric: {**estimate.to_dict(), "p_value": found.p_value[metric]}
        for metric, estimate in found.difference.items()
    }
    return {"k": k, **metrics}


def cold_start_users(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 256,
    seed: int = 0,
    progress: Progress = no_progress,
) -> ColdStartUsers:
    """Few-shot curve of a model, with and without demographics, beside counting baselines.

    The request time is known where data and model have it; another row shows the model without it.
    Counting baselines do not read it.

    Raises DataError for a split whose users train, or that has no cases.
    """
    cases = split.cases(subset)
    if not len(cases) or not cases.is_cold_start_C.all():
        raise DataError(
            f"{dataset.name}: split {split.name!r} ranks for no cold-start users; "
            "take split 'cold-start-users'"
        )
    knows_time = uses_request_time(scorer, dataset)
    by_group = PopularityByGroup(dataset, split)
    rows = _model_rows(scorer, dataset, knows_time)
    rows |= {
        counting.name: (counting, _unchanged) for counting in _counting(dataset, split, by_group)
    }
    rank_C: dict[str, dict[int, Ints]] = {name: {} for name in rows}
    for k in progress(iter(EVENT_COUNTS), len(EVENT_COUNTS)):
        found = _ranks(rows, dataset, cases.with_last_events(k), knows_time, batch_size)
        for name, of_row_C in found.items():
            rank_C[name][k] = of_row_C
    claims: list[Claim] = [
        (MODEL, by_group.name, (0,)),
        (MODEL, NO_DEMOGRAPHICS, EVENT_COUNTS),
        (MODEL, SequentialRules.name, EVENT_COUNTS),
    ]
    protocol = {
        **protocol_of(dataset, split, subset, knows_time, seed),
        "filter": "the events that are given",
        **({"request_time": "known but where a row says otherwise"} if knows_time else {}),
    }
    return _curve(protocol, rank_C, [claim for claim in claims if claim[1] in rows], seed)


def pooled(curves: Sequence[ColdStartUsers], seed: int = 0) -> ColdStartUsers:
    """Curve over the users of several folds, each by the model that did not train on them.

    Raises DataError where two curves are of one fold, or not of the same data, subset and rows.
    """
    first = curves[0]
    protocols = [curve.protocol for curve in curves]
    rows = [curve.rank_C for curve in curves]
    agree = ("dataset_checksum", "subset", "request_time")
    protocol = {
        **pooled_protocol(protocols, rows, agree, results="curves", held_out="users"),
        "users": sum(part["users"] for part in protocols),
    }
    rank_C = merged(partial(merged, np.concatenate), rows)
    claims = [(pair.first, pair.second, tuple(pair.by_events)) for pair in first.differences]
    return _curve(protocol, rank_C, claims, seed)


def _model_rows(
    scorer: Scorer, dataset: PreparedDataset, knows_time: bool
) -> dict[str, tuple[Scorer, Change]]:
    """Rows of the model: with all it may read, and with one thing less."""
    rows: dict[str, tuple[Scorer, Change]] = {MODEL: (scorer, _unchanged)}
    if dataset.user_features:
        rows[NO_DEMOGRAPHICS] = (scorer, without_demographics)
    if knows_time:
        rows[NO_REQUEST_TIME] = (scorer, Histories.without_request_time)
    return rows


def _counting(dataset: PreparedDataset, split: Split, by_group: PopularityByGroup) -> list[Scorer]:
    """Counting baselines; popularity by group only where users have features."""
    grouped = [by_group] if by_group.value_U else []
    return [SequentialRules(dataset, split), *grouped, Popularity(dataset, split)]


def _curve(
    protocol: Mapping[str, Any],
    rank_C: Mapping[str, Mapping[int, Ints]],
    claims: Sequence[Claim],
    seed: int,
) -> ColdStartUsers:
    """Curve of the ranks."""
    metric_C = map_values(partial(map_values, compared_metrics), rank_C)
    values = map_values(partial(map_values, partial(mean_estimates, seed=seed)), metric_C)
    differences = [_difference(claim, metric_C, seed) for claim in claims]
    return ColdStartUsers(protocol, values, differences, rank_C)


def _difference(
    claim: Claim, metric_C: Mapping[str, Mapping[int, Mapping[str, Floats]]], seed: int
) -> RowDifference:
    first, second, event_counts = claim
    by_events = {
        k: paired_differences(metric_C[first][k], metric_C[second][k], seed) for k in event_counts
    }
    return RowDifference(first, second, by_events)


def _ranks(
    rows: Mapping[str, tuple[Scorer, Change]],
    dataset: PreparedDataset,
    cases: Cases,
    knows_time: bool,
    batch_size: int,
) -> dict[str, Ints]:
    """Rank of every target `[C]` in each row."""
    rank_B: dict[str, list[Ints]] = {name: [] for name in rows}
    for batch in cases.batches(batch_size):
        histories = batch.histories(dataset, knows_time)
        target_B = target_items(dataset, batch)
        for name, (scorer, change) in rows.items():
            rank_B[name].append(target_rank(scorer, change(histories), target_B))
    return {name: np.concatenate(parts) for name, parts in rank_B.items()}


def _unchanged(histories: Histories) -> Histories:
    return histories


def without_demographics(histories: Histories) -> Histories:
    """Histories of cold-start users without their features, as the unknown user's row has none."""
    return replace(histories, user_features={})
