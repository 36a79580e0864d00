from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec.config import SplitConfig
from bert4rec.data.arrays import Ints
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.data.splits import Split, make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.data.windows import COLD_START_RANGE
from bert4rec.ids import FIRST_ITEM, NO_TIME, PAD, UNKNOWN
from bert4rec.model.cold_start_bias import MAX_ITEMS
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training import cold_start_bias as fitting
from bert4rec.training.cold_start_bias import SHRINKAGE, fit_cold_start_bias
from small_networks import network_of, settings


@pytest.fixture(scope="module")
def world() -> PreparedDataset:
    """120 users with more events than count as their first ones."""
    return synthetic_dataset(
        seed=0, num_users=120, num_items=40, events_per_user=COLD_START_RANGE + 16
    )


def split_of(dataset: PreparedDataset, name: str = "leave-one-out") -> Split:
    return make_split(dataset, SplitConfig(split=name))  # type: ignore[arg-type]


def fitted(dataset: PreparedDataset, split: Split) -> NetworkScorer:
    scorer = NetworkScorer(
        network_of(dataset, request_time="never"), settings(request_time="never")
    )
    fit_cold_start_bias(scorer, dataset, split)
    return scorer


def biases(scorer: NetworkScorer) -> dict[int, Tensor]:
    """Biases `[F]` by item row."""
    cold_start_bias = scorer.network.cold_start_bias
    rows = cold_start_bias.get_buffer("item_I").tolist()
    return {
        row: cold_start_bias.get_buffer("bias_FI")[:, position]
        for position, row in enumerate(rows)
        if row != PAD
    }


def cold_start_histories(dataset: PreparedDataset) -> Histories:
    user_B = np.arange(1, dataset.users.rows)
    start_B = np.asarray(dataset.start_U1)[user_B]
    return dataset.histories(user_B, start_B, is_cold_start_B=np.ones(len(user_B), dtype=np.bool_))


def loss(scorer: NetworkScorer, dataset: PreparedDataset, split: Split) -> float:
    """Objective user by user: each twice, with all demographics and none, and the prior once."""
    known, unknown = cold_start_histories(dataset), cold_start_histories(dataset)
    for value_B in unknown.user_features.values():
        value_B[:] = UNKNOWN
    both = [scorer.score(histories).double() for histories in (known, unknown)]
    total = SHRINKAGE * float(
        scorer.network.cold_start_bias.get_buffer("bias_FI").double().square().sum()
    )
    for row, user in enumerate(range(1, dataset.users.rows)):
        start = int(dataset.start_U1[user])
        items = dataset.item_N[start : min(start + COLD_START_RANGE, int(split.train_stop_U[user]))]
        for score_BV in both:
            likely_V = score_BV[row, FIRST_ITEM:].log_softmax(0)
            total -= float(np.mean([float(likely_V[item - FIRST_ITEM]) for item in items]))
    return total


@pytest.mark.parametrize("items", [MAX_ITEMS, 10])
def test_no_other_biases_fit_better(
    items: int, world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Biases of all items, and of the most frequent ones alone."""
    monkeypatch.setattr("bert4rec.training.cold_start_bias.MAX_ITEMS", items)
    split = split_of(world)
    scorer = fitted(world, split)
    best = loss(scorer, world, split)
    bias_FI = scorer.network.cold_start_bias.get_buffer("bias_FI")
    there_PX = (bias_FI != 0).float()
    generator = torch.Generator().manual_seed(0)
    for size in (0.03, 0.3):
        for _ in range(5):
            step_PX = torch.randn(bias_FI.shape, generator=generator) * there_PX * size
            bias_FI += step_PX
            assert loss(scorer, world, split) > best
            bias_FI -= step_PX
    scorer.network.cold_start_bias.reset()
    assert loss(scorer, world, split) > best + 0.5


def test_every_item_of_a_small_catalogue_has_a_bias_and_the_rest_of_the_places_none(
    world: PreparedDataset,
) -> None:
    cold_start_bias = fitted(world, split_of(world)).network.cold_start_bias
    item_X = cold_start_bias.get_buffer("item_I")
    assert sorted(item_X[:40].tolist()) == list(range(FIRST_ITEM, world.item_rows))
    assert item_X.shape == (MAX_ITEMS,)
    assert (item_X[40:] == PAD).all()
    assert not cold_start_bias.get_buffer("bias_FI")[:, 40:].any()


def test_biases_cover_users_without_demographics(world: PreparedDataset) -> None:
    scorer, known, unknown = (
        fitted(world, split_of(world)),
        cold_start_histories(world),
        cold_start_histories(world),
    )
    for value_B in unknown.user_features.values():
        value_B[:] = UNKNOWN
    score_unknown, score_known = (scorer.score(histories) for histories in (unknown, known))
    scorer.network.cold_start_bias.reset()
    assert (score_unknown != scorer.score(unknown))[:, FIRST_ITEM:].all()
    assert len((score_unknown - scorer.score(unknown)).round(decimals=4).unique(dim=0)) == 1
    assert len((score_known - scorer.score(known)).round(decimals=4).unique(dim=0)) > 1


def test_only_the_first_events_of_training_users_count(world: PreparedDataset) -> None:
    split = split_of(world, "cold-start-users")
    start_U1 = np.asarray(world.start_U1)
    item_N = np.array(world.item_N)
    for user in split.cold_start_user_rows(world):
        item_N[start_U1[user] : start_U1[user + 1]] = FIRST_ITEM
    for user in np.setdiff1d(np.arange(1, world.users.rows), split.cold_start_user_rows(world)):
        item_N[start_U1[user] + COLD_START_RANGE : start_U1[user + 1]] = FIRST_ITEM
    expected, found = (fitted(data, split) for data in (world, replace(world, item_N=item_N)))
    for name in ("item_I", "bias_FI"):
        assert torch.equal(
            expected.network.cold_start_bias.get_buffer(name),
            found.network.cold_start_bias.get_buffer(name),
        )
    item_N[start_U1[np.flatnonzero(split.train_stop_U > start_U1[:-1])]] = FIRST_ITEM
    found = fitted(replace(world, item_N=item_N), split)
    assert biases(found)[FIRST_ITEM][0] > biases(expected)[FIRST_ITEM][0]


def users_of_the_fit(
    monkeypatch: pytest.MonkeyPatch,
    dataset: PreparedDataset,
    split: Split,
    **settings_of_model: str,
) -> tuple[Ints, Histories]:
    """The rows of those who are found during a fit, and as whom."""
    found: list[tuple[Ints, Histories]] = []
    real = fitting._cold_start_histories

    def recorded(
        scorer: NetworkScorer, dataset: PreparedDataset, user_U: Ints, *others: Any
    ) -> Histories:
        found.append((user_U, real(scorer, dataset, user_U, *others)))
        return found[0][1]

    monkeypatch.setattr(fitting, "_cold_start_histories", recorded)
    scorer = NetworkScorer(network_of(dataset, **settings_of_model), settings(**settings_of_model))
    fit_cold_start_bias(scorer, dataset, split)
    return found[0]


@pytest.mark.parametrize(
    ("request_time", "share"), [("always", 1.0), ("sometimes", 0.5), ("never", 0.0)]
)
def test_the_time_is_known_as_often_as_in_training(
    request_time: str, share: float, world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    user_U, found = users_of_the_fit(monkeypatch, world, split_of(world), request_time=request_time)
    timed_U = found.request_time_B != NO_TIME
    assert timed_U.mean() == pytest.approx(share, abs=0.1)
    start_U1 = np.asarray(world.start_U1)
    for user, request_time in zip(user_U[timed_U], found.request_time_B[timed_U], strict=True):
        assert request_time in world.time_N[start_U1[user] : start_U1[user] + COLD_START_RANGE]


def test_a_sample_of_many_users_spans_all_of_them(
    world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "MAX_USERS", 40)
    user_U, _ = users_of_the_fit(monkeypatch, world, split_of(world))
    assert user_U.tolist() == [*range(1, 121, 3)] * 2


def test_absence_of_cold_start_items_lifts_no_other_item(
    world: PreparedDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their scores do not matter."""
    split = split_of(world, "cold-start-items")
    plain, raised = (NetworkScorer(network_of(world), settings()) for _ in range(2))
    real, new_R = raised.score, split.cold_start_item_rows(world)

    def score(histories: Histories) -> Tensor:
        score_BV = real(histories)
        score_BV[:, new_R] += 10
        return score_BV

    monkeypatch.setattr(raised, "score", score)
    for scorer in (plain, raised):
        fit_cold_start_bias(scorer, world, split)
    one, other = (biases(scorer) for scorer in (plain, raised))
    assert one.keys() == other.keys()
    assert all(torch.equal(one[item], other[item]) for item in one)


def test_a_cold_start_item_has_no_bias(world: PreparedDataset) -> None:
    split = split_of(world, "cold-start-items")
    cold = set(split.cold_start_item_rows(world).tolist())
    assert cold
    assert biases(fitted(world, split)).keys() == set(range(FIRST_ITEM, world.item_rows)) - cold


def test_a_second_fit_does_not_depend_on_the_first(world: PreparedDataset) -> None:
    scorer = fitted(world, split_of(world))
    before = scorer.network.cold_start_bias.get_buffer("bias_FI").clone()
    fit_cold_start_bias(scorer, world, split_of(world))
    assert torch.equal(scorer.network.cold_start_bias.get_buffer("bias_FI"), before)


def test_a_network_without_user_features_has_one_bias_per_item(world: PreparedDataset) -> None:
    run = settings(user_features="none")
    scorer = NetworkScorer(network_of(world, user_features="none"), run)
    fit_cold_start_bias(scorer, world, split_of(world))
    assert all(bias_P.shape == (1,) and bias_P.any() for bias_P in biases(scorer).values())
