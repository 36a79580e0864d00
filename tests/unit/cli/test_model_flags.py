"""Words on the command line as the ids and numbers that they mean."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from bert4rec.cli.model_flags import HistoryFlags, RuleFlags
from bert4rec.data.dataset import PreparedDataset
from bert4rec.errors import UsageError


def asked(dataset: PreparedDataset, user_id: str | None = None, **flags: Any) -> dict[str, Any]:
    given = HistoryFlags(**flags).arguments(SimpleNamespace(dataset=dataset), user_id)  # type: ignore[arg-type]
    return {
        name: value for name, value in given.items() if value is not None and value is not False
    }


def test_words_become_what_the_data_has(world: PreparedDataset) -> None:
    flags = {"item_sequence": "101, 105,109,", "ratings": "3,4.5,5", "timestamps": "1,2e3,3000"}
    assert asked(world, "7", **flags) == {
        "user_id": 7,
        "item_sequence": [101, 105, 109],
        "ratings": [3.0, 4.5, 5.0],
        "timestamps": [1, 2000, 3000],
    }


def test_what_is_to_be_forgotten_is_ids_too(world: PreparedDataset) -> None:
    assert asked(world, "7", forget="101,105") == {"user_id": 7, "forget": [101, 105]}


def test_rules_become_those_of_the_engine(world: PreparedDataset) -> None:
    flags = {
        "allow": "101, 105",
        "where": "year > 1991",
        "boosts": "year == 1992 = 0.5; price < 9 = -1",
        "at_most": "genres=2",
    }
    engine = SimpleNamespace(dataset=world)
    assert RuleFlags(**flags, diversity=0.3).rules(engine) == {
        "allow": [101, 105],
        "where": "year > 1991",
        "boosts": {"year == 1992": 0.5, "price < 9": -1.0},
        "at_most": {"genres": 2},
        "diversity": 0.3,
    }
    assert RuleFlags().rules(engine) is None
    for wrong in (
        {"boosts": "x"},
        {"boosts": "year > 1 = much"},
        {"at_most": "genres"},
        {"at_most": "genres=two"},
    ):
        with pytest.raises(UsageError, match=f"--{next(iter(wrong))}: "):
            RuleFlags(**wrong).rules(engine)


def test_an_empty_sequence_is_a_sequence_and_none_is_none(world: PreparedDataset) -> None:
    assert asked(world, item_sequence="") == {"item_sequence": []}
    assert asked(world) == {}


def test_a_request_time_is_a_number_or_now(world: PreparedDataset) -> None:
    assert asked(world, request_time="now") == {"request_time": "now"}
    assert asked(world, request_time="978307200") == {"request_time": 978307200}


def test_user_features_are_pairs(world: PreparedDataset) -> None:
    assert asked(world, user_features="gender=F, age_group=25-34") == {
        "user_features": {"gender": "F", "age_group": "25-34"}
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
def test_a_word_that_is_none_of_these_is_named_with_its_flag(
    world: PreparedDataset, flag: str, value: str
) -> None:
    with pytest.raises(UsageError, match=f"--{flag}: "):
        asked(world, **{flag: value})
