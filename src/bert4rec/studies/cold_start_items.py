"""Cold-start items: how well metadata alone ranks them, and what their presence costs warm items.

An item is cold where no event of it trains. A cold-start target is ranked among the cold-start
items and in the whole catalogue; a warm target in the whole catalogue and among the warm items.
The share of its metric that a warm target loses to the cold-start items is their cost.

Legend: B users of a batch, C cases (users), V item rows, G folds, K items of a list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints, Mask
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import ContentNeighbours
from bert4rec.evaluation.columns import joined, map_values, merged
from bert4rec.evaluation.comparison import COMPARED, compared_metrics
from bert4rec.evaluation.evaluate import LIST_LENGTH, cases_of, target_items
from bert4rec.evaluation.intervals import (
    difference_estimates,
    mean_estimates,
    relative_loss_estimates,
)
from bert4rec.evaluation.protocol import protocol_line, protocol_of, uses_request_time
from bert4rec.result_tables import Estimate, Table, to_plain
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.ranking import rank_of
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.folds import pooled_protocol
from bert4rec.studies.progress import Progress, no_progress

MODEL, NO_REQUEST_TIME, RANDOM = "model", "model, request time unknown", "random"
COLD_AMONG_COLD = "cold-start target, cold-start candidates"
COLD_AMONG_ALL = "cold-start target, all candidates"
WARM_AMONG_ALL = "warm target, all candidates"
WARM_AMONG_WARM = "warm target, warm candidates"
COLUMNS = (COLD_AMONG_COLD, COLD_AMONG_ALL, WARM_AMONG_ALL, WARM_AMONG_WARM)
COST = "cost to warm targets, %"

Metrics = Mapping[str, Estimate]
Gains = Mapping[str, Mapping[str, Floats]]
"""Metric of each case `[C]`, by column and metric; NaN for a target of the other kind."""


@dataclass(frozen=True)
class ColdStartItems:
    """Hit@10 and NDCG@10 of every row for cold-start and warm targets, and differences of rows."""

    protocol: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Metrics]]
    """By row and column; a column without targets is empty."""
    costs: Mapping[str, Metrics]
    """Share of the metric among warm items that is lost to cold-start items, in percent, by row."""
    differences: Mapping[str, Mapping[str, Metrics]]
    """The model's minus another row's on the same users, by that row and column."""
    gain_C: Mapping[str, Gains] = field(repr=False)
    """Metric of each case, by row; folds are pooled from it."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        rows = {name: {**by, COST: self.costs[name]} for name, by in self.values.items()}
        differences = [
            {"first": MODEL, "second": name, **by} for name, by in self.differences.items()
        ]
        return dict(to_plain({"protocol": self.protocol, "rows": rows, "differences": differences}))

    def tables(self) -> list[Table]:
        """A table of rows and differences for each metric; the last one has the protocol."""
        tables = [self._table(metric) for metric in COMPARED]
        return [*tables[:-1], replace(tables[-1], note=self._note())]

    def _table(self, metric: str) -> Table:
        lines = {name: {**by, COST: self.costs[name]} for name, by in self.values.items()}
        lines |= {f"{MODEL} − {name}": {**by, COST: {}} for name, by in self.differences.items()}
        rows = [[name, *_of_metric(by, metric)] for name, by in lines.items()]
        return Table("", [metric, *COLUMNS, COST], rows)

    def _note(self) -> str:
        protocol = self.protocol
        return (
            f"{protocol['cold_targets']:,} of {protocol['users']:,} targets are cold, "
            f"{protocol['cold_start_items']:,} of {protocol['items']:,} items. "
            f"{protocol_line(protocol)}"
        )


def _of_metric(by_column: Mapping[str, Metrics], metric: str) -> list[Estimate | None]:
    return [metrics.get(metric) for metrics in by_column.values()]


def cold_start_items(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 64,
    seed: int = 0,
    progress: Progress = no_progress,
) -> ColdStartItems:
    """Table of a model, with and without the request time, beside content neighbours and chance.

    Raises DataError where every item trains, and where the subset has no cases.
    """
    cases = cases_of(dataset, split, subset)
    is_cold_V = _cold_items(dataset, split)
    knows_time = uses_request_time(scorer, dataset)
    rows = {MODEL: (scorer, knows_time)}
    if knows_time:
        rows[NO_REQUEST_TIME] = (scorer, False)
    if dataset.item_features:
        rows[ContentNeighbours.name] = (ContentNeighbours(dataset), knows_time)
    batches = progress(cases.batches(batch_size), -(-len(cases) // batch_size))
    gains = [_batch_gains(rows, dataset, batch, is_cold_V) for batch in batches]
    gain_C = merged(_joined, gains)
    protocol = {
        **protocol_of(dataset, split, subset, knows_time, seed),
        **({"request_time": "known but where a row says otherwise"} if knows_time else {}),
        "cold_start_items": int(is_cold_V.sum()),
        "cold_targets": _cold_targets(gain_C),
    }
    return _table(protocol, gain_C, seed)


def _cold_items(dataset: PreparedDataset, split: Split) -> Tensor:
    """True for item rows `[V]` that no training event has."""
    is_cold_V = torch.zeros(dataset.item_rows, dtype=torch.bool)
    is_cold_V[torch.from_numpy(split.cold_start_item_rows(dataset))] = True
    if not is_cold_V.any():
        raise DataError(
            f"{dataset.name}: every item has training events under {split.name!r}; "
            "take split 'cold-start-items'"
        )
    return is_cold_V


def pooled(tables: Sequence[ColdStartItems], seed: int = 0) -> ColdStartItems:
    """Table of several folds: each user's cold-start target once, warm targets as means over folds.

    Raises DataError where two tables are of one fold, or not of the same data, users and rows.
    """
    protocols = [table.protocol for table in tables]
    rows = [table.gain_C for table in tables]
    agree = ("dataset_checksum", "subset", "users", "request_time")
    protocol = pooled_protocol(protocols, rows, agree, results="tables", held_out="items")
    gain_C = merged(_fold_means, rows)
    protocol |= {
        "cold_start_items": sum(part["cold_start_items"] for part in protocols),
        "cold_targets": _cold_targets(gain_C),
    }
    return _table(protocol, gain_C, seed)


def _table(protocol: Mapping[str, Any], gain_C: Mapping[str, Gains], seed: int) -> ColdStartItems:
    """Table of the gains."""
    estimates = partial(map_values, partial(mean_estimates, seed=seed))
    values = map_values(estimates, gain_C)
    costs = {name: _costs(gains, seed) for name, gains in gain_C.items()}
    compared = [name for name in gain_C if name == ContentNeighbours.name]
    differences = {name: _differences(gain_C[MODEL], gain_C[name], seed) for name in compared}
    return ColdStartItems(protocol, values, costs, differences, gain_C)


def _costs(gains: Gains, seed: int) -> Metrics:
    losses = relative_loss_estimates(gains[WARM_AMONG_WARM], gains[WARM_AMONG_ALL], seed)
    return {metric: loss.scaled(100) for metric, loss in losses.items()}


def _differences(first: Gains, second: Gains, seed: int) -> dict[str, Metrics]:
    return {column: difference_estimates(first[column], second[column], seed) for column in COLUMNS}


def _batch_gains(
    rows: Mapping[str, tuple[Scorer, bool]],
    dataset: PreparedDataset,
    cases: Cases,
    is_cold_V: Tensor,
) -> dict[str, Gains]:
    """Metrics of each row for a batch, and of a random order of as many candidates."""
    target_B = target_items(dataset, cases)
    is_cold_B = is_cold_V[target_B]
    other_kind_BV = is_cold_V != is_cold_B[:, None]
    gains: dict[str, Gains] = {}
    for name, (scorer, request_time) in rows.items():
        histories = cases.histories(dataset, request_time)
        score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B).cpu()
        of_kind_BV = score_BV.masked_fill(other_kind_BV, EXCLUDED)
        of_kind, of_all = (
            compared_metrics(rank_of(of_row_BV, target_B).numpy())
            for of_row_BV in (of_kind_BV, score_BV)
        )
        gains[name] = _by_kind(is_cold_B.numpy(), of_kind, of_all)
    # Every row has the same candidates.
    of_kind, of_all = (
        _random_metrics((of_row_BV > EXCLUDED).sum(1).numpy())
        for of_row_BV in (of_kind_BV, score_BV)
    )
    return {**gains, RANDOM: _by_kind(is_cold_B.numpy(), of_kind, of_all)}


def _by_kind(is_cold_B: Mask, of_kind: Mapping[str, Floats], of_all: Mapping[str, Floats]) -> Gains:
    """Columns, from the metrics among candidates of the target's kind and among all candidates."""
    columns = {
        COLD_AMONG_COLD: (of_kind, is_cold_B),
        COLD_AMONG_ALL: (of_all, is_cold_B),
        WARM_AMONG_ALL: (of_all, ~is_cold_B),
        WARM_AMONG_WARM: (of_kind, ~is_cold_B),
    }
    return {column: _where(mask_B, metrics) for column, (metrics, mask_B) in columns.items()}


def _where(mask_B: Mask, metrics: Mapping[str, Floats]) -> dict[str, Floats]:
    """Metrics of the cases of the mask, NaN for the others."""
    return {metric: np.where(mask_B, metrics[metric], np.nan) for metric in COMPARED}


def _random_metrics(count_B: Ints) -> dict[str, Floats]:
    """Expected metrics of a random order of so many candidates."""
    gain_K = compared_metrics(np.arange(1, LIST_LENGTH + 1))
    last_B = np.minimum(count_B, LIST_LENGTH) - 1
    return {metric: gain_K[metric].cumsum()[last_B] / count_B for metric in COMPARED}


def _joined(batches: Sequence[Gains]) -> Gains:
    """Gains of all batches, end to end."""
    return merged(joined, batches)


def _fold_means(folds: Sequence[Gains]) -> Gains:
    """Mean of each case over the folds that have it, by column and metric."""
    return merged(partial(merged, _mean_of_known), folds)


def _mean_of_known(gains: Sequence[Floats]) -> Floats:
    """Mean of each case over the folds that have it, NaN where none does."""
    gain_GC = np.stack(gains)
    number_C = (~np.isnan(gain_GC)).sum(0)
    return np.nan_to_num(gain_GC).sum(0) / np.where(number_C > 0, number_C, np.nan)


def _cold_targets(gain_C: Mapping[str, Gains]) -> int:
    """Number of cases with a cold-start target."""
    return int((~np.isnan(gain_C[MODEL][COLD_AMONG_ALL][COMPARED[0]])).sum())
