"""A model beside its baselines, and what its rating probabilities are worth, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.calibration import BINS, Reliability
from bert4rec.evaluation.report import Report
from bert4rec.files import write_figure

_TITLES = {"hit": "Hit", "ndcg": "NDCG", "mrr": "MRR"}
HIGHLIGHT, MUTED, INK = "#2b6cb0", "#b8c2cc", "#333333"

FEWEST_SHOWN = 10
"""Cases of a bin without which its share says nothing to the eye; they count in the error all the same."""


def plot_comparison(
    reports: Sequence[Report], path: Path, metrics: Sequence[str] = ("ndcg@10", "hit@10")
) -> None:
    """Bars with 95 % intervals, one panel for each metric, the first report on top and in colour; a PNG."""
    figure = Figure(figsize=(4.8 * len(metrics), 1.1 + 0.45 * len(reports)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(panels, metrics, strict=True):
        _bars(axis, reports, metric)
    panels[0].set_yticks(range(len(reports)), [report.name for report in reports])
    panels[0].invert_yaxis()
    figure.supxlabel(_caption(reports), fontsize=8, color="#666666")
    write_figure(path, figure, dpi=130)


def _bars(axis: Axes, reports: Sequence[Report], metric: str) -> None:
    places = range(len(reports))
    values = [report.metrics[metric] for report in reports]
    edges = [
        report.intervals.get(metric, (value, value))
        for report, value in zip(reports, values, strict=True)
    ]
    axis.barh(places, values, color=[HIGHLIGHT, *[MUTED] * (len(reports) - 1)], height=0.62)
    axis.errorbar(
        values,
        places,
        xerr=whiskers(values, edges),
        fmt="none",
        ecolor=INK,
        elinewidth=1.1,
        capsize=3,
    )
    for place, value, (_, high) in zip(places, values, edges, strict=True):
        axis.annotate(
            f"{value:.4f}",
            (high, place),
            (5, 0),
            textcoords="offset points",
            va="center",
            fontsize=9,
        )
    name, _, k = metric.partition("@")
    axis.set_title(_TITLES.get(name, name) + (f"@{k}" if k else ""), fontsize=11, loc="left")
    axis.set_xlim(0, 1.2 * max(*(high for _, high in edges), 1e-9))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", color="#e6e6e6")
    axis.set_axisbelow(True)


def _caption(reports: Sequence[Report]) -> str:
    return f"{_asked(reports[0])}; whiskers: 95 % bootstrap over users"


def _asked(report: Report) -> str:
    protocol = report.protocol
    known = "known" if protocol["request_time"] else "unknown"
    return (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['subset']}, {protocol['users']:,} users, "
        f"{protocol['candidates']}, request time {known}"
    )


def whiskers(values: Sequence[float], edges: Sequence[tuple[float, float]]) -> list[list[float]]:
    """Lengths of error bars below and above each value, as matplotlib takes them."""
    return [
        [abs(edge[side] - value) for value, edge in zip(values, edges, strict=True)]
        for side in (0, 1)
    ]


def plot_reliability(report: Report, path: Path) -> None:
    """Predicted probability against observed share for each rating level, and below how many predictions are where."""
    figure = Figure(figsize=(5.6, 6.8), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 1])
    _shares(shares, report.reliability)
    _counts(counts, report.reliability)
    metrics = report.metrics
    shares.set_title(f"{report.name}: calibration of the rating", fontsize=11, loc="left")
    summary = f"calibration error {metrics['rating_ece']:.4f}\n(by chance alone {metrics['rating_ece_chance']:.4f})"
    shares.text(0.97, 0.04, summary, transform=shares.transAxes, ha="right", fontsize=9, color=INK)
    remark = f"whiskers: 95 % of what chance does; points of {FEWEST_SHOWN} cases and more, larger for more"
    figure.supxlabel(f"{_asked(report)}\n{remark}", fontsize=8, color="#666666")
    write_figure(path, figure, dpi=130)


def _by_level(table: Reliability) -> dict[float, Reliability]:
    levels = sorted({row["level"] for row in table})
    return {level: [row for row in table if row["level"] == level] for level in levels}


def _colours(levels: int) -> Sequence[tuple[float, ...]]:
    """From light to dark, as levels are ordered."""
    return [colormaps["YlGnBu"](place) for place in np.linspace(0.35, 0.95, levels)]


def _shares(axis: Axes, table: Reliability) -> None:
    """A line for each level; whiskers say how far chance alone takes a share of so many cases."""
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    parts, most = _by_level(table), max(row["cases"] for row in table)
    for (level, rows), colour in zip(parts.items(), _colours(len(parts)), strict=True):
        shown = [row for row in rows if row["cases"] >= FEWEST_SHOWN]
        predicted, observed, cases = (
            np.array([row[name] for row in shown]) for name in ("predicted", "observed", "cases")
        )
        by_chance = 1.96 * np.sqrt(predicted * (1 - predicted).clip(0) / cases)
        axis.errorbar(
            predicted, observed, by_chance, color=colour, linewidth=1.2, elinewidth=0.8, alpha=0.65
        )
        sizes = 10 + 90 * cases / most
        axis.scatter(
            predicted, observed, sizes, [colour], edgecolor="white", linewidth=0.6, zorder=3
        )
        axis.scatter([], [], 36, [colour], label=f"{level:g}")
    axis.set_ylabel("observed share", fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_ylim(-0.02, 1.02)
    columns = 1 + len(parts) // 8
    axis.legend(
        title="rating", fontsize=8, title_fontsize=8, frameon=False, loc="upper left", ncols=columns
    )
    plain_axis(axis)


def _counts(axis: Axes, table: Reliability) -> None:
    parts, base = _by_level(table), np.zeros(BINS)
    for rows, colour in zip(parts.values(), _colours(len(parts)), strict=True):
        height = np.zeros(BINS)
        for row in rows:
            height[min(int(row["predicted"] * BINS), BINS - 1)] += row["cases"]
        axis.bar(
            np.arange(BINS) / BINS,
            height,
            1 / BINS,
            base,
            align="edge",
            color=colour,
            edgecolor="white",
            linewidth=0.4,
        )
        base += height
    axis.set_xlabel("predicted probability of a rating", fontsize=9)
    axis.set_ylabel("predictions", fontsize=9)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.locator_params(axis="y", nbins=4)
    plain_axis(axis)


def plain_axis(axis: Axes) -> None:
    """Hide the upper and right border and take small labels."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e6e6e6")
    axis.set_axisbelow(True)
