"""Plots of reports: metrics of several models, and the calibration of rating probabilities.

Legend: Z bins of probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.calibration import BINS, Reliability
from bert4rec.evaluation.columns import column
from bert4rec.evaluation.protocol import REQUEST_TIME
from bert4rec.evaluation.report import Report
from bert4rec.files import write_figure
from bert4rec.result_tables import Estimate
from bert4rec.shown_text import shown_in_picture

_TITLES = {"hit": "Hit", "ndcg": "NDCG", "mrr": "MRR"}
HIGHLIGHT, MUTED, INK, CAPTION = "#2b6cb0", "#b8c2cc", "#333333", "#666666"
GRID, DIAGONAL = "#e6e6e6", "#999999"
DPI = 130
BOOTSTRAP = "95 % bootstrap over users"

FEWEST_CASES = 10
"""Cases without which a bin's share is too uncertain to draw; they still count in the error."""


def plot_comparison(
    reports: Sequence[Report], path: Path, metrics: Sequence[str] = ("ndcg@10", "hit@10")
) -> None:
    """Draw bars with intervals, one panel for each metric, the first report highlighted; a PNG."""
    size = 4.8 * len(metrics), 1.1 + 0.45 * len(reports)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(panels, metrics, strict=True):
        _bars(axis, reports, metric)
    panels[0].set_yticks(range(len(reports)), [shown_in_picture(report.name) for report in reports])
    panels[0].invert_yaxis()
    add_caption(figure, f"{_protocol(reports[0])}; whiskers: {BOOTSTRAP}")
    write_figure(path, figure, dpi=DPI)


def _bars(axis: Axes, reports: Sequence[Report], metric: str) -> None:
    rows = range(len(reports))
    estimates = [report.metrics[metric] for report in reports]
    values = [estimate.value for estimate in estimates]
    ends = [_end(estimate) for estimate in estimates]
    colours = [HIGHLIGHT, *[MUTED] * (len(reports) - 1)]
    axis.barh(rows, values, color=colours, height=0.62)
    style = {"fmt": "none", "ecolor": INK, "elinewidth": 1.1, "capsize": 3}
    axis.errorbar(values, rows, xerr=whiskers(estimates), **style)  # type: ignore[arg-type]
    for row, value, end in zip(rows, values, ends, strict=True):
        text = {"textcoords": "offset points", "va": "center", "fontsize": 9}
        axis.annotate(f"{value:.4f}", (end, row), (5, 0), **text)  # type: ignore[arg-type]
    name, _, k = metric.partition("@")
    axis.set_title(_TITLES.get(name, name) + (f"@{k}" if k else ""), fontsize=11, loc="left")
    axis.set_xlim(0, 1.2 * max(*ends, 1e-9))
    axis.spines[["top", "right", "left"]].set_visible(False)
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=5)
    axis.grid(axis="x", color=GRID)
    axis.set_axisbelow(True)


def _end(estimate: Estimate) -> float:
    """Right end of a bar with its whisker."""
    return estimate.high if estimate.has_interval else estimate.value


def _protocol(report: Report) -> str:
    """Short form of the protocol, to stand below a picture."""
    protocol = report.protocol
    return (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['subset']}, "
        f"{protocol['users']:,} users, {protocol['candidates']}, "
        f"request time {REQUEST_TIME[protocol['request_time']]}"
    )


def whiskers(estimates: Sequence[Estimate]) -> list[list[float]]:
    """Lengths of error bars below and above each value, as matplotlib takes them."""
    return [
        [abs(estimate.value - estimate.low) for estimate in estimates],
        [abs(estimate.high - estimate.value) for estimate in estimates],
    ]


def plot_reliability(report: Report, path: Path) -> None:
    """Draw observed share against predicted probability for each rating level; a PNG.

    A lower panel shows the number of predictions in each bin.
    """
    figure = Figure(figsize=(5.6, 6.8), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 1])
    _shares(shares, report.reliability)
    _counts(counts, report.reliability)
    error, by_chance = (report.metrics[name].value for name in ("rating_ece", "rating_ece_chance"))
    shares.set_title(
        f"{shown_in_picture(report.name)}: calibration of the rating", fontsize=11, loc="left"
    )
    summary = f"calibration error {error:.4f}\n(by chance alone {by_chance:.4f})"
    shares.text(0.97, 0.04, summary, transform=shares.transAxes, ha="right", fontsize=9, color=INK)
    remark = (
        f"whiskers: 95 % of the deviation by chance; "
        f"points of {FEWEST_CASES} cases and more, larger for more"
    )
    add_caption(figure, f"{_protocol(report)}\n{remark}")
    write_figure(path, figure, dpi=DPI)


def _by_level(table: Reliability) -> dict[float, Reliability]:
    levels = sorted({row["level"] for row in table})
    return {level: _of_level(table, level) for level in levels}


def _of_level(table: Reliability, level: float) -> Reliability:
    return [row for row in table if row["level"] == level]


def _colours(levels: int) -> Sequence[tuple[float, ...]]:
    """Colours from light to dark, as levels are ordered."""
    return [colormaps["YlGnBu"](shade) for shade in np.linspace(0.35, 0.95, levels)]


def _shares(axis: Axes, table: Reliability) -> None:
    """Draw a line for each level; whiskers show how far chance alone moves a share."""
    axis.plot([0, 1], [0, 1], color=DIAGONAL, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
    levels = _by_level(table)
    most = max(row["cases"] for row in table)
    for (level, rows), colour in zip(levels.items(), _colours(len(levels)), strict=True):
        _level_shares(axis, rows, colour, most)
        axis.scatter([], [], 36, [colour], label=f"{level:g}")
    axis.set_ylabel("observed share", fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_ylim(-0.02, 1.02)
    legend: dict[str, Any] = {
        "fontsize": 8,
        "title_fontsize": 8,
        "frameon": False,
        "loc": "upper left",
    }
    axis.legend(title="rating", ncols=1 + len(levels) // 8, **legend)
    plain_axis(axis)


def _level_shares(axis: Axes, rows: Reliability, colour: Sequence[float], most: float) -> None:
    """Draw the bins of one level; `most` is the largest number of cases in a bin."""
    drawn = [row for row in rows if row["cases"] >= FEWEST_CASES]
    predicted, observed, cases = (
        np.array(column(drawn, name)) for name in ("predicted", "observed", "cases")
    )
    by_chance = 1.96 * np.sqrt(predicted * (1 - predicted).clip(0) / cases)
    line = {"color": colour, "linewidth": 1.2, "elinewidth": 0.8, "alpha": 0.65}
    axis.errorbar(predicted, observed, by_chance, **line)  # type: ignore[arg-type]
    sizes = 10 + 90 * cases / most
    point = {"edgecolor": "white", "linewidth": 0.6, "zorder": 3}
    axis.scatter(predicted, observed, sizes, [colour], **point)  # type: ignore[arg-type]


def _counts(axis: Axes, table: Reliability) -> None:
    """Draw the number of predictions in each bin, levels on top of each other."""
    levels = _by_level(table)
    base_Z = np.zeros(BINS)
    bar = {"align": "edge", "edgecolor": "white", "linewidth": 0.4}
    for rows, colour in zip(levels.values(), _colours(len(levels)), strict=True):
        height_Z = np.zeros(BINS)
        for row in rows:
            height_Z[min(int(row["predicted"] * BINS), BINS - 1)] += row["cases"]
        left_Z = np.arange(BINS) / BINS
        axis.bar(left_Z, height_Z, 1 / BINS, base_Z, color=colour, **bar)  # type: ignore[arg-type]
        base_Z += height_Z
    axis.set_xlabel("predicted probability of a rating", fontsize=9)
    axis.set_ylabel("predictions", fontsize=9)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.locator_params(axis="y", nbins=4)
    plain_axis(axis)


def plain_axis(axis: Axes) -> None:
    """Hide the upper and right border, and set small labels on a pale grid."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(color=GRID)
    axis.set_axisbelow(True)


def add_caption(figure: Figure, text: str) -> None:
    """Write a remark below the figure."""
    figure.supxlabel(text, fontsize=8, color=CAPTION)
