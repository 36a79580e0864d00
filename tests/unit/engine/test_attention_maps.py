"""Attention can be looked at: weights by block and head, and a picture of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert4rec.cli.main import main
from bert4rec.engine.answers import AttentionMaps
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.engine.plots import plot_attention
from bert4rec.errors import UnknownUser

SEQUENCE = [104, 108, 103]


@pytest.fixture
def maps(engine: RecommendationEngine) -> AttentionMaps:
    return engine.attention_maps(2, SEQUENCE)


def test_a_causal_reading_has_a_start_and_the_events(
    engine: RecommendationEngine, maps: AttentionMaps
) -> None:
    assert maps.places == ["start", *(engine.dataset.titles[item_id - 101] for item_id in SEQUENCE)]  # type: ignore[index]
    assert [layer.shape for layer in maps.layers] == [(2, 4, 4)]


def test_each_place_looks_at_itself_and_what_came_before(maps: AttentionMaps) -> None:
    for layer_HLL in maps.layers:
        np.testing.assert_allclose(layer_HLL.sum(2), 1, rtol=1e-5)
        assert not np.triu(layer_HLL, 1).any()


def test_the_last_place_takes_all_it_takes_from_the_users_tokens(maps: AttentionMaps) -> None:
    assert maps.user_tokens == ["user id", "gender", "age_group", "occupation_code", "request"]
    assert maps.user_HS.shape == (2, 5)
    np.testing.assert_allclose(maps.user_HS.sum(1), 1, rtol=1e-5)


def test_only_what_is_read_has_a_place(engine: RecommendationEngine) -> None:
    maps = engine.attention_maps(2)  # 20 events are stored, 12 are read
    assert len(maps.places) == maps.layers[0].shape[2] == 13


def test_who_is_unknown_has_no_maps(engine: RecommendationEngine) -> None:
    with pytest.raises(UnknownUser):
        engine.attention_maps(9999)


def test_the_picture_is_a_png(maps: AttentionMaps, tmp_path: Path) -> None:
    plot_attention(maps, tmp_path / "maps.png")
    assert (tmp_path / "maps.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_without_user_tokens_is_drawn_too(maps: AttentionMaps, tmp_path: Path) -> None:
    plot_attention(replace(maps, user_tokens=[], user_HS=np.empty((0, 0))), tmp_path / "maps.png")
    assert (tmp_path / "maps.png").is_file()


def test_a_picture_that_cannot_be_written_says_so(maps: AttentionMaps, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere/maps\.png"):
        plot_attention(maps, tmp_path / "nowhere" / "maps.png")


def test_the_command_draws_it(
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
