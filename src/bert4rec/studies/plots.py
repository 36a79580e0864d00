"""Plots of the studies: faithfulness, diversity and cold-start users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from bert4rec.evaluation.plots import HIGHLIGHT, INK, MUTED, plain_axis, whiskers
from bert4rec.files import write_figure
from bert4rec.studies.cold_start_users import MODEL, SHOTS, ColdStartUsers
from bert4rec.studies.diversity import DiversityCurve
from bert4rec.studies.faithfulness import KS, MEASURES, Faithfulness

FAITHFULNESS_COLOURS = (HIGHLIGHT, MUTED, "#dd8452", "#4f9d69")
SHOT_COLOURS = (HIGHLIGHT, "#7fb2e5", "#1b3a5c", "#dd8452", "#4f9d69", "#999999")


def plot_faithfulness(explained: Faithfulness, path: Path) -> None:
    """A panel for each measure: it against the number of events, a line for each explainer; bands are intervals."""
    figure = Figure(figsize=(9.6, 7.0), layout="constrained")
    panels = figure.subplots(2, 2, sharex=True).ravel()
    for axis, (measure, meaning) in zip(panels, MEASURES.items(), strict=True):
        for (name, found), colour in zip(
            explained.values.items(), FAITHFULNESS_COLOURS, strict=False
        ):
            values, edges = zip(*(found[f"{measure}@{k}"] for k in KS), strict=True)
            axis.plot(KS, values, color=colour, marker="o", label=name)
            axis.fill_between(KS, *zip(*edges, strict=True), color=colour, alpha=0.2, linewidth=0)
        axis.set_title(f"{measure}: {meaning}", fontsize=8.5, loc="left")
        axis.set_xticks(KS)
        axis.set_ylim(0, 1.05 if measure in ("POS", "NEG") else None)
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#e6e6e6")
    panels[0].axhline(explained.likelihood, color=INK, linewidth=0.8, linestyle=":")
    panels[0].legend(frameon=False, fontsize=9)
    known = "known" if explained.request_time else "unknown"
    remark = f"{explained.users:,} users, request time {known}; bands: 95 % bootstrap over users"
    figure.supxlabel(f"number of events K\n{remark}", fontsize=8, color="#666666")
    write_figure(path, figure, dpi=130)


def plot_diversity(curve: DiversityCurve, path: Path) -> None:
    """Accuracy against variety, a point for each setting of the diversity dial; whiskers are intervals. A PNG."""
    named = {
        "distance@10": "distance of item vectors in a list",
        "diversity@10": "unlikeness of values in a list",
    }
    shown = {
        name: title
        for name, title in named.items()
        if all(name in found for found in curve.values.values())
    }
    figure = Figure(figsize=(4.8 * len(shown), 4.0), layout="constrained")
    panels = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, (name, title) in zip(panels, shown.items(), strict=True):
        x, x_edges = zip(*(found[name] for found in curve.values.values()), strict=True)
        y, y_edges = zip(*(found["ndcg@10"] for found in curve.values.values()), strict=True)
        axis.errorbar(
            x,
            y,
            whiskers(y, y_edges),
            whiskers(x, x_edges),
            color=HIGHLIGHT,
            ecolor=MUTED,
            marker="o",
        )
        for setting, place in zip(curve.values, zip(x, y, strict=True), strict=True):
            axis.annotate(
                f"{setting:g}",
                place,
                (6, 5),
                textcoords="offset points",
                fontsize=8,
                color=INK,
                rotation=45,
            )
        axis.set_title(f"{title} ({name})", fontsize=9, loc="left")
        plain_axis(axis)
    panels[0].set_ylabel("NDCG@10", fontsize=9)
    panels[0].set_ylim(bottom=0)
    known = "known" if curve.request_time else "unknown"
    remark = f"numbers: the dial; {curve.users:,} users, request time {known}; whiskers: 95 % bootstrap over users"
    figure.supxlabel(remark, fontsize=8, color="#666666")
    write_figure(path, figure, dpi=130)


def plot_cold_start_users(curve: ColdStartUsers, path: Path) -> None:
    """Hit@10 and NDCG@10 against the number of events shown, a line for each row; whiskers are intervals. A PNG."""
    figure = Figure(figsize=(10.4, 5.0), layout="constrained")
    places = np.arange(
        len(SHOTS)
    )  # one step each: on a true scale the first few, which matter, would be one point
    aside = np.linspace(
        -0.15, 0.15, len(curve.values)
    )  # of each other, or the whiskers would hide one another
    panels = figure.subplots(1, 2)
    for axis, (metric, title) in zip(
        panels, {"hit@10": "Hit@10", "ndcg@10": "NDCG@10"}.items(), strict=True
    ):
        for (name, by_k), colour, step in zip(
            curve.values.items(), SHOT_COLOURS, aside, strict=False
        ):
            values, edges = zip(*(by_k[k][metric] for k in SHOTS), strict=True)
            style = "o-" if name.startswith(MODEL) else "o--"
            look: dict[str, Any] = {
                "color": colour,
                "markersize": 4,
                "linewidth": 1.3,
                "elinewidth": 0.9,
            }
            axis.errorbar(
                places + step, values, whiskers(values, edges), fmt=style, label=name, **look
            )
        axis.set_title(title, fontsize=11, loc="left")
        axis.set_xticks(places, [str(k) for k in SHOTS])
        axis.set_ylim(bottom=0)
        plain_axis(axis)
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc="outside upper left",
        ncols=3,
        frameon=False,
        fontsize=9,
    )
    protocol = curve.protocol
    remark = (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['subset']}, {protocol['users']:,} users the model never "
        "saw; whiskers: 95 % bootstrap over users"
    )
    figure.supxlabel(
        f"events shown before the one asked for\n{remark}", fontsize=8, color="#666666"
    )
    write_figure(path, figure, dpi=130)
