"""Request flags: words of the command line as ids, numbers and rules."""

from __future__ import annotations

import time
from dataclasses import fields
from typing import Any

import pytest

from bert4rec.cli.request_flags import HistoryFlags, RuleFlags
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.request import Request
from bert4rec.errors import UsageError
from bert4rec.retrieval.rules import Rules


def requested(dataset: PreparedDataset, user_id: str | None = None, **flags: Any) -> dict[str, Any]:
    """Fields of the request that differ from their defaults."""
    request = HistoryFlags(**flags).request(dataset, user_id)
    values = {
        entry.name: (getattr(request, entry.name), entry.default) for entry in fields(Request)
    }
    unset = ((), [], None)
    return {
        name: value
        for name, (value, default) in values.items()
        if value != default and (value not in unset or name == "item_sequence")
    }


def test_words_become_ids_and_numbers(world: PreparedDataset) -> None:
    flags = {"item_sequence": "101, 105,109,", "ratings": "3,4.5,5", "timestamps": "1,2e3,3000"}
    assert requested(world, "7", **flags) == {
        "user_id": 7,
        "item_sequence": (101, 105, 109),
        "ratings": (3.0, 4.5, 5.0),
        "timestamps": (1, 2000, 3000),
    }


def test_items_to_forget_are_ids(world: PreparedDataset) -> None:
    assert requested(world, "7", forget="101,105") == {"user_id": 7, "forget": (101, 105)}


def test_rule_flags_become_rules(world: PreparedDataset) -> None:
    flags = {
        "allow": "101, 105",
        "where": "year > 1991",
        "boosts": "year == 1992 = 0.5; price < 9 = -1",
        "at_most": "genres=2",
    }
    assert RuleFlags(**flags, diversity=0.3).rules(world) == Rules(
        allow=[101, 105],
        deny=[],
        where="year > 1991",
        boosts={"year == 1992": 0.5, "price < 9": -1.0},
        at_most={"genres": 2},
        diversity=0.3,
    )
    assert RuleFlags().rules(world) is None
    for wrong in (
        {"boosts": "x"},
        {"boosts": "year > 1 = much"},
        {"at_most": "genres"},
        {"at_most": "genres=two"},
    ):
        with pytest.raises(UsageError, match=f"--{next(iter(wrong))}: "):
            RuleFlags(**wrong).rules(world)


def test_an_empty_sequence_is_a_sequence_and_none_is_none(world: PreparedDataset) -> None:
    assert requested(world, item_sequence="") == {"item_sequence": ()}
    assert requested(world, "7") == {"user_id": 7}


def test_a_request_time_is_a_number_or_now(world: PreparedDataset) -> None:
    assert abs(requested(world, "7", request_time="now")["request_time"] - time.time()) < 5
    assert requested(world, "7", request_time="978307200")["request_time"] == 978307200


def test_user_features_are_pairs(world: PreparedDataset) -> None:
    assert requested(world, "7", user_features="gender=F, age_group=25-34") == {
        "user_id": 7,
        "user_features": {"gender": "F", "age_group": "25-34"},
    }


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        *(("request_time", word) for word in ("soon", "nan", "inf", "1e400", "")),
        *(("timestamps", word) for word in ("1,x", "1,inf", "nan")),
        *(("ratings", word) for word in ("good", "nan,3")),
        ("user_features", "F"),
    ],
)
def test_an_error_names_the_flag_and_the_word(
    world: PreparedDataset, flag: str, value: str
) -> None:
    with pytest.raises(UsageError, match=f"--{flag}: "):
        requested(world, **{flag: value})
