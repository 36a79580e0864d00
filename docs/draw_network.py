"""Draw the figures of docs/tutorial.md: `python docs/draw_network.py docs/pictures`.

`network.png` shows the path of one history through the network.
`passes.png` compares the causal and the masked pass.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.patches import FancyBboxPatch, Rectangle

INK, PAPER, QUIET = "#22313f", "#ffffff", "#8795a1"
INPUT, USER, BODY, HEAD, MASKED = "#d8ecf3", "#fbe5d0", "#dff0d8", "#ece0f5", "#f6c1b8"


def main(folder: Path) -> None:
    """Write both figures."""
    plt.rcParams.update({"font.size": 10, "font.family": "DejaVu Sans", "text.color": INK})
    draw_network(folder / "network.png")
    draw_passes(folder / "passes.png")


def draw_network(path: Path) -> None:
    """Inputs on the left, user tokens below, blocks in the middle, heads on the right."""
    figure, axes = _canvas(12.6, 6.6)
    _heading(axes, 1.55, 6.25, "each past event")
    inputs = [
        ("item", "id embedding + metadata\n(genres, year, price, …)"),
        ("position", "sinusoidal, learned or none"),
        ("time", "day, weekday, hour,\ngap to the event before"),
        ("past rating", "one embedding per level"),
    ]
    for row, (title, detail) in enumerate(inputs):
        y = 5.45 - row * 0.98
        _box(axes, 1.55, y, 2.7, 0.82, INPUT, title, detail)
        _arrow(axes, (2.9, y), (3.45, 3.98))
    _box(axes, 4.1, 3.98, 1.3, 0.95, INPUT, "token", "sum of the\nembeddings")

    _heading(axes, 1.55, 1.72, "the user and the request")
    _box(
        axes, 1.55, 1.05, 2.7, 0.95, USER, "user tokens", "user id · gender · age · …\nrequest time"
    )
    _box(
        axes,
        4.9,
        1.05,
        2.5,
        0.95,
        USER,
        "user cross-attention",
        "every token attends\nto the user tokens",
    )
    _arrow(axes, (2.9, 1.05), (3.65, 1.05))
    _arrow(axes, (4.1, 3.5), (4.5, 1.53), label="query", shift=(-0.33, 0.1))
    _arrow(axes, (5.3, 1.53), (5.55, 3.8), label="added", shift=(0.38, -0.1))
    axes.text(5.52, 3.98, "+", ha="center", va="center", fontsize=17, fontweight="bold")
    _arrow(axes, (4.75, 3.98), (5.38, 3.98))

    _blocks(axes, 7.35, 3.98)
    _arrow(axes, (5.66, 3.98), (6.1, 3.98))
    _box(axes, 9.35, 3.98, 1.0, 0.95, BODY, "states", "one per\ntoken")
    _arrow(axes, (8.6, 3.98), (8.85, 3.98))

    _heading(axes, 11.35, 6.25, "heads")
    heads = [
        (5.45, "item head", "scores of the catalogue:\nstate · item embedding"),
        (3.98, "rating head", "distribution over\nthe rating levels"),
        (2.51, "preference head", "items and genres of the\nnext ten events"),
    ]
    for y, title, detail in heads:
        _box(axes, 11.35, y, 2.2, 0.95, HEAD, title, detail)
        _arrow(axes, (9.85, 3.98), (10.25, y))
    _save(figure, path)


def _blocks(axes: Axes, x: float, y: float) -> None:
    """A stack of blocks with the contents of the first."""
    for offset in (0.16, 0.08):
        _plate(axes, x + offset, y + offset, 2.5, 2.9, BODY)
    _plate(axes, x, y, 2.5, 2.9, BODY)
    axes.text(x, y + 1.15, "block × num_layers", ha="center", va="center", fontweight="bold")
    _box(axes, x, y + 0.35, 2.1, 1.0, PAPER, "self-attention", "bias by distance\nand by time")
    _box(axes, x, y - 0.8, 2.1, 0.75, PAPER, "", "feed-forward\nor elementwise gate")
    _arrow(axes, (x, y - 0.15), (x, y - 0.42))


def draw_passes(path: Path) -> None:
    """Two passes of one history of four events: tokens, targets and attention masks."""
    figure, axes = _canvas(10.4, 4.9)
    causal = ["MASK", "101", "105", "109"]
    masked = ["101", "MASK", "109", "MASK"]
    _pass(axes, 3.6, "causal pass", causal, ["101", "105", "109", "113"], lower=True)
    _pass(axes, 1.1, "masked pass", masked, ["", "105", "", "113"], lower=False)
    _save(figure, path)


def _pass(
    axes: Axes, y: float, title: str, tokens: list[str], targets: list[str], lower: bool
) -> None:
    """One row of the figure."""
    axes.text(0.15, y + 0.3, title, fontweight="bold", fontsize=12, va="center")
    axes.text(0.15, y - 0.12, "earlier tokens only" if lower else "both directions", color=QUIET)
    for column, (token, target) in enumerate(zip(tokens, targets, strict=True)):
        x = 2.95 + column * 1.15
        _box(axes, x, y, 0.95, 0.5, MASKED if token == "MASK" else INPUT, token, "")
        if target:
            _arrow(axes, (x, y + 0.27), (x, y + 0.62))
            axes.text(
                x, y + 0.78, target, ha="center", va="center", fontweight="bold", color="#7b4fa3"
            )
    axes.text(2.95 - 0.55, y + 0.78, "target", ha="right", va="center", color=QUIET, fontsize=9)
    size, left, bottom = 0.34, 8.0, y - 0.62
    for query in range(4):
        for key in range(4):
            visible = not lower or key <= query
            corner = (left + key * size, bottom + (3 - query) * size)
            axes.add_patch(
                Rectangle(corner, size, size, facecolor=BODY if visible else PAPER, edgecolor=QUIET)
            )
    axes.text(left + 2 * size, bottom - 0.22, "key tokens", ha="center", color=QUIET, fontsize=9)
    axes.text(
        left - 0.14, bottom + 2 * size, "query tokens", ha="center", va="center", rotation=90,
        color=QUIET, fontsize=9,
    )  # fmt: skip


def _canvas(width: float, height: float) -> tuple[plt.Figure, Axes]:
    figure, axes = plt.subplots(figsize=(width, height), facecolor=PAPER)
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.axis("off")
    return figure, axes


def _plate(axes: Axes, x: float, y: float, width: float, height: float, colour: str) -> None:
    """A rounded rectangle around a centre."""
    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2),
            width,
            height,
            boxstyle="round,pad=0,rounding_size=0.1",
            facecolor=colour,
            edgecolor=INK,
            linewidth=1.1,
        )
    )


def _box(
    axes: Axes,
    x: float,
    y: float,
    width: float,
    height: float,
    colour: str,
    title: str,
    detail: str,
) -> None:
    """A plate with a bold title and smaller text under it."""
    _plate(axes, x, y, width, height, colour)
    lines = detail.count("\n") + 1 if detail else 0
    if title:
        rise = 0.115 * lines
        axes.text(x, y + rise, title, ha="center", va="center", fontweight="bold")
    if detail:
        drop = 0.14 if title else 0
        axes.text(x, y - drop, detail, ha="center", va="center", fontsize=8.5, linespacing=1.15)


def _heading(axes: Axes, x: float, y: float, text: str) -> None:
    axes.text(x, y, text, ha="center", va="center", color=QUIET, fontsize=11)


def _arrow(
    axes: Axes,
    start: tuple[float, float],
    end: tuple[float, float],
    label: str = "",
    shift: tuple[float, float] = (0, 0),
) -> None:
    style = {"arrowstyle": "-|>", "color": INK, "shrinkA": 1, "shrinkB": 1, "linewidth": 1.1}
    axes.annotate("", xy=end, xytext=start, arrowprops=style)
    if label:
        x, y = (start[0] + end[0]) / 2 + shift[0], (start[1] + end[1]) / 2 + shift[1]
        axes.text(x, y, label, ha="center", va="center", color=QUIET, fontsize=9)


def _save(figure: plt.Figure, path: Path) -> None:
    figure.savefig(path, dpi=110, bbox_inches="tight", pad_inches=0.1)
    plt.close(figure)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
