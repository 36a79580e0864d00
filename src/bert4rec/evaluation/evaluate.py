"""Scores to places, places to a report. Users go by in pieces: nothing of size users × items is ever held.

Legend: B users of a piece, C cases, V item rows, K list length, R rating levels, M values an item may have.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.histories import Histories, Ints
from bert4rec.data.prepared import Kind, PreparedDataset
from bert4rec.data.splits import Cases, Split, training_counts
from bert4rec.errors import DataError
from bert4rec.evaluation.intervals import LEVEL, RESAMPLES, bootstrap
from bert4rec.evaluation.metrics import Floats, list_metrics, place_metrics
from bert4rec.evaluation.report import Report
from bert4rec.evaluation.slices import slices
from bert4rec.ids import NO_RATING
from bert4rec.ranking import exclude, rank_of, top_k

LISTED = 10


class Scorer(Protocol):
    """Whatever can say how well each item would come next: a network, a counting rule, an ensemble."""

    name: str

    def score(self, histories: Histories) -> Tensor:
        """Scores `[B, item rows]`, higher is better; the columns of PAD and MASK mean nothing."""


@runtime_checkable
class RatingScorer(Protocol):
    """A scorer that may also predict the rating of a known item."""

    @property
    def rates(self) -> bool:
        """Whether it does."""

    def rating_distribution(self, histories: Histories, item_B: Tensor) -> Tensor:
        """How likely each rating level is, `[B, R]`."""


def place_of_target(scorer: Scorer, histories: Histories, target_B: Tensor) -> Ints:
    """The place `[B]` of each target among all items the user has not seen, from 1; ties count against the scorer.

    A target that was seen before stays a candidate: the question is where it stands, not whether it may be asked.
    """
    return rank_of(_candidate_scores(scorer, histories, target_B), target_B).numpy()


def _candidate_scores(scorer: Scorer, histories: Histories, target_B: Tensor) -> Tensor:
    score_BV = scorer.score(histories).cpu()
    if score_BV.isnan().any():
        raise DataError(f"{scorer.name}: scored NaN; its training has diverged, lower the learning rate")
    own_B1 = score_BV.gather(1, target_B[:, None])
    exclude(score_BV, torch.from_numpy(histories.row_N), torch.from_numpy(histories.item_N.astype(np.int64)))
    return score_BV.scatter_(1, target_B[:, None], own_B1)


@dataclass
class _Seen:
    """What the pieces leave behind."""

    place: list[Ints] = field(default_factory=list)
    listed: list[Ints] = field(default_factory=list)
    rating: list[Floats] = field(default_factory=list)


def evaluate(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    cases: Literal["validation", "test"] = "test",
    request_time: bool = True,
    batch_size: int = 256,
    seed: int = 0,
) -> Report:
    """Asks the scorer every case of a split, over the whole catalogue, the user's whole history filtered.

    With `request_time` the scorer knows when it is asked (the target's time). `seed` is that of the bootstrap.
    """
    asked: Cases = getattr(split, cases)
    seen = _Seen()
    for piece in asked.pieces(batch_size):
        _ask(scorer, dataset, piece, request_time, seen)
    place_C, listed_CK = np.concatenate(seen.place), np.concatenate(seen.listed)
    values = {**place_metrics(place_C), **list_metrics(listed_CK, _share(dataset, split), _first_multi(dataset))}
    metrics = {name: float(value_C.mean()) for name, value_C in values.items()}
    metrics["coverage@10"] = len(np.unique(listed_CK)) / dataset.num_items
    intervals = bootstrap(values, seed)
    if seen.rating:
        error_C = np.concatenate(seen.rating) - _true_rating(dataset, asked)
        rating_metrics, rating_intervals = rating_errors(error_C, seed)
        metrics |= rating_metrics
        intervals |= rating_intervals
    protocol = protocol_of(dataset, split, cases, len(asked), request_time and dataset.has_times, seed)
    return Report(scorer.name, metrics, intervals, protocol, slices(dataset, split, asked, place_C), place_C)


def _ask(scorer: Scorer, dataset: PreparedDataset, piece: Cases, request_time: bool, seen: _Seen) -> None:
    histories = piece.histories(dataset, request_time)
    target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
    score_BV = _candidate_scores(scorer, histories, target_B)
    seen.place.append(rank_of(score_BV, target_B).numpy())
    seen.listed.append(top_k(score_BV, min(LISTED, dataset.num_items))[0].numpy())
    if isinstance(scorer, RatingScorer) and scorer.rates and len(dataset.rating_levels):
        likely_BR = scorer.rating_distribution(histories, target_B).cpu().numpy()
        seen.rating.append(likely_BR @ dataset.rating_levels)


def rating_errors(error_C: Floats, seed: int = 0) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """RMSE and MAE of rating errors with their intervals; NaN where there was no rating."""
    if np.isnan(error_C).all():
        return {}, {}
    values = {"rating_rmse": error_C**2, "rating_mae": np.abs(error_C)}
    metrics = {"rating_rmse": float(np.nanmean(values["rating_rmse"]) ** 0.5)}
    metrics["rating_mae"] = float(np.nanmean(values["rating_mae"]))
    return metrics, bootstrap(values, seed, {"rating_rmse": np.sqrt})


def _true_rating(dataset: PreparedDataset, asked: Cases) -> Floats:
    row_C = np.asarray(dataset.rating_N[asked.target_C])
    return np.where(row_C == NO_RATING, np.nan, dataset.rating_levels[np.maximum(row_C, 1) - 1])


def _share(dataset: PreparedDataset, split: Split) -> Floats:
    """The share of users who have each item in training, by item row."""
    return training_counts(dataset, split) / max(1, dataset.num_users)


def _first_multi(dataset: PreparedDataset) -> Ints | None:
    tables = [np.asarray(table) for feature, table in dataset.item_features.values() if feature.kind is Kind.MULTI]
    return tables[0] if tables else None


def protocol_of(
    dataset: PreparedDataset, split: Split, cases: str, users: int, request_time: bool, seed: int
) -> dict[str, str | int | bool]:
    """Everything that a number depends on besides the model."""
    return {
        "dataset": dataset.name,
        "dataset_checksum": dataset.checksum,
        "split": split.name,
        "split_checksum": split.checksum,
        "cases": cases,
        "users": users,
        "candidates": f"all {dataset.num_items} items",
        "filter": "the user's whole history",
        "ties": "against the model",
        "request_time": request_time,
        "intervals": f"{LEVEL:.0%} bootstrap over users, {RESAMPLES} resamples, seed {seed}",
    }
