"""`models/ml-1m` holds numbers alone and gives the figures of its card again."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from command_line import ROOT, run

MODEL = ROOT / "models" / "ml-1m"
SHOWN = ("hit@10", "ndcg@10", "mrr", "rating_rmse")


def test_pretrained_model_is_small_and_holds_none_of_the_data() -> None:
    files = {path.name for path in MODEL.iterdir()}
    assert files == {
        "config.json",
        "model.safetensors",
        "metrics.json",
        "training.json",
        "README.md",
    }
    assert sum(path.stat().st_size for path in MODEL.iterdir()) <= 6_000_000
    assert b"table_O" not in (MODEL / "model.safetensors").read_bytes()


@pytest.mark.movielens
@pytest.mark.slow
def test_pretrained_model_reproduces_its_metrics(movielens: Path) -> None:
    done = run("evaluate", "--model", MODEL, "--data_dir", movielens, "--json")
    if "has checksum" in done.err:
        pytest.skip(
            "the archive at hand is another copy than the one that the model was trained on"
        )
    found, stored = json.loads(done.out), json.loads((MODEL / "metrics.json").read_text())
    for row, report in found["rows"].items():
        told = stored[f"test_{row}"]["metrics"]
        assert [report["metrics"][name]["value"] for name in SHOWN] == pytest.approx(
            [told[name]["value"] for name in SHOWN], abs=2e-4
        )
    assert found["metrics"] == found["rows"]["request_time_on"]["metrics"]
