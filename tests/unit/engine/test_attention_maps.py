"""Attention maps: weights by block and head, names of their positions, and their plot."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert4rec.cli.main import main
from bert4rec.engine.answers import AttentionMaps
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.plots import plot_attention
from bert4rec.engine.request import Request
from bert4rec.errors import UnknownUser

SEQUENCE = [104, 108, 103]


@pytest.fixture
def maps(engine: RecommendationEngine) -> AttentionMaps:
    return engine.attention_maps(Request(2, SEQUENCE))


def test_a_causal_pass_has_a_start_token_and_the_events(
    engine: RecommendationEngine, maps: AttentionMaps
) -> None:
    assert maps.positions == [
        "start",
        *(engine.dataset.titles[item_id - 101] for item_id in SEQUENCE),
    ]  # type: ignore[index]
    assert [layer.shape for layer in maps.layers] == [(2, 4, 4)]


def test_each_position_attends_to_itself_and_earlier_ones(maps: AttentionMaps) -> None:
    for layer_HLL in maps.layers:
        np.testing.assert_allclose(layer_HLL.sum(2), 1, rtol=1e-5)
        assert not np.triu(layer_HLL, 1).any()


def test_weights_of_the_user_tokens_sum_to_one(maps: AttentionMaps) -> None:
    assert maps.user_tokens == ["user id", "gender", "age_group", "occupation_code", "request"]
    assert maps.user_HJ.shape == (2, 5)
    np.testing.assert_allclose(maps.user_HJ.sum(1), 1, rtol=1e-5)


def test_only_events_that_are_read_have_a_position(engine: RecommendationEngine) -> None:
    maps = engine.attention_maps(Request(2))  # 20 events are stored, 12 are read
    assert len(maps.positions) == maps.layers[0].shape[2] == 13


def test_an_unknown_user_has_no_maps(engine: RecommendationEngine) -> None:
    with pytest.raises(UnknownUser):
        engine.attention_maps(Request(9999))


def test_the_plot_is_a_png(maps: AttentionMaps, tmp_path: Path) -> None:
    plot_attention(maps, tmp_path / "maps.png")
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")


def test_maps_without_user_tokens_are_drawn_too(maps: AttentionMaps, tmp_path: Path) -> None:
    plot_attention(replace(maps, user_tokens=[], user_HJ=np.empty((0, 0))), tmp_path / "maps.png")
    assert (tmp_path / "maps.png").is_file()


def test_a_plot_that_cannot_be_written_is_an_error(maps: AttentionMaps, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/maps\.png"):
        plot_attention(maps, tmp_path / "nowhere" / "maps.png")


def test_the_command_draws_the_maps(
    model_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "maps.png"
    assert (
        main(
            ["explain", "--model", str(model_folder), "--user_id", "2", "--attention", str(picture)]
        )
        == 0
    )
    assert picture.is_file()
