"""A model beside its baselines, and what its rating probabilities are worth, as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.calibration import BINS, Reliability
from bert4rec.evaluation.dial import DialCurve
from bert4rec.evaluation.fidelity import KS, MEASURES, Fidelity
from bert4rec.evaluation.report import Report
from bert4rec.evaluation.shots import MODEL, SHOTS, Shots
from bert4rec.files import write_picture

_TITLES = {"hit": "Hit", "ndcg": "NDCG", "mrr": "MRR"}
_FIRST, _OTHERS, _INK = "#2b6cb0", "#b8c2cc", "#333333"
FIDELITY_COLOURS = (_FIRST, _OTHERS, "#dd8452", "#4f9d69")

FEWEST_SHOWN = 10
"""Cases of a bin without which its share says nothing to the eye; they count in the error all the same."""


def plot_comparison(reports: Sequence[Report], path: Path, metrics: Sequence[str] = ("ndcg@10", "hit@10")) -> None:
    """Bars with 95 % intervals, one panel for each metric, the first report on top and in colour; a PNG."""
    figure = Figure(figsize=(4.8 * len(metrics), 1.1 + 0.45 * len(reports)), layout="constrained")
    panels = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    for axis, metric in zip(panels, metrics, strict=True):
        _bars(axis, reports, metric)
    panels[0].set_yticks(range(len(reports)), [report.name for report in reports])
    panels[0].invert_yaxis()
    figure.supxlabel(_caption(reports), fontsize=8, color="#666666")
    write_picture(path, figure, dpi=130)


def _bars(axis: Axes, reports: Sequence[Report], metric: str) -> None:
    places = range(len(reports))
    values = [report.metrics[metric] for report in reports]
    edges = [report.intervals.get(metric, (value, value)) for report, value in zip(reports, values, strict=True)]
    axis.barh(places, values, color=[_FIRST, *[_OTHERS] * (len(reports) - 1)], height=0.62)
    axis.errorbar(values, places, xerr=_whiskers(values, edges), fmt="none", ecolor=_INK, elinewidth=1.1, capsize=3)
    for place, value, (_, high) in zip(places, values, edges, strict=True):
        axis.annotate(f"{value:.4f}", (high, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
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
        f"{protocol['dataset']}, {protocol['split']}, {protocol['cases']}, {protocol['users']:,} users, "
        f"{protocol['candidates']}, request time {known}"
    )


def plot_fidelity(explained: Fidelity, path: Path) -> None:
    """A panel for each measure: it against the number of events, a line for each explainer; bands are intervals."""
    figure = Figure(figsize=(9.6, 7.0), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for axis, (measure, meaning) in zip(panels, MEASURES.items(), strict=True):
        for (name, found), colour in zip(explained.values.items(), FIDELITY_COLOURS, strict=False):
            values, edges = zip(*(found[f"{measure}@{k}"] for k in KS), strict=True)
            axis.plot(KS, values, color=colour, marker="o", label=name)
            axis.fill_between(KS, *zip(*edges, strict=True), color=colour, alpha=0.2, linewidth=0)
        axis.set_title(f"{measure}: {meaning}", fontsize=8.5, loc="left")
        axis.set_xticks(KS)
        axis.set_ylim(0, 1.05 if measure in ("POS", "NEG") else None)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e6e6e6")
    panels[0].axhline(explained.likelihood, color=_INK, linewidth=0.8, linestyle=":")
    panels[0].legend(frameon=False, fontsize=9)
    known = "known" if explained.request_time else "unknown"
    remark = f"{explained.users:,} users, request time {known}; bands: 95 % bootstrap over users"
    figure.supxlabel(f"number of events K\n{remark}", fontsize=8, color="#666666")
    write_picture(path, figure, dpi=130)


def plot_dial(curve: DialCurve, path: Path) -> None:
    """Accuracy against variety, a point for each setting of the diversity dial; whiskers are intervals. A PNG."""
    named = {"distance@10": "distance of item vectors in a list", "diversity@10": "unlikeness of values in a list"}
    shown = {name: title for name, title in named.items() if all(name in found for found in curve.values.values())}
    figure = Figure(figsize=(4.8 * len(shown), 4.0), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, (name, title) in zip(panels, shown.items(), strict=True):
        x, x_edges = zip(*(found[name] for found in curve.values.values()), strict=True)
        y, y_edges = zip(*(found["ndcg@10"] for found in curve.values.values()), strict=True)
        axis.errorbar(x, y, _whiskers(y, y_edges), _whiskers(x, x_edges), color=_FIRST, ecolor=_OTHERS, marker="o")
        for setting, place in zip(curve.values, zip(x, y, strict=True), strict=True):
            axis.annotate(
                f"{setting:g}", place, (6, 5), textcoords="offset points", fontsize=8, color=_INK, rotation=45
            )
        axis.set_title(f"{title} ({name})", fontsize=9, loc="left")
        _plain(axis)
    panels[0].set_ylabel("NDCG@10", fontsize=9)
    panels[0].set_ylim(bottom=0)
    known = "known" if curve.request_time else "unknown"
    remark = f"numbers: the dial; {curve.users:,} users, request time {known}; whiskers: 95 % bootstrap over users"
    figure.supxlabel(remark, fontsize=8, color="#666666")
    write_picture(path, figure, dpi=130)


SHOT_COLOURS = (_FIRST, "#7fb2e5", "#1b3a5c", "#dd8452", "#4f9d69", "#999999")


def plot_shots(curve: Shots, path: Path) -> None:
    """Hit@10 and NDCG@10 against the number of events shown, a line for each row; whiskers are intervals. A PNG."""
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    places = np.arange(len(SHOTS))  # one step each: on a true scale the first few, which matter, would be one point
    aside = np.linspace(-0.15, 0.15, len(curve.values))  # of each other, or the whiskers would hide one another
    panels = figure.subplots(1, 2)
    for axis, (metric, title) in zip(panels, {"hit@10": "Hit@10", "ndcg@10": "NDCG@10"}.items(), strict=True):
        for (name, by_k), colour, step in zip(curve.values.items(), SHOT_COLOURS, aside, strict=False):
            values, edges = zip(*(by_k[k][metric] for k in SHOTS), strict=True)
            style = "o-" if name.startswith(MODEL) else "o--"
            look: dict[str, Any] = {"color": colour, "markersize": 4, "linewidth": 1.3, "elinewidth": 0.9}
            axis.errorbar(places + step, values, _whiskers(values, edges), fmt=style, label=name, **look)
        axis.set_title(title, fontsize=11, loc="left")
        axis.set_xticks(places, [str(k) for k in SHOTS])
        axis.set_ylim(bottom=0)
        _plain(axis)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=3, frameon=False, fontsize=9)
    protocol = curve.protocol
    remark = (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['cases']}, {protocol['users']:,} users the model never "
        "saw; whiskers: 95 % bootstrap over users"
    )
    figure.supxlabel(f"events shown before the one asked for\n{remark}", fontsize=8, color="#666666")
    write_picture(path, figure, dpi=130)


def _whiskers(values: Sequence[float], edges: Sequence[tuple[float, float]]) -> list[list[float]]:
    return [[abs(edge[side] - value) for value, edge in zip(values, edges, strict=True)] for side in (0, 1)]


def plot_reliability(report: Report, path: Path) -> None:
    """Predicted probability against observed share for each rating level, and below how many predictions are where."""
    figure = Figure(figsize=(5.6, 6.8), layout="constrained")
    shares, counts = figure.subplots(2, 1, sharex=True, height_ratios=[3.6, 1])
    _shares(shares, report.reliability)
    _counts(counts, report.reliability)
    metrics = report.metrics
    shares.set_title(f"{report.name}: calibration of the rating", fontsize=11, loc="left")
    summary = f"calibration error {metrics['rating_ece']:.4f}\n(by chance alone {metrics['rating_ece_chance']:.4f})"
    shares.text(0.97, 0.04, summary, transform=shares.transAxes, ha="right", fontsize=9, color=_INK)
    remark = f"whiskers: 95 % of what chance does; points of {FEWEST_SHOWN} cases and more, larger for more"
    figure.supxlabel(f"{_asked(report)}\n{remark}", fontsize=8, color="#666666")
    write_picture(path, figure, dpi=130)


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
        axis.errorbar(predicted, observed, by_chance, color=colour, linewidth=1.2, elinewidth=0.8, alpha=0.65)
        sizes = 10 + 90 * cases / most
        axis.scatter(predicted, observed, sizes, [colour], edgecolor="white", linewidth=0.6, zorder=3)
        axis.scatter([], [], 36, [colour], label=f"{level:g}")
    axis.set_ylabel("observed share", fontsize=9)
    axis.set_xlim(0, 1)
    axis.set_ylim(-0.02, 1.02)
    columns = 1 + len(parts) // 8
    axis.legend(title="rating", fontsize=8, title_fontsize=8, frameon=False, loc="upper left", ncols=columns)
    _plain(axis)


def _counts(axis: Axes, table: Reliability) -> None:
    parts, base = _by_level(table), np.zeros(BINS)
    for rows, colour in zip(parts.values(), _colours(len(parts)), strict=True):
        height = np.zeros(BINS)
        for row in rows:
            height[min(int(row["predicted"] * BINS), BINS - 1)] += row["cases"]
        axis.bar(
            np.arange(BINS) / BINS, height, 1 / BINS, base, align="edge", color=colour, edgecolor="white", linewidth=0.4
        )
        base += height
    axis.set_xlabel("predicted probability of a rating", fontsize=9)
    axis.set_ylabel("predictions", fontsize=9)
    axis.yaxis.set_major_formatter("{x:,.0f}")
    axis.locator_params(axis="y", nbins=4)
    _plain(axis)


def _plain(axis: Axes) -> None:
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(labelsize=8)
    axis.grid(color="#e6e6e6")
    axis.set_axisbelow(True)
