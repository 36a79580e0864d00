"""Output of `evaluate`: tables on the terminal, one JSON document, and a folder of reports."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bert4rec.cli.output import show_note, show_tables
from bert4rec.result_tables import Table, to_markdown

if TYPE_CHECKING:
    from bert4rec.evaluation.report import Report

RANKING = ("hit@10", "ndcg@10", "mrr", "coverage@10")
RATING = ("rating_rmse", "rating_mae", "rating_ece", "rating_ece_chance")
RATING_INTERVAL = ("rating_coverage", "rating_coverage_stated", "rating_interval_levels")

REPORT_FILE = "report.md"
"""Markdown file of a folder of reports, by which such a folder is recognised."""


class Study(Protocol):
    """Result of a study."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""

    def tables(self) -> list[Table]:
        """Tables of the result."""


@dataclass(frozen=True)
class Evaluation:
    """Everything that one run of `evaluate` measures."""

    rows: Mapping[str, Report]
    """Reports of the model, with the request time known and unknown."""
    baselines: Sequence[Report]
    rating_baselines: Mapping[str, Mapping[str, float]]
    studies: Mapping[str, Study]
    """By the name of their JSON key and file."""

    @property
    def first(self) -> Report:
        """Report of the first row, which pictures and tables compare with the baselines."""
        return next(iter(self.rows.values()))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the first row's are repeated at the top."""
        first = self.first.to_dict()
        return {
            **{key: first[key] for key in ("metrics", "protocol", "slices")},
            "rows": {name: report.to_dict() for name, report in self.rows.items()},
            "baselines": {report.name: report.to_dict() for report in self.baselines},
            "rating_baselines": self.rating_baselines,
            **{name: study.to_dict() for name, study in self.studies.items()},
        }


def show_evaluation(evaluation: Evaluation) -> None:
    """Print ranking, ratings, the protocol, and every study."""
    rows = [
        replace(report, name=f"{report.name}, {name.replace('_', ' ')}")
        for name, report in evaluation.rows.items()
    ]
    tables = [ranking_table("ranking", [*rows, *evaluation.baselines])]
    if any(not set(RATING).isdisjoint(report.metrics) for report in rows):
        tables += [
            _rating_table(rows, evaluation),
            _metric_table("rating interval", RATING_INTERVAL, rows),
        ]
    show_tables(tables)
    protocol = dict(evaluation.first.protocol)
    if len(rows) > 1:
        protocol["request_time"] = "as the rows say"
    show_protocol(protocol)
    for study in evaluation.studies.values():
        print()
        show_tables(study.tables())


def ranking_table(title: str, reports: Sequence[Report]) -> Table:
    """Ranking metrics, one row for each report; `title` heads the names."""
    return _metric_table(title, RANKING, reports)


def _rating_table(rows: Sequence[Report], evaluation: Evaluation) -> Table:
    """Rating errors of the model and of the rating baselines."""
    table = _metric_table("rating of the target", RATING, rows)
    baselines = [
        [name, *map(errors.get, RATING)] for name, errors in evaluation.rating_baselines.items()
    ]
    return replace(table, rows=[*table.rows, *baselines])


def _metric_table(title: str, metrics: Sequence[str], reports: Sequence[Report]) -> Table:
    rows = [[report.name, *map(report.metrics.get, metrics)] for report in reports]
    return Table("", [title, *metrics], rows)


def show_protocol(protocol: Mapping[str, Any]) -> None:
    """Print the protocol below tables with margins."""
    from bert4rec.evaluation.protocol import protocol_line

    show_note(f"±: half of the 95 % interval. {protocol_line(protocol)}")


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write a JSON file for each report and study, one Markdown file of tables, and the pictures.

    The folder must exist; `compare` reads the JSON files of the reports.
    """
    from bert4rec.evaluation.report import save_report
    from bert4rec.files import write_atomically

    for name, report in evaluation.rows.items():
        save_report(report, folder / f"model_{name}.json")
    for report in evaluation.baselines:
        save_report(report, folder / f"{report.name.replace(' ', '_')}.json")
    for name, study in evaluation.studies.items():
        content = json.dumps(study.to_dict(), indent=1)
        write_atomically(folder / f"{name}.json", content.encode())
    write_atomically(folder / REPORT_FILE, f"{_markdown(evaluation)}\n".encode())
    _draw(evaluation, folder)


def _markdown(evaluation: Evaluation) -> str:
    from bert4rec.evaluation.report import metrics_table

    first, *others = evaluation.rows.values()
    tables = [metrics_table([first, *evaluation.baselines])]
    tables += [metrics_table([report]) for report in others]
    for study in evaluation.studies.values():
        tables += study.tables()
    return to_markdown(tables)


def _draw(evaluation: Evaluation, folder: Path) -> None:
    from bert4rec.evaluation.plots import plot_comparison, plot_reliability
    from bert4rec.studies import plots

    plot_comparison([evaluation.first, *evaluation.baselines], folder / "comparison.png")
    if evaluation.first.reliability:
        plot_reliability(evaluation.first, folder / "reliability.png")
    drawings = {
        "explanations": plots.plot_faithfulness,
        "diversity": plots.plot_diversity,
        "cold_start_users": plots.plot_cold_start_users,
    }
    for name, study in evaluation.studies.items():
        if name in drawings:
            drawings[name](study, folder / f"{name}.png")  # type: ignore[operator]
