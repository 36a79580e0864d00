"""`evaluate`: from a scorer's scores to ranks, and from ranks to a report.

Users go by in batches; nothing of size users × items is ever held.

Legend: B users of a batch, C cases, V item rows, K items of a list, R rating levels, Z bins of
probability, X three counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Cases, Split, Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.beyond_accuracy import ItemTraits, beyond_accuracy_metrics, item_traits
from bert4rec.evaluation.calibration import (
    calibration_metrics,
    count_in_bins,
    no_counts,
    reliability_table,
)
from bert4rec.evaluation.columns import joined
from bert4rec.evaluation.intervals import mean_estimates
from bert4rec.evaluation.metrics import rank_metrics, rating_metrics
from bert4rec.evaluation.protocol import protocol_of, uses_request_time
from bert4rec.evaluation.rating_intervals import interval_metrics
from bert4rec.evaluation.report import Report
from bert4rec.evaluation.slices import bands, slices
from bert4rec.ids import PAD
from bert4rec.result_tables import Estimate
from bert4rec.retrieval.candidates import candidate_scores
from bert4rec.retrieval.ranking import rank_of, top_candidates
from bert4rec.retrieval.scorers import RatingScorer, Scorer

LIST_LENGTH = 10
ERROR_DIGITS = 6
"""Digits of a stored squared error; later ones depend on the order of summation."""


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
    """Report of a scorer on every case of a subset, over the whole catalogue.

    The user's whole history is filtered. With `request_time` the scorer knows the time of the
    request, which is the target's. `seed` is that of the bootstrap.

    Raises DataError for a subset without cases.
    """
    cases = cases_of(dataset, split, subset)
    traits = item_traits(dataset, split)
    listed_V = np.zeros(dataset.item_rows, dtype=bool)
    results = []
    for batch in cases.batches(batch_size):
        result = _evaluate_batch(scorer, dataset, batch, request_time, traits)
        listed_V[result.listed] = True
        results.append(result)
    rank_C = np.concatenate([result.rank_B for result in results])
    value_C = joined([result.values for result in results])
    counts = np.sum([result.count_XRZ for result in results], axis=0)
    reliability = reliability_table(counts, dataset.rating_levels)
    catalogue_coverage = float(listed_V.sum() / dataset.num_items)
    without_interval = {**calibration_metrics(reliability), "coverage@10": catalogue_coverage}
    knows_time = request_time and uses_request_time(scorer, dataset)
    return Report(
        name=scorer.name,
        metrics={
            **mean_estimates({**rank_metrics(rank_C), **value_C}, seed),
            **{name: Estimate(value) for name, value in without_interval.items()},
        },
        protocol=protocol_of(dataset, split, subset, knows_time, seed),
        slices=slices(dataset, split, cases, rank_C),
        rank_C=rank_C,
        band_C=bands(dataset, split, cases),
        reliability=reliability,
        squared_error_C=_stored_errors(value_C),
    )


def evaluate_by_request_time(
    scorer: Scorer, dataset: PreparedDataset, split: Split, subset: Subset, batch_size: int = 64
) -> dict[str, Report]:
    """Reports of a model with the request time known, first, and unknown.

    There is only the second where the data or the model has no request times.
    """
    known = {"request_time_on": True} if uses_request_time(scorer, dataset) else {}
    return {
        row: evaluate(
            scorer,
            dataset,
            split,
            subset=subset,
            request_time=request_time,
            batch_size=batch_size,
        )
        for row, request_time in {**known, "request_time_off": False}.items()
    }


def cases_of(dataset: PreparedDataset, split: Split, subset: Subset) -> Cases:
    """Cases of a subset. Raises DataError where there is none."""
    cases = split.cases(subset)
    if not len(cases):
        raise DataError(
            f"{dataset.name}: split {split.name!r} has no {subset} cases; "
            "there is nothing to evaluate"
        )
    return cases


def target_items(dataset: PreparedDataset, cases: Cases) -> Tensor:
    """Item rows `[C]` of the targets."""
    return torch.from_numpy(dataset.item_N[cases.target_C].astype(np.int64))


def true_ratings(dataset: PreparedDataset, cases: Cases) -> Floats:
    """Rating of each target, NaN where it has none."""
    row_C = np.asarray(dataset.rating_N[cases.target_C]).astype(np.int64)
    # Row 0 is NO_RATING.
    return np.append(np.nan, dataset.rating_levels)[row_C]


@dataclass(frozen=True)
class _BatchResult:
    """Figures kept of one batch."""

    rank_B: Ints
    values: Mapping[str, Floats]
    """Every other metric's `[B]`, by name."""
    listed: Ints
    """Items in anybody's list."""
    count_XRZ: Floats
    """Counts of predicted probabilities, as `count_in_bins` makes them."""


def _evaluate_batch(
    scorer: Scorer, dataset: PreparedDataset, cases: Cases, request_time: bool, traits: ItemTraits
) -> _BatchResult:
    histories = cases.histories(dataset, request_time)
    target_B = target_items(dataset, cases)
    score_BV = candidate_scores(scorer, histories, seen=histories, target_B=target_B)
    item_BK = top_candidates(score_BV, min(LIST_LENGTH, dataset.num_items))[0].cpu().numpy()
    values, count_XRZ = beyond_accuracy_metrics(item_BK, traits), no_counts()
    if isinstance(scorer, RatingScorer) and scorer.predicts_ratings and len(dataset.rating_levels):
        rating_values, count_XRZ = _rating_metrics(scorer, dataset, cases, histories, target_B)
        values |= rating_values
    rank_B = rank_of(score_BV, target_B.to(score_BV.device)).cpu().numpy()
    return _BatchResult(rank_B, values, item_BK[item_BK != PAD], count_XRZ)


def _rating_metrics(
    scorer: RatingScorer,
    dataset: PreparedDataset,
    cases: Cases,
    histories: Histories,
    target_B: Tensor,
) -> tuple[dict[str, Floats], Floats]:
    """Errors and intervals of the predicted ratings, and the counts of their probabilities."""
    probability_BR = scorer.rating_distribution(histories, target_B).cpu().numpy()
    rating_B = np.asarray(dataset.rating_N[cases.target_C])
    error_B = probability_BR @ dataset.rating_levels - true_ratings(dataset, cases)
    metrics = {**rating_metrics(error_B), **interval_metrics(probability_BR, rating_B)}
    return metrics, count_in_bins(probability_BR, rating_B)


def _stored_errors(value_C: Mapping[str, Floats]) -> Floats | None:
    error_C = value_C.get("rating_rmse")
    return None if error_C is None else error_C.round(ERROR_DIGITS)
