"""How faithful explanations are: what becomes of a recommendation when the events that are said to carry it go.

Of each user's list the first item is explained, and for K = 1 … 5

| | is | better |
|---|---|---|
| DEL@K | the item's likelihood without the K most important events | lower |
| INS@K | its likelihood with those K events alone | higher |
| POS@K | the share of users who still have it among their first 5 without them | lower |
| NEG@K | the same without the K least important events | higher |

beside the same of events at random, of the most recent ones, and of those that gradients name, where Captum is
installed (Barkan et al. 2024 for recommenders; deletion and
insertion after Petsiuk et al. 2018). And explanations must be about what was learned: with the entries of every weight
shuffled they must be others (Adebayo et al. 2018, "Sanity Checks for Saliency Maps").

Legend: C users, E events, K 1 … 5.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Protocol, Self

import numpy as np
import torch

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, Subset
from bert4rec.evaluation.evaluate import can_know_the_time
from bert4rec.evaluation.intervals import difference_and_interval, mean_and_interval
from bert4rec.explanation.attribution import Reader, attribute, kept, left_out, measured
from bert4rec.explanation.integrated_gradients import integrated_gradients
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.candidates import exclude
from bert4rec.retrieval.ranking import top_k
from bert4rec.retrieval.scorers import Scorer

KS = (1, 2, 3, 4, 5)
LISTED = 5
"""Whoever is among so many is still in the list."""
MEASURES = {
    "DEL": "the item's likelihood without the K most important events",
    "INS": "its likelihood with those K events alone",
    "POS": f"share of users who still have it among their first {LISTED} without them",
    "NEG": "the same without the K least important events",
}
OURS, GRADIENTS, RANDOM, RECENT = "measured", "gradients", "at random", "most recent"
SHUFFLED_USERS = 50
TIMED_USERS = 5


class Explained(Reader, Protocol):
    """One whose weights can be shuffled."""

    def with_shuffled_weights(self, seed: int) -> Self:
        """Another one, with the entries of each weight in another order."""


@dataclass(frozen=True)
class Faithfulness:
    """What explanations and their controls reach, by explainer and `DEL@1` …; `DEL` is the mean of the five."""

    users: int
    request_time: bool
    likelihood: float
    """Of the explained items, with everything: what DEL falls from."""
    values: Mapping[str, Mapping[str, tuple[float, tuple[float, float]]]]
    minus: Mapping[str, Mapping[str, tuple[float, tuple[float, float]]]]
    """Ours minus each other, paired by user."""
    shuffled: tuple[float, tuple[float, float]]
    """Spearman's correlation of the effects with those under shuffled weights: 1 would be blind to the model."""
    passes: float
    """What an explanation of the longest histories costs, in forward passes of as many such histories; the median."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "users": self.users,
            "request_time": self.request_time,
            "likelihood": self.likelihood,
            "explainers": {name: _plain(found) for name, found in self.values.items()},
            "minus": {name: _plain(found) for name, found in self.minus.items()},
            "shuffled_weights": _plain({"rank correlation": self.shuffled})["rank correlation"],
            "forward_passes": self.passes,
        }


def _plain(found: Mapping[str, tuple[float, tuple[float, float]]]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": value, "interval": list(edges)} for name, (value, edges) in found.items()
    }


def faithfulness(
    scorer: Explained,
    dataset: PreparedDataset,
    split: Split,
    *,
    users: int,
    subset: Subset = "test",
    seed: int = 0,
    progress: Callable[[Iterator[Any], int], Iterator[Any]] = lambda steps, _: steps,
) -> Faithfulness:
    """Explains the first item of so many users' lists, and measures the explanations; the request time is known.

    `seed` is that of the choice of users, of the random events and of the bootstrap. `progress` wraps the users.
    """
    random = np.random.default_rng(seed)
    cases = split.cases(subset)
    chosen = cases[np.sort(random.choice(len(cases), min(users, len(cases)), replace=False))]
    request_time = can_know_the_time(scorer, dataset)
    histories = chosen.histories(dataset, request_time)
    shuffled = scorer.with_shuffled_weights(seed)
    network = (
        scorer if isinstance(scorer, NetworkScorer) and find_spec("captum") is not None else None
    )
    rows: dict[str, list[dict[str, float]]] = {}
    likelihoods, correlations = [], []
    for case in progress(iter(range(len(chosen))), len(chosen)):
        history = histories.take(np.array([case]))
        item = first_item(scorer, history)
        ours = attribute(scorer, history, item)
        E = len(ours.event_E)
        orders = {OURS: ours.order_E, RANDOM: random.permutation(E), RECENT: np.arange(E)[::-1]}
        if network is not None:
            orders[GRADIENTS] = np.argsort(
                -integrated_gradients(network, history, item), kind="stable"
            )
        likelihood, found = _curves(
            scorer, history, item, {name: ours.event_E[o] for name, o in orders.items()}
        )
        likelihoods.append(likelihood)
        for name, row in found.items():
            rows.setdefault(name, []).append(row)
        if case < SHUFFLED_USERS:
            correlations.append(
                _correlation(ours.effect_E, attribute(shuffled, history, item).effect_E)
            )
    columns = {
        name: {metric: np.array([row[metric] for row in found]) for metric in found[0]}
        for name, found in rows.items()
    }
    return Faithfulness(
        users=len(chosen),
        request_time=request_time,
        likelihood=float(np.mean(likelihoods)),
        values={name: mean_and_interval(column, seed) for name, column in columns.items()},
        minus={
            name: difference_and_interval(columns[OURS], columns[name], seed)
            for name in columns
            if name != OURS
        },
        shuffled=mean_and_interval({"it": np.array(correlations)}, seed).get(
            "it", (np.nan, (np.nan, np.nan))
        ),
        passes=_passes(scorer, histories),
    )


def first_item(scorer: Scorer, history: Histories) -> int:
    """The top of one user's list of what is unseen."""
    score_1V = scorer.score(history).cpu()
    seen_N = torch.from_numpy(history.item_N.astype(np.int64))
    item_11, _ = top_k(exclude(score_1V, torch.zeros_like(seen_N), seen_N), 1)
    return int(item_11[0, 0])


def _curves(
    scorer: Scorer, history: Histories, item: int, orders: Mapping[str, Ints]
) -> tuple[float, dict[str, dict[str, float]]]:
    """The likelihood with everything; and each order's measures, of one user."""
    variants = [history]
    for order_E in orders.values():
        variants += [left_out(history, order_E[:k]) for k in KS]
        variants += [kept(history, order_E[:k]) for k in KS]
        variants += [left_out(history, order_E[max(0, len(order_E) - k) :]) for k in KS]
    found = measured(scorer.score, variants, history.item_N, item)
    likely_X, listed_X = np.exp(found.log_likelihood_X), (found.rank_X <= LISTED).astype(float)
    pieces = np.split(np.arange(1, len(variants)), len(orders) * 3)
    rows = {}
    for number, name in enumerate(orders):
        without, alone, without_last = pieces[3 * number : 3 * number + 3]
        value_MK: list[Floats] = [
            likely_X[without],
            likely_X[alone],
            listed_X[without],
            listed_X[without_last],
        ]
        rows[name] = {
            **{
                measure: float(np.mean(value_K))
                for measure, value_K in zip(MEASURES, value_MK, strict=True)
            },
            **{
                f"{measure}@{k}": float(value)
                for measure, value_K in zip(MEASURES, value_MK, strict=True)
                for k, value in zip(KS, value_K, strict=True)
            },
        }
    return float(likely_X[0]), rows


def _correlation(one_E: Floats, other_E: Floats) -> float:
    """Spearman's: that of the ranks; NaN where all are equal."""
    ranks = [np.argsort(np.argsort(effect_E)) for effect_E in (one_E, other_E)]
    return float(np.asarray(np.corrcoef(ranks))[0, 1]) if len(one_E) > 1 else np.nan


def _passes(scorer: Reader, histories: Histories) -> float:
    """The time of an explanation by the time that as many whole histories take, of the longest ones."""
    ratios = []
    for case in np.argsort(-histories.length_B, kind="stable")[:TIMED_USERS]:
        history = histories.take(np.array([case]))
        item = first_item(scorer, history)
        started = time.perf_counter()
        found = attribute(scorer, history, item)
        explained = time.perf_counter()
        measured(scorer.score, [history] * (len(found.event_E) + 1), history.item_N, item)
        ratios.append((explained - started) / (time.perf_counter() - explained))
    return float(np.median(ratios))
