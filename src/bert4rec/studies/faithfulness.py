"""Faithfulness of explanations: effect of removing the most important events.

For each user the top recommendation is explained, and for K = 1 … 5

| | is | better |
|---|---|---|
| DEL@K | the item's likelihood without the K most important events | lower |
| INS@K | its likelihood with those K events alone | higher |
| POS@K | the share of users who keep it among their first 5 without them | lower |
| NEG@K | the same without the K least important events | higher |

beside random events, the most recent ones, and those of integrated gradients where Captum is
installed (Barkan et al. 2024 for recommenders; deletion and insertion after Petsiuk et al. 2018).
Explanations must also depend on the model: with the entries of every weight shuffled they must
differ (Adebayo et al. 2018, "Sanity Checks for Saliency Maps").

Legend: C cases (users), B the one user of a history, V item rows, N events of one history, K events
removed or kept, X variants of one history.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, Self

import numpy as np
import torch
from scipy.stats import spearmanr

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, Subset
from bert4rec.evaluation.columns import merged
from bert4rec.evaluation.evaluate import cases_of
from bert4rec.evaluation.intervals import difference_estimates, mean_estimates
from bert4rec.evaluation.protocol import REQUEST_TIME, uses_request_time
from bert4rec.explanation.attribution import Attribution, SequenceScorer, attribute
from bert4rec.explanation.integrated_gradients import integrated_gradients
from bert4rec.explanation.variants import (
    keep_events,
    leave_out_events,
    score_item,
)
from bert4rec.model.scorer import NetworkScorer
from bert4rec.result_tables import Estimate, Table, to_plain
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import top_k
from bert4rec.retrieval.scorers import Scorer
from bert4rec.studies.progress import Progress, no_progress

EVENT_COUNTS = (1, 2, 3, 4, 5)
"""Values of K."""
LIST_LENGTH = 5
"""Items of the list that POS and NEG look for the item in."""
MEASURES = {
    "DEL": "the item's likelihood without the K most important events",
    "INS": "its likelihood with those K events alone",
    "POS": f"share of users who keep it among their first {LIST_LENGTH} without them",
    "NEG": "the same without the K least important events",
}
LEAVE_ONE_OUT, GRADIENTS = "leave-one-out", "integrated gradients"
RANDOM, RECENT = "random", "most recent"
SHUFFLED_USERS = 50
TIMED_USERS = 5

Metrics = Mapping[str, Estimate]


class ExplainableScorer(SequenceScorer, Protocol):
    """Sequence scorer whose weights can be shuffled."""

    def with_shuffled_weights(self, seed: int) -> Self:
        """Scorer with the entries of each weight in another order."""


@dataclass(frozen=True)
class Faithfulness:
    """Measures of explanations and their controls."""

    users: int
    request_time: bool
    likelihood: float
    """Mean likelihood of the explained items with all events; DEL falls from it."""
    values: Mapping[str, Metrics]
    """By explainer and measure: `DEL@1` … `DEL@5`, and `DEL` as the mean of the five."""
    differences: Mapping[str, Metrics]
    """Leave-one-out minus each other explainer, paired by user."""
    shuffled: Estimate
    """Spearman correlation with the effects under shuffled weights; 1 ignores the model."""
    passes: float
    """Median cost of an explanation of the longest histories, in forward passes of as many."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "users": self.users,
            "request_time": self.request_time,
            "likelihood": self.likelihood,
            "explainers": to_plain(self.values),
            "differences": to_plain(self.differences),
            "shuffled_weights": self.shuffled.to_dict(),
            "forward_passes": self.passes,
        }

    def tables(self) -> list[Table]:
        """One table for each measure; the last one has the note."""
        tables = [self._table(measure) for measure in MEASURES]
        last = tables[-1]
        return [*tables[:-1], Table(last.title, last.columns, last.rows, note=self._note())]

    def _table(self, measure: str) -> Table:
        columns = [*(f"{measure}@{k}" for k in EVENT_COUNTS), measure]
        lines = dict(self.values)
        for name, difference in self.differences.items():
            lines[f"{LEAVE_ONE_OUT} − {name}"] = difference
        rows = [[name, *map(found.get, columns)] for name, found in lines.items()]
        return Table(f"{measure}: {MEASURES[measure]}", ["events", *columns[:-1], "mean"], rows)

    def _note(self) -> str:
        return (
            f"{self.users} users, request time {REQUEST_TIME[self.request_time]}; "
            f"likelihood with all events: {self.likelihood:.3f}. Rank correlation of the effects "
            f"with those under shuffled weights: {self.shuffled.with_margin('.3f')}. "
            f"An explanation takes {self.passes:.1f} forward passes of as many histories."
        )


def faithfulness(
    scorer: ExplainableScorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    users: int,
    subset: Subset = "test",
    seed: int = 0,
    progress: Progress = no_progress,
) -> Faithfulness:
    """Faithfulness of the explanations of so many users' top recommendation.

    The request time is known where data and model have it. `seed` is that of the choice of users,
    of the random events and of the bootstrap.
    """
    random = np.random.default_rng(seed)
    cases = cases_of(dataset, split, subset)
    chosen_C = random.choice(len(cases), min(users, len(cases)), replace=False)
    request_time = uses_request_time(scorer, dataset)
    histories = cases[np.sort(chosen_C)].histories(dataset, request_time)
    shuffled = scorer.with_shuffled_weights(seed)
    results: list[_CaseResult] = []
    for history in progress(_one_by_one(histories), len(histories)):
        other = shuffled if len(results) < SHUFFLED_USERS else None
        results.append(_explain_case(scorer, other, history, random))
    columns = {name: _columns(results, name) for name in results[0].measures}
    correlation_C = np.array([result.correlation for result in results[:SHUFFLED_USERS]])
    correlation = mean_estimates({"rank correlation": correlation_C}, seed)
    return Faithfulness(
        users=len(results),
        request_time=request_time,
        likelihood=float(np.mean([result.likelihood for result in results])),
        values={name: mean_estimates(column, seed) for name, column in columns.items()},
        differences={
            name: difference_estimates(columns[LEAVE_ONE_OUT], column, seed)
            for name, column in columns.items()
            if name != LEAVE_ONE_OUT
        },
        shuffled=correlation.get("rank correlation", Estimate(np.nan)),
        passes=_forward_passes(scorer, histories),
    )


@dataclass(frozen=True)
class _CaseResult:
    """Figures of one user."""

    likelihood: float
    measures: Mapping[str, Mapping[str, float]]
    """By explainer and measure."""
    correlation: float
    """Rank correlation with the effects under shuffled weights; NaN where not measured."""


def _explain_case(
    scorer: ExplainableScorer,
    shuffled: ExplainableScorer | None,
    history: Histories,
    random: np.random.Generator,
) -> _CaseResult:
    item = top_item(scorer, history)
    attribution = attribute(scorer, history, item)
    events = len(attribution.position_N)
    orders = {
        LEAVE_ONE_OUT: attribution.order_N,
        RANDOM: random.permutation(events),
        RECENT: np.arange(events)[::-1],
    }
    if isinstance(scorer, NetworkScorer) and find_spec("captum") is not None:
        gradient_N = integrated_gradients(scorer, history, item)
        orders[GRADIENTS] = np.argsort(-gradient_N, kind="stable")
    positions = {name: attribution.position_N[order_N] for name, order_N in orders.items()}
    likelihood, measures = _measures(scorer, history, item, positions)
    correlation = np.nan
    if shuffled is not None:
        other = attribute(shuffled, history, item)
        correlation = _rank_correlation(attribution, other)
    return _CaseResult(likelihood, measures, correlation)


def top_item(scorer: Scorer, history: Histories) -> int:
    """Best unseen item of one user."""
    score_BV = scorer.score(history).cpu()
    seen_N = torch.from_numpy(history.item_N.astype(np.int64))
    item_BK, _ = top_k(exclude(score_BV, torch.zeros_like(seen_N), seen_N), 1)
    return int(item_BK[0, 0])


def _measures(
    scorer: Scorer, history: Histories, item: int, orders: Mapping[str, Ints]
) -> tuple[float, dict[str, dict[str, float]]]:
    """Likelihood with all events, and the measures of each explainer's order, for one user."""
    variants = [history]
    for order_N in orders.values():
        variants += [leave_out_events(history, order_N[:k]) for k in EVENT_COUNTS]
        variants += [keep_events(history, order_N[:k]) for k in EVENT_COUNTS]
        variants += [leave_out_events(history, _last(order_N, k)) for k in EVENT_COUNTS]
    scores = score_item(scorer.score, variants, history.item_N, item)
    likelihood_X = np.exp(scores.log_likelihood_X)
    is_listed_X = (scores.rank_X <= LIST_LENGTH).astype(float)
    measures, first = {}, 1
    for name in orders:
        without, alone, without_last = (
            slice(first + step * len(EVENT_COUNTS), first + (step + 1) * len(EVENT_COUNTS))
            for step in range(3)
        )
        value_K = [
            likelihood_X[without],
            likelihood_X[alone],
            is_listed_X[without],
            is_listed_X[without_last],
        ]
        measures[name] = _by_measure(value_K)
        first = without_last.stop
    return float(likelihood_X[0]), measures


def _last(order_N: Ints, k: int) -> Ints:
    return order_N[max(0, len(order_N) - k) :]


def _by_measure(value_K: Sequence[Floats]) -> dict[str, float]:
    """Each measure at every K, and its mean."""
    found = {}
    for measure, of_measure_K in zip(MEASURES, value_K, strict=True):
        found[measure] = float(np.mean(of_measure_K))
        for k, value in zip(EVENT_COUNTS, of_measure_K, strict=True):
            found[f"{measure}@{k}"] = float(value)
    return found


def _columns(results: Sequence[_CaseResult], explainer: str) -> dict[str, Floats]:
    """Every measure of one explainer `[C]`."""
    return merged(np.array, [result.measures[explainer] for result in results])


def _rank_correlation(first: Attribution, second: Attribution) -> float:
    """Spearman correlation of the effects; NaN for fewer than two events or equal effects."""
    effects = first.effect_N, second.effect_N
    if any(np.ptp(effect_N) == 0 if len(effect_N) else True for effect_N in effects):
        return float("nan")
    return float(spearmanr(*effects).statistic)


def _one_by_one(histories: Histories) -> Iterator[Histories]:
    for row in range(len(histories)):
        yield histories.take(np.array([row]))


def _forward_passes(scorer: SequenceScorer, histories: Histories) -> float:
    """Time of an explanation in passes over as many histories; median of the longest ones."""
    longest = np.argsort(-histories.length_B, kind="stable")[:TIMED_USERS]
    ratios = []
    for history in _one_by_one(histories.take(longest)):
        item = top_item(scorer, history)
        started = time.perf_counter()
        events = len(attribute(scorer, history, item).position_N)
        explained = time.perf_counter()
        score_item(scorer.score, [history] * (events + 1), history.item_N, item)
        ratios.append((explained - started) / (time.perf_counter() - explained))
    return float(np.median(ratios))
