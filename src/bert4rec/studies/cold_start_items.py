"""New items: how well what never trained is ranked by its metadata, and what that costs the items that trained.

A cold target is asked for among the cold items alone, and in the whole catalogue; a warm one in the whole catalogue,
and among the warm items alone: how much it loses to the cold ones is the cost. Cold is of what nothing trains.

Legend: B users of a piece, C cases (users), V item rows, F folds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import ContentNeighbours
from bert4rec.evaluation.evaluate import can_know_the_time, protocol_of
from bert4rec.evaluation.intervals import (
    difference_and_interval,
    loss_and_interval,
    mean_and_interval,
)
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.report import COMPARED, protocol_line
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.ranking import rank_of
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.folds import protocol_of_folds

MODEL, NO_TIME_TOLD, RANDOM = "model", "model, request time unknown", "random"
AMONG_COLD, COLD, WARM, AMONG_WARM = (
    "cold among cold",
    "cold in all",
    "warm in all",
    "warm among warm",
)
COLUMNS = (AMONG_COLD, COLD, WARM, AMONG_WARM)
COST = "cost to warm, %"
LISTED = 10

Found = Mapping[str, tuple[float, tuple[float, float]]]
"""Value and 95 % interval of each metric."""
Gains = Mapping[str, Mapping[str, Floats]]
"""By column and metric what each case reached, `[C]`; NaN where its target is of the other kind."""


@dataclass(frozen=True)
class ColdStartItems:
    """Hit@10 and NDCG@10 of every row for cold and warm targets, and what is claimed of the rows."""

    protocol: Mapping[str, Any]
    values: Mapping[str, Mapping[str, Found]]
    """By row and column; a column without targets is empty."""
    costs: Mapping[str, Found]
    """What of the metric among the warm items is lost to the cold ones, in percent, by row."""
    differences: Mapping[str, Mapping[str, Found]]
    """The model's minus another row's on the same users, by that row and column."""
    gain_C: Mapping[str, Gains] = field(repr=False)
    """What folds are pooled from, by row."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "protocol": dict(self.protocol),
            "rows": {
                name: {
                    **{column: _plain(found) for column, found in by.items()},
                    COST: _plain(self.costs[name]),
                }
                for name, by in self.values.items()
            },
            "differences": [
                {
                    "first": MODEL,
                    "second": name,
                    **{column: _plain(found) for column, found in by.items()},
                }
                for name, by in self.differences.items()
            ],
        }

    def cells(
        self, metric: str, cell: Callable[[float, tuple[float, float]], str]
    ) -> dict[str, list[str]]:
        """One metric's table: a line for each row and each difference, with a cell for each column and the cost."""
        lines = {name: {**by, COST: self.costs[name]} for name, by in self.values.items()}
        lines |= {f"{MODEL} − {name}": {**by, COST: {}} for name, by in self.differences.items()}
        return {
            name: [cell(*found[metric]) if metric in found else "–" for found in by.values()]
            for name, by in lines.items()
        }

    def to_markdown(self) -> str:
        """A table for each metric, the protocol below."""
        lines: list[str] = []
        for metric in COMPARED:
            lines += [
                f"| {metric} | " + " | ".join((*COLUMNS, COST)) + " |",
                "|---" * (len(COLUMNS) + 2) + "|",
            ]
            cells = self.cells(
                metric, lambda value, edges: f"{value:.4f} [{edges[0]:.4f}, {edges[1]:.4f}]"
            )
            lines += [*(f"| {name} | " + " | ".join(row) + " |" for name, row in cells.items()), ""]
        return "\n".join([*lines, self.protocol_line()])

    def protocol_line(self) -> str:
        """The protocol in one line."""
        told = self.protocol
        return (
            f"{told['cold_targets']:,} of {told['users']:,} targets are cold, {told['cold_items']:,} of "
            f"{told['items']:,} items. {protocol_line(told)}"
        )


def cold_start_items(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    batch_size: int = 64,
    seed: int = 0,
    progress: Callable[[Iterator[Cases], int], Iterator[Cases]] = lambda pieces, _: pieces,
) -> ColdStartItems:
    """A model's line, with and without the time of the request, beside content neighbours and chance.

    Raises DataError where every item trains, and where nobody is asked.
    """
    cases = split.cases(subset)
    if not len(cases):
        raise DataError(
            f"{dataset.name}: split {split.name!r} has no {subset} cases; nobody can be asked"
        )
    cold_item_V = torch.zeros(dataset.item_rows, dtype=torch.bool)
    cold_item_V[torch.from_numpy(split.cold_start_items(dataset))] = True
    if not cold_item_V.any():
        raise DataError(
            f"{dataset.name}: of every item something trains under {split.name!r}; take split 'cold-start-items'"
        )
    knows = can_know_the_time(scorer, dataset)
    rows = {MODEL: (scorer, knows), **({NO_TIME_TOLD: (scorer, False)} if knows else {})}
    if dataset.item_features:
        rows[ContentNeighbours.name] = (ContentNeighbours(dataset), knows)
    pieces = progress(cases.batches(batch_size), -(-len(cases) // batch_size))
    gains = [_gains(rows, dataset, piece, cold_item_V) for piece in pieces]
    gain_C = {
        name: {
            column: {
                metric: np.concatenate([gain[name][column][metric] for gain in gains])
                for metric in COMPARED
            }
            for column in COLUMNS
        }
        for name in gains[0]
    }
    protocol = {
        **protocol_of(dataset, split, subset, knows, seed),
        **({"request_time": "known but where a row says otherwise"} if knows else {}),
        "cold_start_items": int(cold_item_V.sum()),
        "cold_targets": _known(gain_C),
    }
    return _table(protocol, gain_C, seed)


def pooled(tables: Sequence[ColdStartItems], seed: int = 0) -> ColdStartItems:
    """The table of several folds: each user's cold target once, each warm one as its mean over the folds.

    Raises DataError where two tables are of one fold, or not of the same data, users and rows.
    """
    first = tables[0]
    protocols, rows = [table.protocol for table in tables], [table.gain_C for table in tables]
    agree = ("dataset_checksum", "subset", "users", "request_time")
    protocol = protocol_of_folds(protocols, rows, agree, what="tables", whose="items")
    gain_C = {
        name: {
            column: {
                metric: _mean_of_known([table.gain_C[name][column][metric] for table in tables])
                for metric in by
            }
            for column, by in of_row.items()
        }
        for name, of_row in first.gain_C.items()
    }
    protocol |= {
        "cold_start_items": sum(of["cold_start_items"] for of in protocols),
        "cold_targets": _known(gain_C),
    }
    return _table(protocol, gain_C, seed)


def _table(protocol: Mapping[str, Any], gain_C: Mapping[str, Gains], seed: int) -> ColdStartItems:
    """What the gains come to."""
    return ColdStartItems(
        protocol=protocol,
        values={
            name: {column: mean_and_interval(gains[column], seed) for column in COLUMNS}
            for name, gains in gain_C.items()
        },
        costs={
            name: _percent(loss_and_interval(by[AMONG_WARM], by[WARM], seed))
            for name, by in gain_C.items()
        },
        differences={
            name: {
                column: difference_and_interval(gain_C[MODEL][column], gain_C[name][column], seed)
                for column in COLUMNS
            }
            for name in gain_C.keys() & {ContentNeighbours.name}
        },
        gain_C=gain_C,
    )


def _gains(
    rows: Mapping[str, tuple[Scorer, bool]],
    dataset: PreparedDataset,
    piece: Cases,
    cold_item_V: Tensor,
) -> dict[str, Gains]:
    """What each row reached for a piece, by column and metric; chance likewise, of as many candidates."""
    target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
    cold_B = cold_item_V[target_B].numpy()
    found: dict[str, Gains] = {}
    for name, (scorer, request_time) in rows.items():
        histories: Histories = piece.histories(dataset, request_time)
        score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B).cpu()
        like_BV = score_BV.masked_fill(cold_item_V != cold_item_V[target_B][:, None], EXCLUDED)
        found[name] = _by_kind(
            cold_B,
            *(rank_metrics(rank_of(of_BV, target_B).numpy()) for of_BV in (like_BV, score_BV)),
        )
    counts = [(of_BV > EXCLUDED).sum(1).numpy() for of_BV in (like_BV, score_BV)]
    return {**found, RANDOM: _by_kind(cold_B, *(_chance(count_B) for count_B in counts))}


def _by_kind(
    cold_B: Ints, among_alike: Mapping[str, Floats], in_all: Mapping[str, Floats]
) -> Gains:
    """The columns, from what was reached among the items of the target's kind and among all."""
    of_column = {AMONG_COLD: (among_alike, cold_B), COLD: (in_all, cold_B)}
    of_column |= {WARM: (in_all, ~cold_B), AMONG_WARM: (among_alike, ~cold_B)}
    return {
        column: {metric: np.where(counts_B, gains[metric], np.nan) for metric in COMPARED}
        for column, (gains, counts_B) in of_column.items()
    }


def _chance(count_B: Ints) -> dict[str, Floats]:
    """What a random order of so many candidates reaches on average."""
    gains = rank_metrics(np.arange(1, LISTED + 1))
    return {
        metric: gains[metric].cumsum()[np.minimum(count_B, LISTED) - 1] / count_B
        for metric in COMPARED
    }


def _mean_of_known(gains: Sequence[Floats]) -> Floats:
    """The mean of each case over the folds that know it, NaN where none does."""
    gain_FC = np.stack(gains)
    number_C = (~np.isnan(gain_FC)).sum(0)
    return np.nan_to_num(gain_FC).sum(0) / np.where(number_C > 0, number_C, np.nan)


def _known(gain_C: Mapping[str, Gains]) -> int:
    """How many cases have a cold target."""
    return int((~np.isnan(gain_C[MODEL][COLD][COMPARED[0]])).sum())


def _percent(found: Found) -> Found:
    return {
        name: (100 * value, (100 * low, 100 * high)) for name, (value, (low, high)) in found.items()
    }


def _plain(found: Found) -> dict[str, Any]:
    return {
        name: {"value": value, "interval": list(edges)} for name, (value, edges) in found.items()
    }
