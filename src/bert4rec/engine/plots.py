"""Plots of answers: effects of an explanation, and attention maps.

Legend: H attention heads, L positions, J user tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.data.arrays import Floats
from bert4rec.engine.answers import AttentionMaps, EventEffect, Explanation
from bert4rec.files import write_figure
from bert4rec.shown_text import shown_in_picture

MOST_DRAWN_POSITIONS = 20
"""Number of positions that can still be read; the latest ones are drawn."""
LABEL_LENGTH = 24
MOST_NAMED_EVENTS = 5
DPI = 130
POSITIVE, NEGATIVE, AXIS = "#2b6cb0", "#c05640", "#333333"


def plot_explanation(explanation: Explanation, path: str | Path) -> None:
    """Write a PNG of an explanation: effects of the events by position, and of the features."""
    effects = _feature_effects(explanation)
    bars_height = 0.3 + 0.28 * len(effects)
    heights = [3.0, bars_height] if effects else [3.0]
    figure = Figure(
        figsize=(9.6, 3.6 + (0.3 + bars_height if effects else 0)), layout="constrained"
    )
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    _draw_events(panels[0], explanation)
    if effects:
        _draw_features(panels[1], effects)
    for panel in panels:
        panel.spines[["top", "right"]].set_visible(False)
    write_figure(Path(path), figure, dpi=DPI)


def _feature_effects(explanation: Explanation) -> dict[str, float]:
    """Effects of user, request and item features, by the label of their bar."""
    of_item = explanation.item_feature_effects.items()
    return {
        **explanation.context_effects,
        **{f"item: {name}": effect for name, effect in of_item},
    }


def _draw_events(panel: Axes, explanation: Explanation) -> None:
    """Bar of each event's effect at its position; the most important events have numbers."""
    named = explanation.events[:MOST_NAMED_EVENTS]
    panel.bar(
        [event.position + 1 for event in explanation.events],
        [event.effect for event in explanation.events],
        color=[_colour(event.effect) for event in explanation.events],
    )
    for number, event in enumerate(named, 1):
        _draw_number(panel, number, event)
    legend = [_legend_line(number, event) for number, event in enumerate(named, 1)]
    panel.text(0.01, 0.98, "\n".join(legend), transform=panel.transAxes, va="top", fontsize=8)
    panel.margins(y=0.15)
    panel.axhline(0, color=AXIS, linewidth=0.8)
    panel.set_xlabel("position in the history, the latest event on the right", fontsize=9)
    name = _shortened(explanation.title or f"item {explanation.item_id}")
    title = f"{name}, rank {explanation.rank}: effect of each past event on the score"
    panel.set_title(title, fontsize=10, loc="left")


def _draw_number(panel: Axes, number: int, event: EventEffect) -> None:
    """Number above a bar; staggered, so that numbers of neighbouring bars stay apart."""
    panel.annotate(
        str(number),
        (event.position + 1, event.effect),
        (0, 3 + 8 * (MOST_NAMED_EVENTS - number)),
        textcoords="offset points",
        ha="center",
        fontsize=8,
        arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5},
    )


def _legend_line(number: int, event: EventEffect) -> str:
    name = _shortened(event.title or f"item {event.item_id}")
    return f"{number}  {name}  {event.effect:+.2f}"


def _draw_features(panel: Axes, effects: Mapping[str, float]) -> None:
    """Horizontal bar of each feature's effect."""
    colours = [_colour(effect) for effect in effects.values()]
    panel.barh([shown_in_picture(name) for name in effects], list(effects.values()), color=colours)
    panel.invert_yaxis()
    panel.axvline(0, color=AXIS, linewidth=0.8)
    panel.set_title("effect of each feature on the score", fontsize=10, loc="left")


def _colour(effect: float) -> str:
    return POSITIVE if effect > 0 else NEGATIVE


def _shortened(name: str) -> str:
    name = shown_in_picture(name)
    return name if len(name) <= LABEL_LENGTH else f"{name[: LABEL_LENGTH - 1]}…"


def plot_attention(maps: AttentionMaps, path: str | Path) -> None:
    """Write a PNG of attention maps: a panel for each block and head, user tokens below.

    Rows are query positions, columns key positions. Blank weights are zero, dark ones are low; each
    panel has its own scale.
    """
    blocks, heads = len(maps.layers), maps.layers[0].shape[0]
    user_panels = 1 if maps.user_tokens else 0
    figure = Figure(
        figsize=(2.2 + 3.1 * heads, 0.4 + 3.1 * blocks + 1.3 * user_panels), layout="constrained"
    )
    heights = [1.0] * blocks + [0.1 + 0.04 * heads] * user_panels
    panels = figure.subplots(blocks + user_panels, heads, squeeze=False, height_ratios=heights)
    for block, (weight_HLL, row) in enumerate(zip(maps.layers, panels, strict=False), 1):
        for head, (weight_LL, panel) in enumerate(zip(weight_HLL, row, strict=True), 1):
            _draw_weights(panel, weight_LL[-MOST_DRAWN_POSITIONS:, -MOST_DRAWN_POSITIONS:])
            panel.set_title(f"block {block}, head {head}", fontsize=9)
        _label_rows(row[0], maps.positions[-MOST_DRAWN_POSITIONS:])
    if maps.user_tokens:
        _draw_user_tokens(panels[-1], maps)
    write_figure(Path(path), figure, dpi=DPI)


def _draw_user_tokens(row: Sequence[Axes], maps: AttentionMaps) -> None:
    """Cross-attention of the last position to the user tokens, one row per head."""
    panel, *unused = row
    for other in unused:
        other.remove()
    _draw_weights(panel, maps.user_HJ)
    heads, tokens = maps.user_HJ.shape
    panel.set_yticks(range(heads), [f"head {head + 1}" for head in range(heads)], fontsize=7)
    panel.set_xticks(
        range(tokens),
        [shown_in_picture(name) for name in maps.user_tokens],
        rotation=30,
        ha="right",
        fontsize=7,
    )
    panel.set_title("attention of the last position to the user tokens", fontsize=9)


def _draw_weights(panel: Axes, weights: Floats) -> None:
    """Image of attention weights; zeros are blank."""
    shown = np.where(weights == 0, np.nan, weights)
    panel.imshow(shown, cmap="magma", aspect="auto", interpolation="nearest")
    panel.set_xticks([])
    panel.set_yticks([])


def _label_rows(panel: Axes, names: Sequence[str]) -> None:
    panel.set_yticks(range(len(names)), [_shortened(name) for name in names], fontsize=6)
