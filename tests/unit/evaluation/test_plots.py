from __future__ import annotations

from pathlib import Path

import pytest
from matplotlib.figure import Figure

from bert4rec.evaluation.plots import _bars, plot_comparison
from bert4rec.evaluation.report import Report
from small_worlds import constant, dataset_of, knows, leave_one_out


@pytest.fixture(scope="module")
def reports() -> list[Report]:
    from bert4rec.evaluation.evaluate import evaluate

    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], num_items=30)
    split = leave_one_out(dataset)
    return [evaluate(scorer, dataset, split) for scorer in (knows(dataset, split), constant(dataset))]


def test_a_picture_is_a_png_and_all_that_is_written(reports: list[Report], tmp_path: Path) -> None:
    plot_comparison(reports, tmp_path / "comparison.png")
    assert [path.name for path in tmp_path.iterdir()] == ["comparison.png"]
    assert (tmp_path / "comparison.png").read_bytes().startswith(b"\x89PNG")


def test_reports_of_one_name_have_a_bar_each(reports: list[Report]) -> None:
    axis = Figure().subplots()
    _bars(axis, [reports[0], reports[0], reports[1]], "hit@10")
    assert [bar.get_width() for bar in axis.patches] == [1, 1, 0]
    assert len({bar.get_y() for bar in axis.patches}) == 3


def test_metrics_without_an_interval_and_values_of_nothing_are_drawn(reports: list[Report], tmp_path: Path) -> None:
    plot_comparison(reports[1:], tmp_path / "c.png", metrics=["coverage@10", "hit@1"])
    assert (tmp_path / "c.png").is_file()


def test_a_picture_that_cannot_be_written_is_named(reports: list[Report], tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent/c\.png"):
        plot_comparison(reports, tmp_path / "absent" / "c.png")
