"""`compare`: paired differences of two reports on the same users, with intervals and p-values.

Pairing users is far less noisy than setting the intervals of two reports side by side.

Legend: C cases (users), Y sign flips.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bert4rec.data.arrays import Floats, Mask
from bert4rec.errors import DataError
from bert4rec.evaluation.intervals import difference_estimates
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.protocol import REQUEST_TIME
from bert4rec.evaluation.report import Report
from bert4rec.evaluation.slices import paired_parts
from bert4rec.result_tables import Cell, Estimate, Table, to_plain

COMPARED = ("hit@10", "ndcg@10")
"""Ranking metrics of comparisons and studies."""
MUST_AGREE = (
    "dataset_checksum",
    "split_checksum",
    "subset",
    "users",
    "candidates",
    "filter",
    "ties",
)
SIGN_FLIPS = 10_000
_SIGNS_AT_ONCE = 2**22
"""Users times sign flips drawn at once; bounds the memory."""


@dataclass(frozen=True)
class PairedDifferences:
    """Differences of metrics, first minus second, on the same users."""

    users: int
    difference: Mapping[str, Estimate]
    p_value: Mapping[str, float]
    """By metric, of the two-sided paired sign-flip test."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "users": self.users,
            "difference": to_plain(self.difference),
            "p_value": dict(self.p_value),
        }


@dataclass(frozen=True)
class Comparison:
    """Differences of two reports, first minus second: above zero the first is better.

    For `rating_rmse` it is the other way round.
    """

    first: str
    second: str
    difference: Mapping[str, Estimate]
    p_value: Mapping[str, float]
    """By metric, of the two-sided paired sign-flip test."""
    protocol: Mapping[str, Any]
    """Protocol of both; where only one knew the request time, `request_time` says which.

    Features may differ: `features_checksum` then names both.
    """
    slices: Mapping[str, PairedDifferences] = field(default_factory=dict)
    """Differences on parts of the users, by the part's name."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "first": self.first,
            "second": self.second,
            "difference": to_plain(self.difference),
            "p_value": dict(self.p_value),
            "protocol": dict(self.protocol),
            "slices": {name: part.to_dict() for name, part in self.slices.items()},
        }

    def table(self) -> Table:
        """One row for each metric."""
        rows: list[list[Cell]] = [
            [metric, estimate, self.p_value[metric]] for metric, estimate in self.difference.items()
        ]
        return Table(
            f"{self.first} minus {self.second}", ["metric", "difference", "p"], rows, signed=True
        )

    def slice_table(self) -> Table:
        """One row for each part of the users; no value where a part has no ratings to compare."""
        rows: list[list[Cell]] = [
            [name, part.users, *map(part.difference.get, self.difference)]
            for name, part in self.slices.items()
        ]
        return Table("", ["part", "users", *self.difference], rows, signed=True)


def compare(first: Report, second: Report, seed: int = 0) -> Comparison:
    """Paired differences of Hit@10, NDCG@10 and, where both rate, the rating RMSE.

    They are given for all users and for parts of them, by the bands of whichever report has bands.
    One report may know the request time and the other not; the protocol then says so.

    Raises DataError where the reports are not of the same cases.
    """
    _check_same_cases(first, second)
    first_C, second_C = _compared_columns(first), _compared_columns(second)
    whole = paired_differences(first_C, second_C, seed)
    masks = paired_parts(first.slices, first.band_C) or paired_parts(second.slices, second.band_C)
    return Comparison(
        first.name,
        second.name,
        whole.difference,
        whole.p_value,
        protocol=_joint_protocol(first, second),
        slices={
            name: paired_differences(_selected(first_C, mask_C), _selected(second_C, mask_C), seed)
            for name, mask_C in masks.items()
        },
    )


def _check_same_cases(first: Report, second: Report) -> None:
    for part in MUST_AGREE:
        if first.protocol[part] != second.protocol[part]:
            raise DataError(
                f"{first.name} and {second.name} cannot be compared: "
                f"their {part.replace('_', ' ')} differ "
                f"({first.protocol[part]} and {second.protocol[part]}); "
                "evaluate both on the same data and split"
            )


def _joint_protocol(first: Report, second: Report) -> dict[str, Any]:
    known, other = (REQUEST_TIME[report.protocol["request_time"]] for report in (first, second))
    protocol = dict(first.protocol)
    features, others = (report.protocol.get("features_checksum") for report in (first, second))
    if features != others:
        protocol["features_checksum"] = f"{features} of the first and {others} of the second"
    if known != other:
        protocol["request_time"] = f"{known} to the first and {other} to the second"
    return protocol


def _compared_columns(report: Report) -> dict[str, Floats]:
    """Compared metrics of each case."""
    metrics = compared_metrics(report.rank_C)
    if report.squared_error_C is not None:
        metrics["rating_rmse"] = report.squared_error_C
    return metrics


def compared_metrics(rank_C: Any) -> dict[str, Floats]:
    """Hit@10 and NDCG@10 of each case."""
    metrics = rank_metrics(rank_C)
    return {metric: metrics[metric] for metric in COMPARED}


def _selected(column_C: Mapping[str, Floats], mask_C: Mask) -> dict[str, Floats]:
    return {metric: values[mask_C] for metric, values in column_C.items()}


def paired_differences(
    first_C: Mapping[str, Floats], second_C: Mapping[str, Floats], seed: int = 0
) -> PairedDifferences:
    """Difference, interval and p-value of each metric that both have."""
    shared = [metric for metric in first_C if metric in second_C]
    difference = difference_estimates(
        {metric: first_C[metric] for metric in shared}, second_C, seed
    )
    p_value = {
        metric: sign_flip_p_value(first_C[metric] - second_C[metric], seed) for metric in difference
    }
    return PairedDifferences(len(next(iter(first_C.values()))), difference, p_value)


def sign_flip_p_value(gain_C: Floats, seed: int = 0) -> float:
    """Share of random sign flips whose sum is at least as far from 0 as the observed sum.

    This is the paired randomisation test (Fisher 1935). Users without a difference, or with an
    unknown one (NaN), do not matter. For squared errors it tests the RMSE too: a flip swaps the
    errors of the two models and keeps their sum, so a larger difference of means is a larger
    difference of roots. The least p-value is 1 / 10,001.
    """
    gain_C = gain_C[(gain_C != 0) & ~np.isnan(gain_C)]
    if not len(gain_C):
        return 1.0
    random = np.random.default_rng(seed)
    # A flip that gives the same sum may add it up in another order.
    observed = abs(gain_C.sum()) * (1 - 1e-12)
    at_once = max(1, _SIGNS_AT_ONCE // len(gain_C))
    extreme = 0
    for first in range(0, SIGN_FLIPS, at_once):
        shape = min(at_once, SIGN_FLIPS - first), len(gain_C)
        sign_YC = random.integers(0, 2, shape, dtype=np.int8) * 2 - 1
        extreme += int((np.abs(sign_YC @ gain_C) >= observed).sum())
    return (extreme + 1) / (SIGN_FLIPS + 1)
