from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bert4rec.evaluation.plots import _bars, _counts, _shares, plot_comparison, plot_reliability
from bert4rec.evaluation.report import Report
from bert4rec.result_tables import Estimate
from small_worlds import constant, dataset_of, knows, leave_one_out


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    from bert4rec.evaluation.evaluate import evaluate

    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], num_items=30)
    split = leave_one_out(dataset)
    return [
        evaluate(scorer, dataset, split) for scorer in (knows(dataset, split), constant(dataset))
    ]


def test_comparison_is_one_png(reports: list[Report], tmp_path: Path) -> None:
    plot_comparison(reports, tmp_path / "comparison.png")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.png"]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_reports_of_one_name_have_a_bar_each(reports: list[Report]) -> None:
    axis = Figure().subplots()
    _bars(axis, [reports[0], reports[0], reports[1]], "hit@10")
    assert [bar.get_width() for bar in axis.patches] == [1, 1, 0]
    assert len({bar.get_y() for bar in axis.patches}) == 3


def test_metrics_without_an_interval_and_zeros_are_drawn(
    reports: list[Report], tmp_path: Path
) -> None:
    plot_comparison(reports[1:], tmp_path / "c.png", metrics=["coverage@10", "hit@1"])
    assert (tmp_path / "c.png").is_file()


def test_picture_that_cannot_be_written_is_named(reports: list[Report], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent/c\.png"):
        plot_comparison(reports, tmp_path / "absent" / "c.png")


ROWS = [
    {"level": 1, "cases": 90, "predicted": 0.03, "observed": 0.02},
    {"level": 1, "cases": 9, "predicted": 0.52, "observed": 1.0},
    {"level": 2, "cases": 99, "predicted": 0.97, "observed": 0.9},
]


def test_reliability_is_drawn_as_a_png(reports: list[Report], tmp_path: Path) -> None:
    metrics = {
        **reports[0].metrics,
        "rating_ece": Estimate(0.02),
        "rating_ece_chance": Estimate(0.01),
    }
    plot_reliability(replace(reports[0], reliability=ROWS, metrics=metrics), tmp_path / "r.png")
    assert (tmp_path / "r.png").read_bytes().startswith(b"\x89PNG")


def test_levels_have_points_with_enough_cases_and_all_counts() -> None:
    shares, counts = Figure().subplots(2, 1)
    _shares(shares, ROWS)
    _counts(counts, ROWS)
    points = [
        points.get_offsets().tolist() for points in shares.collections if len(points.get_offsets())
    ]
    assert [[0.03, 0.02]] in points
    assert [[0.97, 0.9]] in points
    assert not any([0.52, 1.0] in of for of in points)
    assert [text.get_text() for text in shares.get_legend().get_texts()] == ["1", "2"]
    heights = {
        round(bar.get_x(), 2): bar.get_height() for bar in counts.patches if bar.get_height()
    }
    assert heights == {0.0: 90, 0.5: 9, 0.95: 99}
