"""Reports as pictures: a model beside its baselines, and whether its predicted ratings can be taken at their word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.evaluation.report import Report
from bert4rec.files import write_picture

_TITLES = {"hit": "Hit", "ndcg": "NDCG", "mrr": "MRR"}
_FIRST, _OTHERS, _INK = "#2b6cb0", "#b8c2cc", "#333333"


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
    whiskers = [[abs(edge[side] - value) for value, edge in zip(values, edges, strict=True)] for side in (0, 1)]
    axis.barh(places, values, color=[_FIRST, *[_OTHERS] * (len(reports) - 1)], height=0.62)
    axis.errorbar(values, places, xerr=whiskers, fmt="none", ecolor=_INK, elinewidth=1.1, capsize=3)
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
    protocol = reports[0].protocol
    known = "known" if protocol["request_time"] else "unknown"
    return (
        f"{protocol['dataset']}, {protocol['split']}, {protocol['cases']}, {protocol['users']:,} users, "
        f"{protocol['candidates']}, request time {known}; whiskers: 95 % bootstrap over users"
    )


def plot_reliability(report: Report, path: Path) -> None:
    """Predicted chances of each rating level against the share that came true, dots as large as their counts; a PNG."""
    figure = Figure(figsize=(5.6, 5.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color=_OTHERS, linewidth=1.2, zorder=1)
    levels = sorted({part["level"] for part in report.calibration})
    most = max(part["count"] for part in report.calibration)
    for place, level in enumerate(levels):
        bins = [part for part in report.calibration if part["level"] == level]
        color = colormaps["viridis"](place / max(1, len(levels) - 1) * 0.9)
        x, y = ([part[side] for part in bins] for side in ("predicted", "observed"))
        axis.plot(x, y, color=color, linewidth=0.8, alpha=0.5, zorder=2)
        sizes = [12 + 240 * part["count"] / most for part in bins]
        axis.scatter(x, y, s=sizes, color=color, alpha=0.85, linewidth=0, zorder=3, label=f"rating {level:g}")
    reach = 1.05 * max(max(part["predicted"], part["observed"]) for part in report.calibration)
    axis.set(xlim=(0, reach), ylim=(0, reach), xlabel="predicted probability", ylabel="share that came true")
    axis.set_title(f"Ratings of {report.name}: ECE {report.metrics['rating_ece']:.4f}", fontsize=11, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(color="#e6e6e6")
    axis.set_axisbelow(True)
    handles, names = axis.get_legend_handles_labels()
    for handle in axis.legend(handles, names, frameon=False, loc="upper left").legend_handles:
        handle.set_sizes([40])  # type: ignore[union-attr]
    figure.supxlabel(_caption([report]), fontsize=7, color="#666666")
    write_picture(path, figure, dpi=130)
