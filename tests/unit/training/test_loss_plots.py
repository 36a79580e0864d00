from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure

from bert4rec.training.loss_plots import plot_losses


def history(*tasks: str) -> list[dict[str, Any]]:
    return [
        {
            "epoch": number,
            "losses": {**dict.fromkeys(tasks, 3.0 / number), "loss": 9.0},
            "validation": {"hit@10": 0.1 * number, "ndcg@10": 0.05 * number},
        }
        for number in (1, 2, 3)
    ]


@pytest.mark.parametrize("epochs", [1, 3])
def test_the_picture_is_a_png_and_nothing_half_written_is_left(tmp_path: Path, epochs: int) -> None:
    plot_losses(history("next_item", "user_preference")[:epochs], tmp_path / "losses.png")
    assert [path.name for path in tmp_path.iterdir()] == ["losses.png"]
    assert (tmp_path / "losses.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that were saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def note(self: Figure, *where: Any, **how: Any) -> None:
        figures.append(self)
        save(self, *where, **how)

    monkeypatch.setattr(Figure, "savefig", note)
    return figures


def test_every_task_has_a_panel_and_validation_has_one(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_losses(
        history("item_prediction", "next_item", "rating_prediction"), tmp_path / "losses.png"
    )
    panels = drawn[0].axes
    assert [axis.get_title() for axis in panels] == [
        "item prediction",
        "next item",
        "rating prediction",
        "validation",
    ]
    assert list(panels[1].lines[0].get_ydata()) == [3.0, 1.5, 1.0]


def test_the_epoch_that_is_kept_is_marked(tmp_path: Path, drawn: list[Figure]) -> None:
    epochs = history("next_item")
    epochs[1]["validation"]["ndcg@10"] = 0.9
    plot_losses(epochs, tmp_path / "losses.png")
    kept = {line.get_label(): list(line.get_xdata()) for line in drawn[0].axes[-1].lines}["kept"]
    assert kept == [2, 2]
