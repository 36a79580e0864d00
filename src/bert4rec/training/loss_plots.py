"""Plot of a run: the loss of each task and the validation metrics over the epochs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.files import write_figure


def plot_losses(epochs: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG with one panel for each task's loss and one for the validation metrics."""
    tasks = [task for task in epochs[0]["losses"] if task != "loss"]
    figure = Figure(figsize=(3.4 * (len(tasks) + 1), 3.1), layout="constrained")
    axes = figure.subplots(1, len(tasks) + 1, squeeze=False)[0]
    number = [epoch["epoch"] for epoch in epochs]
    for axis, task in zip(axes, tasks, strict=False):
        axis.plot(number, [epoch["losses"][task] for epoch in epochs], color="tab:blue")
        _label(axis, task.replace("_", " "), "training loss (nats)" if task == tasks[0] else "")
    for name, colour in (("hit@10", "tab:orange"), ("ndcg@10", "tab:green")):
        axes[-1].plot(
            number, [epoch["validation"][name] for epoch in epochs], color=colour, label=name
        )
    best = max(epochs, key=lambda epoch: epoch["validation"]["ndcg@10"])
    axes[-1].axvline(best["epoch"], color="tab:gray", linestyle=":", label="kept")
    axes[-1].set_ylim(bottom=0)
    axes[-1].legend(frameon=False)
    _label(axes[-1], "validation", "")
    write_figure(path, figure)


def _label(axis: Axes, title: str, unit: str) -> None:
    axis.set_title(title)
    axis.set_xlabel("epoch")
    axis.set_ylabel(unit)
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(alpha=0.25)
