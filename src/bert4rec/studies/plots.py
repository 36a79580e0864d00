"""Plots of the studies: faithfulness, diversity and cold-start users."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.plots import (
    BOOTSTRAP,
    DPI,
    GRID,
    HIGHLIGHT,
    INK,
    MUTED,
    add_caption,
    plain_axis,
    whiskers,
)
from bert4rec.evaluation.protocol import REQUEST_TIME
from bert4rec.files import write_figure
from bert4rec.result_tables import Estimate
from bert4rec.studies.cold_start_users import EVENT_COUNTS, MODEL, ColdStartUsers
from bert4rec.studies.diversity import DiversityCurve
from bert4rec.studies.faithfulness import EVENT_COUNTS as REMOVED_EVENTS
from bert4rec.studies.faithfulness import MEASURES, Faithfulness

ORANGE, GREEN = "#dd8452", "#4f9d69"
FAITHFULNESS_COLOURS = (HIGHLIGHT, MUTED, ORANGE, GREEN)
FEW_SHOT_COLOURS = (HIGHLIGHT, "#7fb2e5", "#1b3a5c", ORANGE, GREEN, "#999999")


def plot_faithfulness(explained: Faithfulness, path: Path) -> None:
    """Draw each measure against the number of events, a line for each explainer; a PNG."""
    figure = Figure(figsize=(9.6, 7.0), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for axis, measure in zip(panels, MEASURES, strict=True):
        _explainers(axis, explained, measure)
    panels[0].axhline(explained.likelihood, color=INK, linewidth=0.8, linestyle=":")
    panels[0].legend(frameon=False, fontsize=9)
    known = REQUEST_TIME[explained.request_time]
    remark = f"{explained.users:,} users, request time {known}; bands: {BOOTSTRAP}"
    add_caption(figure, f"number of events K\n{remark}")
    write_figure(path, figure, dpi=DPI)


def _explainers(axis: Axes, explained: Faithfulness, measure: str) -> None:
    """Draw one measure; bands are intervals."""
    lines = zip(explained.values.items(), FAITHFULNESS_COLOURS, strict=False)
    for (name, found), colour in lines:
        estimates = [found[f"{measure}@{k}"] for k in REMOVED_EVENTS]
        axis.plot(REMOVED_EVENTS, _values(estimates), color=colour, marker="o", label=name)
        low = [estimate.low for estimate in estimates]
        high = [estimate.high for estimate in estimates]
        axis.fill_between(REMOVED_EVENTS, low, high, color=colour, alpha=0.2, linewidth=0)
    axis.set_title(f"{measure}: {MEASURES[measure]}", fontsize=8.5, loc="left")
    axis.set_xticks(REMOVED_EVENTS)
    axis.set_ylim(0, 1.05 if measure in ("POS", "NEG") else None)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", color=GRID)


def plot_diversity(curve: DiversityCurve, path: Path) -> None:
    """Draw accuracy against variety, a point for each value of `diversity`; a PNG."""
    titles = {
        "distance@10": "distance of item embeddings in a list",
        "diversity@10": "dissimilarity of values in a list",
    }
    drawn = {name: title for name, title in titles.items() if curve.has(name)}
    figure = Figure(figsize=(4.8 * len(drawn), 4.0), layout="constrained")
    panels = figure.subplots(1, len(drawn), sharey=True, squeeze=False)[0]
    for axis, (name, title) in zip(panels, drawn.items(), strict=True):
        _trade_off(axis, curve, name)
        axis.set_title(f"{title} ({name})", fontsize=9, loc="left")
    panels[0].set_ylabel("NDCG@10", fontsize=9)
    panels[0].set_ylim(bottom=0)
    known = REQUEST_TIME[curve.request_time]
    remark = f"{curve.users:,} users, request time {known}; whiskers: {BOOTSTRAP}"
    add_caption(figure, f"numbers: diversity; {remark}")
    write_figure(path, figure, dpi=DPI)


def _trade_off(axis: Axes, curve: DiversityCurve, variety: str) -> None:
    """Draw NDCG@10 against one metric of variety; whiskers are intervals."""
    x = [found[variety] for found in curve.values.values()]
    y = [found["ndcg@10"] for found in curve.values.values()]
    style = {"color": HIGHLIGHT, "ecolor": MUTED, "marker": "o"}
    axis.errorbar(_values(x), _values(y), whiskers(y), whiskers(x), **style)  # type: ignore[arg-type]
    text = {"textcoords": "offset points", "fontsize": 8, "color": INK, "rotation": 45}
    for diversity, point in zip(
        curve.values, zip(_values(x), _values(y), strict=True), strict=True
    ):
        axis.annotate(f"{diversity:g}", point, (6, 5), **text)  # type: ignore[arg-type]
    plain_axis(axis)


def plot_cold_start_users(curve: ColdStartUsers, path: Path) -> None:
    """Draw Hit@10 and NDCG@10 against the number of events given, a line for each row; a PNG."""
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    panels = figure.subplots(1, 2)
    for axis, (metric, title) in zip(
        panels, {"hit@10": "Hit@10", "ndcg@10": "NDCG@10"}.items(), strict=True
    ):
        _few_shot_rows(axis, curve.values, metric)
        axis.set_title(title, fontsize=11, loc="left")
    legend: dict[str, Any] = {"loc": "outside upper left", "frameon": False, "fontsize": 9}
    figure.legend(*panels[0].get_legend_handles_labels(), ncols=3, **legend)
    protocol = curve.protocol
    remark = (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['subset']}, "
        f"{protocol['users']:,} cold-start users; whiskers: {BOOTSTRAP}"
    )
    add_caption(figure, f"events given before the target\n{remark}")
    write_figure(path, figure, dpi=DPI)


def _few_shot_rows(
    axis: Axes, values: Mapping[str, Mapping[int, Mapping[str, Estimate]]], metric: str
) -> None:
    """Draw one metric of every row; whiskers are intervals."""
    # One step each: on a true scale the first few, which matter, would be one point.
    steps = np.arange(len(EVENT_COUNTS))
    # Beside each other, or the whiskers would hide one another.
    shifts = np.linspace(-0.15, 0.15, len(values))
    style: dict[str, Any] = {"markersize": 4, "linewidth": 1.3, "elinewidth": 0.9}
    for (name, by_events), colour, shift in zip(
        values.items(), FEW_SHOT_COLOURS, shifts, strict=False
    ):
        estimates = [by_events[k][metric] for k in EVENT_COUNTS]
        line = "o-" if name.startswith(MODEL) else "o--"
        axis.errorbar(
            steps + shift,
            _values(estimates),
            whiskers(estimates),
            fmt=line,
            label=name,
            color=colour,
            **style,
        )
    axis.set_xticks(steps, [str(k) for k in EVENT_COUNTS])
    axis.set_ylim(bottom=0)
    plain_axis(axis)


def _values(estimates: Sequence[Estimate]) -> list[float]:
    return [estimate.value for estimate in estimates]
