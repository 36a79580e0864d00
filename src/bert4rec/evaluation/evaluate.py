"""Scores to places, places to a report. Users go by in pieces: nothing of size users × items is ever held.

Legend: B users of a piece, C cases, V item rows, K list length, R rating levels, S bins of probability, Q counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.beyond_accuracy import ItemTraits, beyond_accuracy_metrics, item_traits
from bert4rec.evaluation.calibration import (
    calibration_metrics,
    count_in_bins,
    interval_metrics,
    no_counts,
    reliability_of,
)
from bert4rec.evaluation.intervals import LEVEL, RESAMPLES, mean_and_interval
from bert4rec.evaluation.metrics import rank_metrics, rating_metrics
from bert4rec.evaluation.report import Report
from bert4rec.evaluation.slices import bands, slices
from bert4rec.ids import PAD
from bert4rec.retrieval.candidates import EXCLUDED, candidate_scores
from bert4rec.retrieval.ranking import rank_of, top_k
from bert4rec.retrieval.scorers import RatingScorer, Scorer

LISTED = 10
ERROR_DIGITS = 6
"""Of a squared rating error: what is below differs between two ways to add the same numbers."""


def evaluate(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    *,
    subset: Subset = "test",
    request_time: bool = True,
    batch_size: int = 64,
    seed: int = 0,
) -> Report:
    """Asks the scorer every case of a split, over the whole catalogue, the user's whole history filtered.

    With `request_time` the scorer knows when it is asked (the target's time). `seed` is that of the bootstrap.
    """
    cases = split.cases(subset)
    if not len(cases):
        raise DataError(
            f"{dataset.name}: split {split.name!r} has no {subset} cases; nobody can be asked"
        )
    traits, listed_V = item_traits(dataset, split), np.zeros(dataset.item_rows, dtype=bool)
    answers = []
    for piece in cases.batches(batch_size):
        answers.append(_ask(scorer, dataset, piece, request_time, traits))
        listed_V[answers[-1].listed] = True
    rank_C = np.concatenate([answer.rank_B for answer in answers])
    value_C = {
        name: np.concatenate([answer.values[name] for answer in answers])
        for name in answers[0].values
    }
    found = mean_and_interval({**rank_metrics(rank_C), **value_C}, seed)
    reliability = reliability_of(
        np.sum([answer.count_QRS for answer in answers], axis=0), dataset.rating_levels
    )
    return Report(
        name=scorer.name,
        metrics={
            **{name: mean for name, (mean, _) in found.items()},
            **calibration_metrics(reliability),
            "coverage@10": float(listed_V.sum() / dataset.num_items),
        },
        intervals={name: interval for name, (_, interval) in found.items()},
        protocol=protocol_of(
            dataset, split, subset, request_time and can_know_the_time(scorer, dataset), seed
        ),
        slices=slices(dataset, split, cases, rank_C),
        rank_C=rank_C,
        band_C=bands(dataset, split, cases),
        reliability=reliability,
        squared_error_C=value_C["rating_rmse"].round(ERROR_DIGITS)
        if "rating_rmse" in value_C
        else None,
    )


def evaluate_rows(
    scorer: Scorer,
    dataset: PreparedDataset,
    split: Split,
    subset: Subset,
    batch_size: int = 64,
) -> dict[str, Report]:
    """The reports of a model, the request time known first; unknown alone where data or model do without."""
    known = {"request_time_on": True} if can_know_the_time(scorer, dataset) else {}
    return {
        row: evaluate(
            scorer, dataset, split, subset=subset, request_time=request_time, batch_size=batch_size
        )
        for row, request_time in {**known, "request_time_off": False}.items()
    }


def can_know_the_time(scorer: Scorer, dataset: PreparedDataset) -> bool:
    """Whether there is a time to know and the scorer reads it: a network may have been trained without."""
    return dataset.has_times and getattr(scorer, "reads_request_time", True)


@dataclass(frozen=True)
class _Answers:
    """What is kept of a piece."""

    rank_B: Ints
    values: Mapping[str, Floats]
    """Every other metric's `[B]`, by name."""
    listed: Ints
    """The items in anybody's list."""
    count_QRS: Floats
    """How often which rating level was given which probability, and came (`count_in_bins`)."""


def _ask(
    scorer: Scorer, dataset: PreparedDataset, piece: Cases, request_time: bool, traits: ItemTraits
) -> _Answers:
    histories = piece.histories(dataset, request_time)
    target_B = torch.from_numpy(dataset.item_N[piece.target_C].astype(np.int64))
    score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
    best_BK, score_BK = top_k(score_BV, min(LISTED, dataset.num_items))
    item_BK: Ints = (
        best_BK.where(score_BK > EXCLUDED, PAD).cpu().numpy()
    )  # who has seen nearly everything gets a short list
    values, count_QRS = beyond_accuracy_metrics(item_BK, traits), no_counts()
    if isinstance(scorer, RatingScorer) and scorer.predicts_ratings and len(dataset.rating_levels):
        likely_BR = scorer.rating_distribution(histories, target_B).cpu().numpy()
        rating_B = np.asarray(dataset.rating_N[piece.target_C])
        values |= rating_metrics(likely_BR @ dataset.rating_levels - true_ratings(dataset, piece))
        values |= interval_metrics(likely_BR, rating_B)
        count_QRS = count_in_bins(likely_BR, rating_B)
    rank_B = rank_of(score_BV, target_B.to(score_BV.device)).cpu().numpy()
    return _Answers(rank_B, values, item_BK[item_BK != PAD], count_QRS)


def true_ratings(dataset: PreparedDataset, cases: Cases) -> Floats:
    """The rating of each target, NaN where it has none."""
    row_C = np.asarray(dataset.rating_N[cases.target_C]).astype(np.int64)
    return np.append(np.nan, dataset.rating_levels)[row_C]  # row 0 is NO_RATING


def protocol_of(
    dataset: PreparedDataset, split: Split, subset: Subset, request_time: bool, seed: int
) -> dict[str, str | int | bool]:
    """Everything that a number depends on besides the model."""
    cases = split.cases(subset)
    ties = {"event_ties": dataset.ties} if dataset.ties != "file" else {}
    return {
        "dataset": dataset.name,
        "dataset_checksum": dataset.checksum,
        "split": split.name,
        "split_checksum": split.checksum,
        "subset": subset,
        "users": len(cases),
        "items": dataset.num_items,
        "candidates": f"all {dataset.num_items} items",
        "filter": "the user's whole history",
        "ties": "against the model",
        **ties,
        "request_time": request_time,
        "intervals": f"{LEVEL:.0%} bootstrap over users, {RESAMPLES} resamples, seed {seed}",
    }
