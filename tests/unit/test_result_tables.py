"""Estimates and tables as text, JSON and Markdown."""

from __future__ import annotations

import math

import pytest

from bert4rec.result_tables import Estimate, Table, to_plain

ESTIMATE = Estimate(0.325, 0.3132, 0.3368)


def test_estimate_shows_its_interval() -> None:
    assert f"{ESTIMATE:.4f}" == f"{ESTIMATE}" == "0.3250 [0.3132, 0.3368]"


def test_margin_is_half_of_the_interval_and_has_no_sign() -> None:
    assert ESTIMATE.with_margin("+.4f") == "+0.3250 ±0.0118"


def test_estimate_without_an_interval_shows_its_value() -> None:
    assert f"{Estimate(0.5):.2f}" == Estimate(0.5).with_margin(".2f") == "0.50"
    assert math.isnan(Estimate(0.5).margin)


@pytest.mark.parametrize("estimate", [ESTIMATE, Estimate(0.5)])
def test_estimate_comes_back_from_its_dictionary(estimate: Estimate) -> None:
    assert Estimate.from_dict({**estimate.to_dict(), "p_value": 0.04}) == estimate


def test_estimate_with_one_edge_is_refused() -> None:
    with pytest.raises(ValueError, match="one edge"):
        Estimate.from_dict({"value": 1.0, "low": 0.5})


@pytest.mark.parametrize(
    ("low", "high", "excludes"), [(0.1, 0.2, True), (-0.2, -0.1, True), (-0.1, 0.1, False)]
)
def test_interval_on_one_side_excludes_zero(low: float, high: float, excludes: bool) -> None:
    assert Estimate(0, low, high).excludes_zero is excludes


def test_value_without_an_interval_excludes_nothing() -> None:
    assert not Estimate(0.5).excludes_zero


def test_scaling_takes_value_and_edges() -> None:
    assert Estimate(0.5, 0.25, 0.75).scaled(100) == Estimate(50, 25, 75)


def test_markdown_holds_title_whole_intervals_dashes_and_note() -> None:
    table = Table("ranking", ["model", "hit@10", "users"], [["a|b", ESTIMATE, None]], note="1M")
    assert table.to_markdown().splitlines() == [
        "**ranking**",
        "",
        "| model | hit@10 | users |",
        "|---|---|---|",
        "| a/b | 0.3250 [0.3132, 0.3368] | – |",
        "",
        "1M",
    ]


def test_column_without_a_value_is_left_out() -> None:
    table = Table("found", ["item", "title", "score"], [["a", None, 0.5], ["b", None, None]])
    assert table.without_empty_columns() == Table(
        "found", ["item", "score"], [["a", 0.5], ["b", None]]
    )


def test_table_without_rows_keeps_its_columns() -> None:
    table = Table("found", ["item", "title"], [])
    assert table.without_empty_columns() == table


def test_signed_table_signs_its_estimates_alone() -> None:
    table = Table("", ["difference", "p"], [[Estimate(0.01, 0.005, 0.015), 0.04]], signed=True)
    assert table.texts() == [["+0.0100 [+0.0050, +0.0150]", "0.0400"]]
    assert table.texts(digits=3, margins=True) == [["+0.010 ±0.005", "0.040"]]


def test_plain_values_hold_dictionaries_for_estimates() -> None:
    nested = {"rows": ({"hit@10": Estimate(1, 0, 2)}, Estimate(3))}
    assert to_plain(nested) == {
        "rows": [{"hit@10": {"value": 1, "low": 0, "high": 2}}, {"value": 3}]
    }
