from __future__ import annotations

import json
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from bert4rec.errors import DataError
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.evaluation.report import (
    MUST_AGREE,
    Report,
    compare,
    load_report,
    protocol_line,
    save_report,
    sign_flip_p_value,
    to_markdown,
)
from small_worlds import constant, dataset_of, knows, leave_one_out


@pytest.fixture(scope="module")
def reports() -> tuple[Report, Report]:
    """Who knows the answer, and who knows nothing."""
    dataset = dataset_of([0, 1, 2, 3], [4, 3, 2], [5, 6, 7], num_items=30, gender=[1, 2, 2])
    split = leave_one_out(dataset)
    return evaluate(knows(dataset, split), dataset, split), evaluate(
        constant(dataset), dataset, split
    )


def with_places(report: Report, *places: int) -> Report:
    return replace(report, rank_C=np.array(places))


def test_a_report_comes_back_from_its_file(reports: tuple[Report, Report], tmp_path: Path) -> None:
    save_report(reports[0], tmp_path / "report.json")
    assert load_report(tmp_path / "report.json").to_dict(places=True) == reports[0].to_dict(
        places=True
    )
    assert [path.name for path in tmp_path.iterdir()] == ["report.json"]


def test_without_places_the_content_is_short_and_plain(reports: tuple[Report, Report]) -> None:
    content = reports[0].to_dict()
    assert set(content) == {"name", "metrics", "intervals", "protocol", "slices"}
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


def test_a_report_from_before_rating_errors_were_kept_is_read_and_compared(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    content = with_errors(reports[0], 1, 1, 1).to_dict(places=True)
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
        json.dumps({**reports[0].to_dict(places=True), "squared_errors": errors})
    )
    with pytest.raises(DataError, match=r"r\.json: not a report") as refusal:
        load_report(tmp_path / "r.json")
    assert "\n" not in str(refusal.value)


def test_rating_errors_of_two_models_are_compared_on_the_same_users(
    reports: tuple[Report, Report],
) -> None:
    first, second = with_errors(reports[0], 4, 0, np.nan), with_errors(reports[1], 1, 1, np.nan)
    found = compare(first, second)
    assert found.difference["rating_rmse"] == pytest.approx(2**0.5 - 1)
    assert found.intervals["rating_rmse"] == pytest.approx(
        (-1, 1)
    )  # of two users both may be the one or the other
    assert found.p_value["rating_rmse"] == pytest.approx(1, abs=0.6)
    assert json.loads(json.dumps(found.to_dict()))["difference"]["rating_rmse"] > 0


def test_a_report_that_cannot_be_written_leaves_nothing(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent/report\.json"):
        save_report(reports[0], tmp_path / "absent" / "report.json")
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(IsADirectoryError, match=r"/folder\.json"):
        save_report(reports[0], tmp_path / "folder.json")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.json"]


@pytest.mark.parametrize("text", ["", "[]", "7", '"x"', "{}", '{"places": [1], "intervals": {}}'])
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


def test_a_report_with_too_few_places_is_refused(
    reports: tuple[Report, Report], tmp_path: Path
) -> None:
    save_report(with_places(reports[0], 1, 1), tmp_path / "short.json")
    with pytest.raises(DataError, match="its places are not those of its users"):
        load_report(tmp_path / "short.json")


def test_a_table_has_a_row_for_each_report_and_the_protocol_once(
    reports: tuple[Report, Report],
) -> None:
    lines = to_markdown(reports).splitlines()
    assert lines[0] == "| model | hit@10 | ndcg@10 | mrr |"
    assert lines[2].startswith("| knows | 1.0000 [1.0000, 1.0000] |")
    assert lines[3].startswith("| constant | 0.0000 [0.0000, 0.0000] |")
    assert lines[5:] == [reports[0].protocol_line()]


def test_a_report_in_markdown_holds_every_metric_and_slice(reports: tuple[Report, Report]) -> None:
    text = reports[0].to_markdown()
    for metric in reports[0].metrics:
        assert f"| {metric} | " in text
    assert (
        f"| coverage@10 | {reports[0].metrics['coverage@10']:.4f} |" in text
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


def test_a_comparison_is_the_mean_difference_on_the_same_users(
    reports: tuple[Report, Report],
) -> None:
    first, second = with_places(reports[0], 1, 2, 50), with_places(reports[1], 3, 50, 50)
    found = compare(first, second)
    assert found.difference["hit@10"] == pytest.approx(1 / 3)
    assert found.difference["ndcg@10"] == pytest.approx((1 + 1 / np.log2(3) - 1 / 2) / 3)
    assert found.intervals["hit@10"] == (0, 1)
    assert json.loads(json.dumps(found.to_dict()))["first"] == "knows"


def test_a_report_compared_with_itself_differs_by_nothing(reports: tuple[Report, Report]) -> None:
    found = compare(reports[0], reports[0])
    assert found.difference == {"hit@10": 0, "ndcg@10": 0}
    assert found.intervals == {"hit@10": (0, 0), "ndcg@10": (0, 0)}
    assert found.p_value == {"hit@10": 1, "ndcg@10": 1}


def in_bands(report: Report, *bands: int) -> Report:
    """With the users of bands 0 (of short histories) and 1 (of longer ones)."""
    parts = [
        {"value": value, "users": 1, "hit@10": 0.0, "ndcg@10": 0.0} for value in ("20–49", "50–99")
    ]
    return replace(
        report, slices={"history length": parts}, band_C={"history length": np.array(bands)}
    )


def test_a_comparison_pairs_the_users_of_a_part_with_themselves(
    reports: tuple[Report, Report],
) -> None:
    first = in_bands(with_places(reports[0], 50, 1, 2), 1, 0, 1)
    second = in_bands(with_places(reports[1], 1, 50, 50), 1, 0, 1)
    found = compare(first, second).slices
    assert {name: part["users"] for name, part in found.items()} == {
        "short histories": 1,
        "longer histories": 2,
    }
    assert found["short histories"]["difference"] == {"hit@10": 1, "ndcg@10": 1}
    assert found["longer histories"]["difference"]["hit@10"] == 0  # one lost, one won
    assert found["longer histories"]["difference"]["ndcg@10"] == pytest.approx(
        (1 / np.log2(3) - 1) / 2
    )
    assert found["longer histories"]["intervals"]["hit@10"] == (-1, 1)
    assert found["short histories"]["p_value"]["hit@10"] == 1  # one user tells nothing


def test_one_report_that_knows_its_bands_is_enough_and_none_leaves_the_parts_out(
    reports: tuple[Report, Report],
) -> None:
    old = in_bands(with_places(reports[0], 1, 2, 50), 0, 0, 1), replace(reports[1], band_C={})
    assert (
        compare(*old).slices.keys()
        == compare(*reversed(old)).slices.keys()
        == {"short histories", "longer histories"}
    )
    assert compare(replace(old[0], band_C={}), old[1]).to_dict()["slices"] == {}


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


@pytest.mark.parametrize("part", MUST_AGREE)
def test_reports_of_other_cases_are_refused_in_one_line(
    reports: tuple[Report, Report], part: str
) -> None:
    other = replace(reports[1], protocol={**reports[1].protocol, part: "other"})
    with pytest.raises(DataError, match=f"{part.replace('_', ' ')} differ") as refusal:
        compare(reports[0], other)
    assert "\n" not in str(refusal.value)


def test_a_difference_in_request_time_is_said(reports: tuple[Report, Report]) -> None:
    timed = replace(reports[0], protocol={**reports[0].protocol, "request_time": True})
    line = protocol_line(compare(timed, reports[1]).protocol)
    assert "request time known to the first and unknown to the second" in line


def test_the_p_value_is_that_of_all_sign_flips() -> None:
    gains = np.array([0.5, 0.3, 0.2, -0.1, 0.4, 0.0])
    sums = [abs(np.dot(signs, gains[:5])) for signs in product((-1, 1), repeat=5)]
    exact = np.mean(np.array(sums) >= abs(gains.sum()) - 1e-9)
    assert sign_flip_p_value(gains) == pytest.approx(exact, abs=0.01)


def test_p_values_are_small_as_often_as_chance_says_where_nothing_differs() -> None:
    random = np.random.default_rng(0)
    small = sum(sign_flip_p_value(random.normal(size=30), seed) < 0.2 for seed in range(100))
    assert 8 <= small <= 34  # 20 expected, standard deviation 4
    assert sign_flip_p_value(np.ones(40)) == pytest.approx(1 / 10_001)
