"""Faithfulness of explanations on a trained model, and on shuffled weights."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from bert4rec import artefact
from bert4rec.artefact import scorer_of
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.model.scorer import NetworkScorer
from bert4rec.studies import faithfulness as measures
from bert4rec.studies.faithfulness import (
    EVENT_COUNTS,
    GRADIENTS,
    LEAVE_ONE_OUT,
    MEASURES,
    RANDOM,
    RECENT,
    Faithfulness,
    faithfulness,
)
from bert4rec.studies.plots import plot_faithfulness
from bert4rec.training import train as fit
from small_runs import RUN, run_of

TRAINED = run_of(
    hidden_size=32,
    seq_length=12,
    max_epochs=60,
    batch_size=16,
    dropout=0.1,
    warmup_steps=10,
    patience=60,
)


@pytest.fixture(scope="module")
def folder(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fit.train(
        world, TRAINED, tmp_path_factory.mktemp("faithfulness") / "model", log=lambda line: None
    )


@pytest.fixture(scope="module")
def scorer(folder: Path) -> NetworkScorer:
    return artefact.load(folder).scorer()


@pytest.fixture(scope="module")
def found(scorer: NetworkScorer, world: PreparedDataset) -> Faithfulness:
    return faithfulness(scorer, world, make_split(world, RUN.split), users=40)


def test_leave_one_out_beats_random_events(found: Faithfulness) -> None:
    """One event decides: without it the item is less likely, with it alone it stays."""
    assert (found.users, found.request_time) == (40, True)
    for measure, sign in (("DEL", -1), ("INS", 1), ("POS", -1)):
        gain = found.differences[RANDOM][measure]
        assert sign * gain.value > 0, measure
        assert gain.excludes_zero, measure
    assert found.values[LEAVE_ONE_OUT]["DEL@1"].value < found.likelihood


def test_integrated_gradients_are_a_control_with_captum(found: Faithfulness) -> None:
    others = {RANDOM, RECENT, *([GRADIENTS] if find_spec("captum") else [])}
    assert set(found.values) == {LEAVE_ONE_OUT, *others}
    assert set(found.differences) == others
    for values in found.values.values():
        assert set(values) == {
            *MEASURES,
            *(f"{measure}@{k}" for measure in MEASURES for k in EVENT_COUNTS),
        }
        for measure in MEASURES:
            assert values[measure].value == pytest.approx(
                np.mean([values[f"{measure}@{k}"].value for k in EVENT_COUNTS])
            )


def test_shuffled_weights_give_other_effects(found: Faithfulness, scorer: NetworkScorer) -> None:
    correlation = found.shuffled
    assert correlation.low <= correlation.value <= correlation.high < 0.5
    shuffled = scorer.with_shuffled_weights(0)
    for name, weight in scorer.network.named_parameters():
        other = dict(shuffled.network.named_parameters())[name]
        assert sorted(weight.flatten().tolist()) == sorted(other.flatten().tolist()), name
    assert not np.array_equal(shuffled.item_VD.numpy(), scorer.item_VD.numpy())


def test_rank_correlation_with_itself_is_one(scorer: NetworkScorer, world: PreparedDataset) -> None:
    """A model that shuffling leaves as it is has a correlation of 1."""

    class Same(NetworkScorer):
        def with_shuffled_weights(self, seed: int) -> NetworkScorer:
            return self

    same = Same(scorer.network, scorer.config)
    found = faithfulness(same, world, make_split(world, RUN.split), users=3)
    assert found.shuffled.value == pytest.approx(1)


def test_the_choice_of_users_is_seeded(scorer: NetworkScorer, world: PreparedDataset) -> None:
    split = make_split(world, RUN.split)
    first, again, other = (
        faithfulness(scorer, world, split, users=5, seed=seed).values for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def test_ensemble_is_explained_as_one_model(
    folder: Path, world: PreparedDataset, tmp_path: Path
) -> None:
    other = fit.train(
        world,
        RunConfig.from_dict({**TRAINED.to_dict(), "seed": 7, "max_epochs": 2}),
        tmp_path / "b",
    )
    both = scorer_of([artefact.load(folder), artefact.load(other)])
    found = faithfulness(both, world, make_split(world, RUN.split), users=4)
    assert GRADIENTS not in found.values
    assert found.passes > 0


def test_result_gives_plain_values_and_a_picture(found: Faithfulness, tmp_path: Path) -> None:
    document = json.loads(json.dumps(found.to_dict()))
    assert (
        document["explainers"][LEAVE_ONE_OUT]["DEL@1"]["value"]
        == found.values[LEAVE_ONE_OUT]["DEL@1"].value
    )
    assert document["shuffled_weights"]["value"] == found.shuffled.value
    plot_faithfulness(found, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_too_many_users_are_all_users(scorer: NetworkScorer, world: PreparedDataset) -> None:
    split = make_split(world, RUN.split)
    seen: list[int] = []

    def progress(users: object, total: int) -> object:
        seen.append(total)
        return users

    measures.faithfulness(scorer, world, split, users=10_000, progress=progress)  # type: ignore[arg-type]
    assert seen == [len(split.test)]
