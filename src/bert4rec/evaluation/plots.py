"""A model beside its baselines, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
