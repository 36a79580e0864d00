"""Attribution of scorers whose rule is known."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.data.histories import Histories
from bert4rec.explanation import attribution
from bert4rec.explanation.attribution import attribute
from bert4rec.explanation.variants import keep_events, leave_out_events, score_item
from bert4rec.ids import FIRST_ITEM, NO_RATING, NO_TIME

ITEMS = 12
ASKED = FIRST_ITEM + 11


class Knows:
    """Score one item by a rule over the events of a history (items 0, 1, 2, …); others get 0."""

    name = "knows"

    def __init__(self, rule: Callable[[list[int]], float], seq_length: int = 6) -> None:
        self.rule, self.seq_length = rule, seq_length

    def score(self, histories: Histories) -> Tensor:
        scores = torch.zeros(len(histories), FIRST_ITEM + ITEMS)
        for row in range(len(histories)):
            items = (
                histories.item_N[histories.start_B1[row] : histories.start_B1[row + 1]] - FIRST_ITEM
            )
            scores[row, ASKED] = self.rule(items[-self.seq_length :].tolist())
        return scores

    score_without_cold_start_bias = score


def worth(values: Mapping[int, float]) -> Callable[[list[int]], float]:
    return lambda items: sum(values.get(item, 0.0) for item in items)


def history(*items: int) -> Histories:
    return Histories(
        user_B=np.array([1]),
        start_B1=np.array([0, len(items)]),
        item_N=np.array(items, dtype=np.int64) + FIRST_ITEM,
        time_N=np.full(len(items), NO_TIME),
        rating_N=np.full(len(items), NO_RATING),
        request_time_B=np.array([NO_TIME]),
    )


def test_effects_of_a_sum_are_its_terms_from_both_ends() -> None:
    found = attribute(Knows(worth({0: 1.0, 1: -2.0, 3: 3.0})), history(0, 1, 2, 3), ASKED)
    assert found.effect_N.tolist() == pytest.approx([1, -2, 0, 3], abs=1e-6)
    assert found.alone_effect_N.tolist() == pytest.approx([1, -2, 0, 3], abs=1e-6)
    assert (found.position_N.tolist(), found.order_N.tolist()) == ([0, 1, 2, 3], [3, 0, 2, 1])
    assert found.rank_without_N.tolist() == [1, 1, 1, 8]  # 8 unseen score 0; −1 is below them


def test_redundant_events_are_found_one_after_the_other() -> None:
    """Neither duplicate has an effect while the other is there; both have more than the third."""

    def rule(items: list[int]) -> float:
        return 3.0 * (0 in items or 1 in items) + 1.0 * (2 in items)

    found = attribute(Knows(rule), history(0, 3, 1, 4, 2), ASKED)
    assert found.effect_N.tolist() == pytest.approx([0, 0, 0, 0, 1], abs=1e-6)
    assert found.alone_effect_N.tolist() == pytest.approx([3, 0, 3, 0, 1], abs=1e-6)
    assert set(found.order_N[:3].tolist()) == {0, 2, 4}


def test_events_that_are_not_read_have_no_attribution() -> None:
    reader = Knows(worth({0: 5.0, 1: 1.0, 5: 2.0}), seq_length=4)
    found = attribute(reader, history(0, 1, 2, 3, 4, 5), ASKED)
    assert found.position_N.tolist() == [2, 3, 4, 5]
    assert found.effect_N.tolist() == pytest.approx(
        [-1, -1, -1, 1], abs=1e-6
    )  # event 1 moves up in its stead
    assert found.alone_effect_N.tolist() == pytest.approx([0, 0, 0, 2], abs=1e-6)


def test_an_empty_history_has_no_events_to_order() -> None:
    found = attribute(Knows(worth({})), history(), ASKED)
    assert (len(found.position_N), len(found.order_N)) == (0, 0)


def test_cold_start_bias_is_no_effect_of_an_event() -> None:
    class Welcomes(Knows):
        def score(self, histories: Histories) -> Tensor:
            return (
                super().score(histories) + 5.0 * torch.from_numpy(histories.length_B == 0)[:, None]
            )

    found = attribute(Welcomes(worth({0: 1.0, 1: 2.0})), history(0, 1), ASKED)
    assert found.alone_effect_N.tolist() == pytest.approx([1, 2], abs=1e-6)
    only = attribute(Welcomes(worth({0: 1.0})), history(0), ASKED)
    assert (only.effect_N.tolist(), only.alone_effect_N.tolist()) == ([1.0], [1.0])


@pytest.mark.parametrize("length", [1, 2, 6])
def test_every_event_is_ordered_once(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attribution, "GREEDY_CANDIDATES", 2)
    found = attribute(
        Knows(worth({item: item + 0.5 for item in range(6)})), history(*range(length)), ASKED
    )
    assert sorted(found.order_N.tolist()) == list(range(length))
    assert found.order_N[0] == length - 1


def test_likelihood_is_among_the_item_and_unseen_items() -> None:
    scorer, seen = Knows(worth({0: 1.0})), history(0, 1)
    found = score_item(
        scorer.score, [seen, leave_out_events(seen, [0]), keep_events(seen, [])], seen.item_N, ASKED
    )
    assert found.score_X.tolist() == [1.0, 0.0, 0.0]
    assert np.exp(found.log_likelihood_X).tolist() == pytest.approx([np.e / (np.e + 9), 0.1, 0.1])
    assert found.rank_X.tolist() == [1, 10, 10]


def test_variants_keep_the_times_of_their_events() -> None:
    history_of_three = history(4, 5, 6)
    history_of_three.time_N[:] = [10, 20, 30]
    assert keep_events(history_of_three, [2, 0]).time_N.tolist() == [10, 30]
    assert leave_out_events(history_of_three, [0]).item_N.tolist() == [
        5 + FIRST_ITEM,
        6 + FIRST_ITEM,
    ]
