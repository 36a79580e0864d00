"""People whom the model never saw, by visible events: against hand-made answers, and what demographics are worth."""

from __future__ import annotations

from pathlib import Path

import matplotlib.image
import numpy as np
import pytest
import torch

from bert4rec.artefact import load
from bert4rec.config import ModelConfig, RunConfig, SplitConfig, TaskWeights, TrainingConfig
from bert4rec.data.histories import Histories
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.errors import DataError
from bert4rec.evaluation.baselines import GroupPopularity
from bert4rec.evaluation.plots import plot_shots
from bert4rec.evaluation.shots import SHOTS, shot_curves
from bert4rec.ids import FIRST_ITEM, UNKNOWN
from bert4rec.training.fit import train
from small_worlds import Scores, constant, dataset_of, leave_one_out

ITEMS = 30


def cold_world() -> PreparedDataset:
    """Twelve women and twelve men: after 19 events of their own, women have item 20 and men item 25."""
    gender = [1 + user % 2 for user in range(24)]
    return dataset_of(*([*range(19), 20 + 5 * (user % 2)] for user in range(24)), num_items=ITEMS, gender=gender)


def events_needed(dataset: PreparedDataset, number: int) -> Scores:
    """Knows the answer of who shows so many events or more, or else a gender."""

    def score(histories: Histories) -> torch.Tensor:
        gender_B = histories.user_features["gender"]
        score_BV = torch.zeros(len(histories), ITEMS)
        for row in np.flatnonzero((histories.length_B >= number) & (gender_B != UNKNOWN)):
            score_BV[row, 20 + 5 * (int(gender_B[row]) - 1)] = 1
        return score_BV

    return Scores(ITEMS, score, "needs events and a gender")


def test_each_number_of_events_asks_for_the_same_target() -> None:
    dataset = cold_world()
    split = make_split(dataset, SplitConfig("cold-users"))
    curves = shot_curves(events_needed(dataset, 3), dataset, split)
    found = {shots: curve["ndcg@10"][0] for shots, curve in curves.values["needs events and a gender"].items()}
    assert found == {0: 0, 1: 0, 3: 1, 5: 1, 10: 1, 19: 1}
    hidden = curves.values["needs events and a gender, demographics hidden"]
    assert all(hidden[shots]["hit@10"][0] == 0 for shots in SHOTS[:-1])
    assert hidden[19]["hit@10"][0] == 0  # of the 11 items left all tie with the target, which stands last
    assert curves.minus["popularity"][3]["hit@10"][0] == 1 - curves.values["popularity"][3]["hit@10"][0]
    assert curves.users == len(split.test)


def test_popularity_by_group_counts_whom_is_alike() -> None:
    dataset = dataset_of([0, 0, 1], [0, 0, 1], [2, 2, 1], [2, 2, 1], gender=[1, 1, 2, 2])
    counting = GroupPopularity(dataset, leave_one_out(dataset))
    histories = leave_one_out(dataset).test.histories(dataset, request_time=False)
    best_B = counting.score(histories)[:, FIRST_ITEM:].argmax(1)
    assert best_B.tolist() == [0, 0, 2, 2]
    strangers = histories.of_strangers({"gender": np.array([2, 1, UNKNOWN, 2])})
    score_BV = counting.score(strangers)[:, FIRST_ITEM:]
    assert score_BV.argmax(1)[[0, 1, 3]].tolist() == [2, 0, 2]
    assert score_BV[2, 0] == score_BV[2, 2]  # of whom nothing is known: what all have


def test_splits_that_ask_nobody_new_are_refused() -> None:
    dataset = cold_world()
    with pytest.raises(DataError, match="asks nobody new; take 'cold-users'"):
        shot_curves(constant(dataset), dataset, leave_one_out(dataset))


def test_demographics_alone_beat_popularity_and_the_model_without_them(tmp_path: Path) -> None:
    """In the synthetic world gender and age hint at the liked group of items."""
    dataset = synthetic_dataset(seed=0, num_users=1000, num_items=60, events_per_user=20)
    run = RunConfig(
        ModelConfig(
            hidden_size=16,
            num_heads=2,
            num_layers=1,
            seq_length=20,
            dropout=0.1,
            user_dropout=0.3,
            feature_size=8,
            user_size=8,
        ),
        TrainingConfig(
            batch_size=32,
            learning_rate=5e-3,
            max_epochs=12,
            windows="random",
            accelerator="cpu",
            task_weights=TaskWeights(item_prediction=0, next_item=1, rating_prediction=0, user_preference=0),
        ),
        SplitConfig("cold-users", fold=2),
    )
    model = load(train(dataset, run, tmp_path / "cold", report=lambda line: None))
    split = make_split(model.dataset, run.split)
    assert (model.network.user.user.weight[split.test.user_C] == model.network.user.user.weight[UNKNOWN]).all()
    curves = shot_curves(model.scorer(), model.dataset, split)
    name = next(iter(curves.values))
    at_none = {other: curve[0]["hit@10"] for other, curve in curves.minus.items()}
    for other in (f"{name}, demographics hidden", "popularity"):
        difference, (low, _) = at_none[other]
        assert difference > 0
        assert low > 0
    assert curves.values[name][19]["hit@10"][0] > curves.values[name][0]["hit@10"][0]


def test_the_picture_has_a_panel_for_each_metric(tmp_path: Path) -> None:
    dataset = cold_world()
    curves = shot_curves(constant(dataset), dataset, make_split(dataset, SplitConfig("cold-users")))
    plot_shots(curves, tmp_path / "shots.png")
    height, width, _ = matplotlib.image.imread(tmp_path / "shots.png").shape
    assert width > 1.5 * height
