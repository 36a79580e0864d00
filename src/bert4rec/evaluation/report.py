"""`Report`: metrics with intervals and the protocol they were made by, as JSON and as Markdown; `compare`.

Two reports on the same users are compared case by case, which is far less noisy than setting their intervals side by
side. How the numbers come about is left to `evaluate`.

Legend: C cases (users), F sign flips.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bert4rec.data.arrays import Floats, Ints
from bert4rec.errors import DataError
from bert4rec.evaluation.calibration import Reliability
from bert4rec.evaluation.intervals import difference_and_interval
from bert4rec.evaluation.metrics import rank_metrics
from bert4rec.evaluation.slices import paired_parts
from bert4rec.files import write_atomically

COMPARED = ("hit@10", "ndcg@10")
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
_FLIPS_IN_PIECE = 2**22
_REQUEST_TIME = {True: "known", False: "unknown"}


@dataclass(frozen=True)
class Report:
    """What one scorer reached."""

    name: str
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """95 % by metric; coverage and calibration have none."""
    protocol: Mapping[str, Any]
    slices: Mapping[str, Sequence[Mapping[str, Any]]]
    rank_C: Ints
    """The place of each case's target, in the order of the split: what a paired comparison needs."""
    band_C: Mapping[str, Ints] = field(default_factory=dict)
    """By slice, the place of each case's part in `slices`; empty in files of reports that were written without."""
    reliability: Reliability = ()
    """How often rating levels came that were given a probability; empty where none was predicted."""
    squared_error_C: Floats | None = None
    """That of each case's predicted rating, NaN where the true one is unknown; None where none was predicted."""

    def to_dict(self, places: bool = False) -> dict[str, Any]:
        """Plain values for a JSON file; with `places`, enough to compare it with another report."""
        content: dict[str, Any] = {
            "name": self.name,
            "metrics": dict(self.metrics),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "protocol": dict(self.protocol),
            "slices": {name: [dict(part) for part in parts] for name, parts in self.slices.items()},
        }
        if self.reliability:
            content["reliability"] = [dict(row) for row in self.reliability]
        return {**content, **self._by_case()} if places else content

    def _by_case(self) -> dict[str, Any]:
        """What comparisons pair, as JSON has it: an unknown error is null."""
        columns: dict[str, Any] = {
            "places": np.asarray(self.rank_C).tolist(),
            "bands": {name: np.asarray(band_C).tolist() for name, band_C in self.band_C.items()},
        }
        if self.squared_error_C is not None:
            known_C = np.asarray(self.squared_error_C).tolist()
            columns["squared_errors"] = [None if np.isnan(error) else error for error in known_C]
        return columns

    def protocol_line(self) -> str:
        """The protocol in one line, to stand below a table."""
        return protocol_line(self.protocol)

    def to_markdown(self) -> str:
        """Every metric with its interval, every slice, and the protocol line."""
        metrics = [f"| {metric} | {with_interval(self, metric)} |" for metric in self.metrics]
        lines = [f"## {self.name}", "", "| metric | value |", "|---|---|", *metrics]
        for name, parts in self.slices.items():
            lines += ["", f"| {name} | users | hit@10 | ndcg@10 |", "|---|---|---|---|"]
            lines += [
                f"| {_cell(part)} | {part['hit@10']:.4f} | {part['ndcg@10']:.4f} |"
                for part in parts
            ]
        return "\n".join([*lines, "", self.protocol_line()])


def protocol_line(protocol: Mapping[str, Any]) -> str:
    """Dataset, split, candidates, filter, ties, request time and intervals in one line."""
    request_time = protocol["request_time"]
    order = f"order of ties: {protocol['event_ties']}, " if "event_ties" in protocol else ""
    return (
        f"{protocol['dataset']} (checksum {protocol['dataset_checksum']}), {order}{protocol['split']} "
        f"(checksum {protocol['split_checksum']}), {protocol['subset']}, {protocol['users']} users, "
        f"{protocol['candidates']} as candidates, filtered: {protocol['filter']}, ties {protocol['ties']}, "
        f"request time {_REQUEST_TIME.get(request_time, request_time)}, intervals: {protocol['intervals']}"
    )


def to_markdown(
    reports: Sequence[Report], metrics: Sequence[str] = ("hit@10", "ndcg@10", "mrr", "rating_rmse")
) -> str:
    """One table of several reports with the same protocol, the protocol line below it."""
    shown = [metric for metric in metrics if any(metric in report.metrics for report in reports)]
    lines = ["| model | " + " | ".join(shown) + " |", "|---" * (len(shown) + 1) + "|"]
    lines += [
        f"| {report.name} | " + " | ".join(with_interval(report, metric) for metric in shown) + " |"
        for report in reports
    ]
    return "\n".join([*lines, "", *dict.fromkeys(report.protocol_line() for report in reports)])


def _cell(part: Mapping[str, Any]) -> str:
    return f"{str(part['value']).replace('|', '/')} | {part['users']}"


def with_interval(report: Report, metric: str) -> str:
    """`.3250 [.3132, .3368]`, or a dash where there is no such metric."""
    if metric not in report.metrics:
        return "–"
    value = f"{report.metrics[metric]:.4f}"
    if metric not in report.intervals:
        return value
    low, high = report.intervals[metric]
    return f"{value} [{low:.4f}, {high:.4f}]"


def save_report(report: Report, path: Path) -> None:
    """The report as a JSON file that `load_report` reads: some 30 bytes a user, little else."""
    write_atomically(path, json.dumps(report.to_dict(places=True), indent=1).encode())


def load_report(path: Path) -> Report:
    """A report that `save_report` wrote."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rank_C = np.asarray(content.pop("places"), dtype=np.int64)
        errors = content.pop(
            "squared_errors", None
        )  # reports without ratings have none, nor have older ones
        error_C = None if errors is None else np.asarray(errors, dtype=float)
        intervals = {name: (low, high) for name, (low, high) in content.pop("intervals").items()}
        band_C = {
            name: np.asarray(band, dtype=np.int64)
            for name, band in content.pop("bands", {}).items()
        }
        report = Report(
            **content, intervals=intervals, rank_C=rank_C, band_C=band_C, squared_error_C=error_C
        )
        report.protocol_line()
        if rank_C.shape != (report.protocol["users"],) or rank_C.min(initial=1) < 1:
            raise ValueError("its places are not those of its users")
        if any(
            mask_C.shape != rank_C.shape for mask_C in paired_parts(report.slices, band_C).values()
        ):
            raise ValueError("its bands are not those of its users")
        if error_C is not None and (error_C.shape != rank_C.shape or (error_C < 0).any()):
            raise ValueError("its rating errors are not those of its users")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(
            f"{path}: not a report of 'bert4rec evaluate --output' ({problem})"
        ) from problem
    return report


@dataclass(frozen=True)
class Comparison:
    """How far the first is from the second, on the same users: above 0 it is better, for rating_rmse worse."""

    first: str
    second: str
    difference: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    """95 % of the difference."""
    p_value: Mapping[str, float]
    """Of a two-sided paired sign-flip test: how often chance alone gives a difference as large."""
    protocol: Mapping[str, Any]
    """That of both; where only one knew the request time, `request_time` says which."""
    slices: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """The same for parts of the users: `users`, `difference`, `intervals` and `p_value` by the part's name."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file."""
        return {
            "first": self.first,
            "second": self.second,
            "difference": dict(self.difference),
            "intervals": {name: list(interval) for name, interval in self.intervals.items()},
            "p_value": dict(self.p_value),
            "protocol": dict(self.protocol),
            "slices": {name: dict(part) for name, part in self.slices.items()},
        }


def compare(first: Report, second: Report, seed: int = 0) -> Comparison:
    """The paired differences of Hit@10, NDCG@10 and, where both rate, of the rating RMSE, first minus second.

    For all users and for parts of them, which are those of whichever report knows its bands. Both must answer the same
    cases. One may know the request time and the other not; the protocol of the comparison then says so.
    """
    for part in MUST_AGREE:
        if first.protocol[part] != second.protocol[part]:
            raise DataError(
                f"{first.name} and {second.name} cannot be compared: their {part.replace('_', ' ')} differ "
                f"({first.protocol[part]} and {second.protocol[part]}); evaluate both on the same data and split"
            )
    one, other = _compared(first), _compared(second)
    parts = paired_parts(first.slices, first.band_C) or paired_parts(second.slices, second.band_C)
    known, other_known = (
        _REQUEST_TIME[report.protocol["request_time"]] for report in (first, second)
    )
    differs = (
        {"request_time": f"{known} to the first and {other_known} to the second"}
        if known != other_known
        else {}
    )
    return Comparison(
        first.name,
        second.name,
        **_paired(one, other, seed),
        protocol={**first.protocol, **differs},
        slices={
            name: {
                "users": int(mask_C.sum()),
                **_paired(_part(one, mask_C), _part(other, mask_C), seed),
            }
            for name, mask_C in parts.items()
        },
    )


def _compared(report: Report) -> dict[str, Floats]:
    """What is paired, by metric: a column over the cases."""
    places = rank_metrics(report.rank_C)
    errors = {} if report.squared_error_C is None else {"rating_rmse": report.squared_error_C}
    return {**{metric: places[metric] for metric in COMPARED}, **errors}


def _part(column_C: Mapping[str, Floats], mask_C: NDArray[np.bool_]) -> dict[str, Floats]:
    return {metric: values[mask_C] for metric, values in column_C.items()}


def _paired(
    one: Mapping[str, Floats], other: Mapping[str, Floats], seed: int
) -> dict[str, dict[str, Any]]:
    """The difference in each metric that both have, its interval and its p-value."""
    shared = {metric: column_C for metric, column_C in one.items() if metric in other}
    found = difference_and_interval(shared, other, seed)
    return {
        "difference": {metric: mean for metric, (mean, _) in found.items()},
        "intervals": {metric: interval for metric, (_, interval) in found.items()},
        "p_value": {
            metric: sign_flip_p_value(one[metric] - other[metric], seed) for metric in found
        },
    }


def sign_flip_p_value(gain_C: Floats, seed: int = 0) -> float:
    """How often random signs give a sum at least as far from 0: the paired randomisation test (Fisher 1935).

    Users without a difference, or whose difference is unknown (NaN), do not matter. Of squared errors it is the test of
    the RMSE too: a flip swaps what the two models reached, the sum of both stays, so the larger the difference of their
    means the larger that of the roots. The least value is 1 / 10,001: no flip went as far.
    """
    gain_C = gain_C[(gain_C != 0) & ~np.isnan(gain_C)]
    if not len(gain_C):
        return 1.0
    random, observed, extreme, done = np.random.default_rng(seed), abs(gain_C.sum()), 0, 0
    while done < SIGN_FLIPS:
        flips = min(SIGN_FLIPS - done, max(1, _FLIPS_IN_PIECE // len(gain_C)))
        sign_FC = random.integers(0, 2, (flips, len(gain_C)), dtype=np.int8) * 2 - 1
        extreme += int(
            (np.abs(sign_FC @ gain_C) >= observed * (1 - 1e-12)).sum()
        )  # the same sum, added otherwise
        done += flips
    return (extreme + 1) / (SIGN_FLIPS + 1)
