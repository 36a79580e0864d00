"""`Report`: metrics of one scorer with their protocol, as JSON and as Markdown.

How the metrics come about is left to `evaluate`, paired differences to `comparison`.

Legend: C cases (users).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bert4rec.data.arrays import Floats, Ints
from bert4rec.data.splits import Subset
from bert4rec.errors import DataError
from bert4rec.evaluation.calibration import Reliability
from bert4rec.evaluation.protocol import protocol_line
from bert4rec.evaluation.slices import paired_parts
from bert4rec.files import write_atomically
from bert4rec.result_tables import Estimate, Table, to_plain

Reports = Mapping[Subset, Mapping[str, "Report"]]
"""Reports by subset and row: `request_time_on`, `request_time_off`."""
TABLE_METRICS = ("hit@10", "ndcg@10", "mrr", "rating_rmse")


@dataclass(frozen=True)
class Report:
    """Metrics of one scorer on the cases of one split."""

    name: str
    metrics: Mapping[str, Estimate]
    """By name; coverage and calibration have no interval."""
    protocol: Mapping[str, Any]
    slices: Mapping[str, Sequence[Mapping[str, Any]]]
    """Parts of the users by slice: `value`, `users`, `hit@10` and `ndcg@10` of each part."""
    rank_C: Ints
    """Rank of each case's target, in the order of the split; paired comparisons need it."""
    band_C: Mapping[str, Ints] = field(default_factory=dict)
    """By slice, the index of each case's part in `slices`; empty in files of older reports."""
    reliability: Reliability = ()
    """Observed share of each rating level by predicted probability; empty without predictions."""
    squared_error_C: Floats | None = None
    """Squared error of each predicted rating, NaN for unrated cases; None without predictions."""

    def to_dict(self, with_cases: bool = False) -> dict[str, Any]:
        """Plain values for JSON; `with_cases` adds what a comparison pairs user by user."""
        content: dict[str, Any] = {
            "name": self.name,
            "metrics": self.metrics,
            "protocol": self.protocol,
            "slices": self.slices,
        }
        if self.reliability:
            content["reliability"] = self.reliability
        if with_cases:
            content |= self._case_columns()
        return dict(to_plain(content))

    def _case_columns(self) -> dict[str, Any]:
        """Columns over the cases; an unknown error is null."""
        columns: dict[str, Any] = {
            "ranks": np.asarray(self.rank_C).tolist(),
            "bands": {name: np.asarray(band_C).tolist() for name, band_C in self.band_C.items()},
        }
        if self.squared_error_C is not None:
            errors = np.asarray(self.squared_error_C).tolist()
            columns["squared_errors"] = [None if np.isnan(error) else error for error in errors]
        return columns

    def protocol_line(self) -> str:
        """Protocol in one line, to stand below a table."""
        return protocol_line(self.protocol)

    def tables(self) -> list[Table]:
        """One table of all metrics and one of each slice."""
        metrics = Table("", ["metric", "value"], [[*row] for row in self.metrics.items()])
        return [metrics, *(_slice_table(name, parts) for name, parts in self.slices.items())]

    def to_markdown(self) -> str:
        """Every metric, every slice, and the protocol line."""
        tables = [table.to_markdown() for table in self.tables()]
        return "\n\n".join([f"## {self.name}", *tables, self.protocol_line()])


def _slice_table(name: str, parts: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["users", "hit@10", "ndcg@10"]
    rows = [[part["value"], *map(part.get, columns)] for part in parts]
    return Table("", [name, *columns], rows)


def metrics_table(
    reports: Sequence[Report], metrics: Sequence[str] = TABLE_METRICS, title: str = "model"
) -> Table:
    """One row for each report; the note holds their protocols.

    Metrics that no report has are left out; `title` heads the column of names.
    """
    reported = set().union(*(report.metrics for report in reports))
    known = [metric for metric in metrics if metric in reported]
    rows = [[report.name, *map(report.metrics.get, known)] for report in reports]
    protocols = dict.fromkeys(report.protocol_line() for report in reports)
    return Table("", [title, *known], rows, note="\n".join(protocols))


def stored_metrics(reports: Reports) -> dict[str, Any]:
    """Reports as the metrics of a model folder: plain values by `SUBSET_ROW`."""
    metrics = {}
    for subset, rows in reports.items():
        for row, report in rows.items():
            metrics[f"{subset}_{row}"] = report.to_dict()
    return metrics


def save_report(report: Report, path: Path) -> None:
    """Write the JSON file that `load_report` reads: some 30 bytes a user, little else."""
    write_atomically(path, json.dumps(report.to_dict(with_cases=True), indent=1).encode())


def load_report(path: Path) -> Report:
    """Report that `save_report` wrote.

    Raises DataError, naming the file, for anything else.
    """
    try:
        report = _report_of(json.loads(path.read_text(encoding="utf-8")))
        _check(report)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as problem:
        raise DataError(
            f"{path}: not a report of 'bert4rec evaluate --output' ({problem})"
        ) from problem
    return report


def _report_of(content: dict[str, Any]) -> Report:
    rank_C = np.asarray(content.pop("ranks"), dtype=np.int64)
    bands = content.pop("bands", {})
    # Absent without predicted ratings, and in older reports.
    errors = content.pop("squared_errors", None)
    metrics = content.pop("metrics")
    return Report(
        **content,
        metrics={name: Estimate.from_dict(metric) for name, metric in metrics.items()},
        rank_C=rank_C,
        band_C={name: np.asarray(band, dtype=np.int64) for name, band in bands.items()},
        squared_error_C=None if errors is None else np.asarray(errors, dtype=float),
    )


def _check(report: Report) -> None:
    """Raise ValueError where a column is not one of the report's users."""
    report.protocol_line()
    rank_C, error_C = report.rank_C, report.squared_error_C
    if rank_C.shape != (report.protocol["users"],) or rank_C.min(initial=1) < 1:
        raise ValueError("its ranks are not those of its users")
    masks = paired_parts(report.slices, report.band_C).values()
    if any(mask_C.shape != rank_C.shape for mask_C in masks):
        raise ValueError("its bands are not those of its users")
    if error_C is not None and (error_C.shape != rank_C.shape or (error_C < 0).any()):
        raise ValueError("its rating errors are not those of its users")
