"""Accuracy and diversity of MMR-re-ranked lists."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from bert4rec.errors import UsageError
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.ids import FIRST_ITEM
from bert4rec.studies.diversity import DIVERSITIES, diversity_curve
from bert4rec.studies.plots import plot_diversity
from small_worlds import Scores, constant, dataset_of, leave_one_out

ITEMS = 40


class WithVectors(Scores):
    """Scores that fall with the item number; vectors are equal within groups of four."""

    item_VD = torch.cat([torch.zeros(FIRST_ITEM, 10), torch.eye(10).repeat_interleave(4, 0)])


DATASET = dataset_of(
    *([(start + step) % ITEMS for step in range(4)] for start in range(0, ITEMS, 3)),
    genres=[[1 + item // 4 % 5] for item in range(ITEMS)],
)
SCORER = WithVectors(ITEMS, lambda histories: -torch.arange(ITEMS, dtype=torch.float32)[None])


def test_diversity_of_zero_is_the_evaluation() -> None:
    split = leave_one_out(DATASET)
    curve, report = diversity_curve(SCORER, DATASET, split), evaluate(SCORER, DATASET, split)
    for name in ("hit@10", "ndcg@10", "diversity@10", "novelty@10"):
        estimate = curve.values[0.0][name]
        assert estimate.to_dict() == pytest.approx(report.metrics[name].to_dict())
    assert curve.values[0.0]["coverage@10"] == report.metrics["coverage@10"]


def test_more_diversity_raises_the_distance() -> None:
    curve = diversity_curve(SCORER, DATASET, leave_one_out(DATASET), batch_size=3)
    distances = [curve.values[setting]["distance@10"].value for setting in DIVERSITIES]
    assert distances == sorted(distances)
    assert distances[0] < 0.9 < distances[-1] == pytest.approx(1.0)
    assert curve.to_dict()["settings"][-1]["diversity"] == 1.0


def test_distance_by_hand() -> None:
    """Items 0 … 2 are seen; the next ten are of groups of four: one, four, four and one."""
    split = leave_one_out(DATASET)
    curve = diversity_curve(SCORER, DATASET, split)
    lists = [
        np.setdiff1d(np.arange(ITEMS), DATASET.item_N[a:b] - FIRST_ITEM)[:10] // 4
        for a, b in zip(split.test.start_C, split.test.target_C, strict=True)
    ]
    first, second = np.triu_indices(10, 1)
    expected = np.mean([(group[first] != group[second]).mean() for group in lists])
    assert curve.values[0.0]["distance@10"].value == pytest.approx(expected)


def test_scorer_without_vectors_is_refused() -> None:
    with pytest.raises(UsageError, match="name one model alone"):
        diversity_curve(constant(DATASET), DATASET, leave_one_out(DATASET))


def test_picture_has_a_panel_for_each_metric_of_variety(tmp_path: Path) -> None:
    curve = diversity_curve(SCORER, DATASET, leave_one_out(DATASET))
    plot_diversity(curve, tmp_path / "diversity.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "diversity.png").shape
    assert width > 2 * height
