"""Pictures of answers: what carries an item, and where a network looked when it read one history.

Legend: H heads, L places.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.data.arrays import Floats
from bert4rec.engine.answers import AttentionMaps, Explanation
from bert4rec.files import write_figure

SHOWN_PLACES = 20
"""The most recent places of a long history are drawn; so many can still be read."""
LABEL_LENGTH = 24
NAMED_EVENTS = 5


def plot_explanation(explained: Explanation, path: str | Path) -> None:
    """A PNG: each event's effect at its place in the history, the most important ones named, and what else is known."""
    others = {
        **explained.side_information,
        **{f"item: {name}": w for name, w in explained.item_information.items()},
    }
    figure = Figure(
        figsize=(9.6, 3.6 + 0.28 * len(others) + 0.6 * bool(others)), layout="constrained"
    )
    panels = figure.subplots(
        1 + bool(others),
        1,
        squeeze=False,
        height_ratios=[3.0, 0.3 + 0.28 * len(others)][: 1 + bool(others)],
    )
    events = panels[0][0]
    events.bar(
        [event.position + 1 for event in explained.events],
        [event.effect for event in explained.events],
        color=[_colour(event.effect) for event in explained.events],
    )
    for number, event in enumerate(explained.events[:NAMED_EVENTS], 1):
        events.annotate(
            str(number),
            (event.position + 1, event.effect),
            (0, 3 + 8 * (NAMED_EVENTS - number)),
            textcoords="offset points",
            ha="center",
            fontsize=8,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5},
        )
    named = [
        f"{number}  {_shortened(event.title or f'item {event.item_id}')}  {event.effect:+.2f}"
        for number, event in enumerate(explained.events[:NAMED_EVENTS], 1)
    ]
    events.text(0.01, 0.98, "\n".join(named), transform=events.transAxes, va="top", fontsize=8)
    events.margins(y=0.15)
    events.set_xlabel("event of the history, the latest on the right", fontsize=9)
    name = explained.title or f"item {explained.item_id}"
    events.set_title(
        f"{_shortened(name)}, number {explained.rank}: what each past event adds to the score",
        fontsize=10,
        loc="left",
    )
    if others:
        panels[1][0].barh(
            list(others),
            list(others.values()),
            color=[_colour(effect) for effect in others.values()],
        )
        panels[1][0].invert_yaxis()
        panels[1][0].set_title("what else is known adds", fontsize=10, loc="left")
    for axis in panels[:, 0]:
        axis.spines[["top", "right"]].set_visible(False)
        axis.axhline(0, color="#333333", linewidth=0.8) if axis is events else axis.axvline(
            0, color="#333333", linewidth=0.8
        )
    write_figure(Path(path), figure, dpi=130)


def _colour(effect: float) -> str:
    return "#2b6cb0" if effect > 0 else "#c05640"


def _shortened(name: str) -> str:
    return name if len(name) <= LABEL_LENGTH else name[: LABEL_LENGTH - 1] + "…"


def plot_attention(maps: AttentionMaps, path: str | Path) -> None:
    """A PNG with a panel for each block and head (query down, key across), and the user's tokens below.

    Blank is out of sight, dark is least; each panel has a scale of its own.
    """
    rows, heads = len(maps.layers), maps.layers[0].shape[0]
    has_user = bool(maps.user_tokens)
    figure = Figure(
        figsize=(2.2 + 3.1 * heads, 0.4 + 3.1 * rows + 1.3 * has_user), layout="constrained"
    )
    axes = figure.subplots(
        rows + has_user,
        heads,
        squeeze=False,
        height_ratios=[1.0] * rows + [0.1 + 0.04 * heads] * has_user,
    )
    for block, layer_HLL in enumerate(maps.layers):
        for head, weight_LL in enumerate(layer_HLL):
            _draw(axes[block][head], weight_LL[-SHOWN_PLACES:, -SHOWN_PLACES:])
            axes[block][head].set_title(f"block {block + 1}, head {head + 1}", fontsize=9)
        _label_places(axes[block][0], maps.places[-SHOWN_PLACES:])
    if has_user:
        for axis in axes[-1][1:]:
            axis.remove()
        _draw(axes[-1][0], maps.user_HS)
        axes[-1][0].set_yticks(
            range(heads), [f"head {head + 1}" for head in range(heads)], fontsize=7
        )
        axes[-1][0].set_xticks(
            range(len(maps.user_tokens)), maps.user_tokens, rotation=30, ha="right", fontsize=7
        )
        axes[-1][0].set_title("the last place asks the user", fontsize=9)
    write_figure(Path(path), figure, dpi=130)


def _draw(axis: Axes, weight_LL: Floats) -> None:
    axis.imshow(
        np.where(weight_LL == 0, np.nan, weight_LL),
        cmap="magma",
        aspect="auto",
        interpolation="nearest",
    )
    axis.set_xticks([])
    axis.set_yticks([])


def _label_places(axis: Axes, places: Sequence[str]) -> None:
    axis.set_yticks(range(len(places)), [_shortened(place) for place in places], fontsize=6)
