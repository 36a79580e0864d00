"""Pictures of answers: where a network looked when it read one history.

Legend: H heads, L places.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bert4rec.engine.answers import AttentionMaps
from bert4rec.evaluation.metrics import Floats
from bert4rec.files import write_picture

SHOWN_PLACES = 20
"""The most recent places of a long history are drawn; so many can still be read."""
LABEL_LENGTH = 24


def plot_attention(maps: AttentionMaps, path: str | Path) -> None:
    """A PNG with a panel for each block and head (query down, key across), and the user's tokens below.

    Blank is out of sight, dark is least; each panel has a scale of its own.
    """
    rows, heads = len(maps.layers), maps.layers[0].shape[0]
    has_user = bool(maps.user_tokens)
    figure = Figure(figsize=(2.2 + 3.1 * heads, 0.4 + 3.1 * rows + 1.3 * has_user), layout="constrained")
    axes = figure.subplots(
        rows + has_user, heads, squeeze=False, height_ratios=[1.0] * rows + [0.1 + 0.04 * heads] * has_user
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
        axes[-1][0].set_yticks(range(heads), [f"head {head + 1}" for head in range(heads)], fontsize=7)
        axes[-1][0].set_xticks(range(len(maps.user_tokens)), maps.user_tokens, rotation=30, ha="right", fontsize=7)
        axes[-1][0].set_title("the last place asks the user", fontsize=9)
    write_picture(Path(path), figure, dpi=130)


def _draw(axis: Axes, weight_LL: Floats) -> None:
    axis.imshow(np.where(weight_LL == 0, np.nan, weight_LL), cmap="magma", aspect="auto", interpolation="nearest")
    axis.set_xticks([])
    axis.set_yticks([])


def _label_places(axis: Axes, places: Sequence[str]) -> None:
    short = [place if len(place) <= LABEL_LENGTH else place[: LABEL_LENGTH - 1] + "…" for place in places]
    axis.set_yticks(range(len(short)), short, fontsize=6)
