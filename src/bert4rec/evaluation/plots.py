"""A model beside its baselines, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from bert4rec.evaluation.report import Report


def plot_comparison(reports: Sequence[Report], path: Path, metrics: Sequence[str] = ("ndcg@10", "hit@10")) -> None:
    """Bars with 95 % intervals, one panel for each metric, the first report on top and in colour; a PNG."""
    figure = Figure(figsize=(4.6 * len(metrics), 0.9 + 0.5 * len(reports)), layout="constrained")
    axes = figure.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
    names = [report.name for report in reports]
    colours = ["tab:blue", *["tab:gray"] * (len(reports) - 1)]
    for axis, metric in zip(axes, metrics, strict=True):
        values = [report.metrics[metric] for report in reports]
        edges = [report.intervals[metric] for report in reports]
        below = [value - low for value, (low, _) in zip(values, edges, strict=True)]
        above = [high - value for value, (_, high) in zip(values, edges, strict=True)]
        axis.barh(names, values, xerr=[below, above], color=colours, height=0.6, error_kw={"capsize": 3})
        for place, (value, (_, high)) in enumerate(zip(values, edges, strict=True)):
            axis.annotate(f"{value:.4f}", (high, place), (4, 0), textcoords="offset points", va="center", fontsize=9)
        axis.set_title({"ndcg@10": "NDCG@10", "hit@10": "Hit@10"}.get(metric, metric))
        axis.set_xlim(0, max(high for _, high in edges) * 1.22)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].invert_yaxis()
    protocol = reports[0].protocol
    known = "known" if protocol["request_time"] else "unknown"
    axes[0].set_xlabel(
        f"{protocol['dataset']}, {protocol['split']}, {protocol['cases']}, request time {known}", loc="left"
    )
    unfinished = path.with_suffix(".tmp")
    figure.savefig(unfinished, format="png", dpi=120)
    unfinished.replace(path)
