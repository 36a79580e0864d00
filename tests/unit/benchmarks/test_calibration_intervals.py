from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from bert4rec.evaluation.calibration import calibration_metrics, count_in_bins, reliability_table


@pytest.fixture
def calibration_intervals(
    benchmark_script: Callable[[str], ModuleType], monkeypatch: pytest.MonkeyPatch
) -> ModuleType:
    module = benchmark_script("calibration_intervals")
    for name, value in {"CASES": 300, "MANY": 3000, "RESAMPLES": 20}.items():
        monkeypatch.setattr(module, name, value)
    return module


def test_resampled_error_equals_the_metric(calibration_intervals: ModuleType) -> None:
    random = np.random.default_rng(0)
    stated_CR, _ = calibration_intervals.people(random, 300, 0.5)
    rating_C = random.integers(1, 6, 300)
    table = reliability_table(count_in_bins(stated_CR, rating_C), np.arange(5.0))
    residual_CR = (rating_C[:, None] == np.arange(1, 6)) - stated_CR
    assert calibration_intervals.binned_error(stated_CR, residual_CR) == pytest.approx(
        calibration_metrics(table)["rating_ece"]
    )


def test_true_error_grows_with_sharpness(calibration_intervals: ModuleType, tmp_path: Path) -> None:
    calibration_intervals.main(["--worlds", "2", "--output", str(tmp_path / "out.json")])
    truths = [row["truth"] for row in json.loads((tmp_path / "out.json").read_text())["found"]]
    assert truths[0] == 0 < truths[1] < truths[2]
