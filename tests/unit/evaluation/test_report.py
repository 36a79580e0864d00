"""Reports as files, JSON and Markdown."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bert4rec.errors import DataError
from bert4rec.evaluation.comparison import compare
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.protocol import protocol_line
from bert4rec.evaluation.report import Report, load_report, metrics_table, save_report
from small_worlds import constant, dataset_of, knows, leave_one_out


@pytest.fixture(scope="module")
def reports() -> tuple[Report, Report]:
    """A perfect scorer and a constant one."""
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], [5, 6, 7], num_items=30, gender=[1, 2, 2])
    split = leave_one_out(dataset)
    return evaluate(knows(dataset, split), dataset, split), evaluate(
        constant(dataset), dataset, split
    )


def with_ranks(report: Report, *ranks: int) -> Report:
    return replace(report, rank_C=np.array(ranks))


def test_report_comes_back_from_its_file(reports: tuple[Report, Report], tmp_path: Path) -> None:
    save_report(reports[0], tmp_path / "report.json")
    assert load_report(tmp_path / "report.json").to_dict(with_cases=True) == reports[0].to_dict(
        with_cases=True
    )
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_dictionary_without_cases_is_short_and_plain(reports: tuple[Report, Report]) -> None:
    content = reports[0].to_dict()
    assert set(content) == {"name", "metrics", "protocol", "slices"}
    assert json.loads(json.dumps(content)) == content


def with_errors(report: Report, *errors: float) -> Report:
    return replace(report, squared_error_C=np.array(errors))


def test_rating_errors_come_back_from_the_file_and_unknown_ones_are_null(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    rows = [{"level": 1.0, "cases": 3, "predicted": 0.2, "observed": 0.25}]
    report = replace(with_errors(reports[0], 0.25, np.nan, 1), reliability=rows)
    save_report(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["squared_errors"] == [0.25, None, 1]
    loaded = load_report(tmp_path / "report.json")
    assert loaded.squared_error_C.tolist() == [0.25, pytest.approx(np.nan, nan_ok=True), 1]
    assert loaded.reliability == rows


def test_report_without_rating_errors_is_read_and_compared(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    content = with_errors(reports[0], 1, 1, 1).to_dict(with_cases=True)
    del content["squared_errors"]
    (tmp_path / "older.json").write_text(json.dumps(content))
    older = load_report(tmp_path / "older.json")
    assert older.squared_error_C is None
    assert set(compare(older, with_errors(reports[1], 1, 1, 1)).difference) == {"hit@10", "ndcg@10"}


@pytest.mark.parametrize("errors", [[1], [1, 1, -1], "many", [1, 1, "x"], {}])
def test_a_report_whose_rating_errors_are_not_those_of_its_users_is_refused(
    reports: tuple[Report, Report], tmp_path: Path, errors: object
) -> None:
    (tmp_path / "r.json").write_text(
        json.dumps({**reports[0].to_dict(with_cases=True), "squared_errors": errors})
    )
    with pytest.raises(DataError, match=r"r\.json: not a report") as refusal:
        load_report(tmp_path / "r.json")
    assert "\n" not in str(refusal.value)


def test_a_report_that_cannot_be_written_leaves_nothing(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent/report\.json"):
        save_report(reports[0], tmp_path / "absent" / "report.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"/folder\.json"):
        save_report(reports[0], tmp_path / "folder.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


@pytest.mark.parametrize("text", ["", "[]", "7", '"x"', "{}", '{"ranks": [1], "metrics": {}}'])
def test_a_file_that_is_no_report_is_refused_in_one_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(text)
    with pytest.raises(
        DataError, match=r"other\.json: not a report of 'bert4rec evaluate --output'"
    ) as refusal:
        load_report(path)
    assert "\n" not in str(refusal.value)
    with pytest.raises(DataError, match="not a report"):
        load_report(tmp_path / "absent.json")


def test_a_report_with_too_few_ranks_is_refused(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    save_report(with_ranks(reports[0], 1, 1), tmp_path / "short.json")
    with pytest.raises(DataError, match="its ranks are not those of its users"):
        load_report(tmp_path / "short.json")


def test_table_has_a_row_for_each_report_and_the_protocol_once(
    reports: tuple[Report, Report],
) -> None:
    lines = metrics_table(reports).to_markdown().splitlines()
    assert lines[0] == "| model | hit@10 | ndcg@10 | mrr |"
    assert lines[2].startswith("| knows | 1.0000 [1.0000, 1.0000] |")
    assert lines[3].startswith("| constant | 0.0000 [0.0000, 0.0000] |")
    assert lines[5:] == [reports[0].protocol_line()]


def test_a_report_in_markdown_holds_every_metric_and_slice(reports: tuple[Report, Report]) -> None:
    text = reports[0].to_markdown()
    for metric in reports[0].metrics:
        assert f"| {metric} | " in text
    assert (
        f"| coverage@10 | {reports[0].metrics['coverage@10'].value:.4f} |" in text
    )  # without an interval
    assert "| men | 2 | 1.0000 | 1.0000 |" in text
    assert text.endswith(reports[0].protocol_line())


def test_the_protocol_line_is_one_line_with_everything(reports: tuple[Report, Report]) -> None:
    line = reports[0].protocol_line()
    assert "\n" not in line
    for part, value in reports[0].protocol.items():
        if part not in ("items", "request_time"):
            assert str(value) in line, part
    assert "request time unknown" in line
    assert "request time known" in protocol_line({**reports[0].protocol, "request_time": True})


def test_a_report_file_without_bands_is_read_and_one_with_those_of_others_refused(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    path = tmp_path / "report.json"
    save_report(reports[0], path)
    content = json.loads(path.read_text())
    assert set(content["bands"]) == {"history length", "item popularity"}
    path.write_text(json.dumps({**content, "bands": {"history length": [0, 0]}}))
    with pytest.raises(DataError, match="its bands are not those of its users"):
        load_report(path)
    del content["bands"]
    path.write_text(json.dumps(content))
    assert load_report(path).band_C == {}
