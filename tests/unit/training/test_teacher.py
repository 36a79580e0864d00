from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bert4rec import artefact
from bert4rec.data.prepared import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.errors import ArtefactError, ConfigError
from bert4rec.ids import FIRST_ITEM
from bert4rec.training import fit
from bert4rec.training.fit import train
from bert4rec.training.teacher import Teacher, teacher_of
from small_networks import batch_of
from small_runs import RUN, Train, last_checkpoint, run_of, same_weights, weights

LARGER = {"hidden_size": 16, "num_layers": 2, "seq_length": 8}
"""What the teacher has more of than its students."""


@pytest.fixture(scope="module")
def folder(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's model folder."""
    run = run_of(**LARGER, max_epochs=12, learning_rate=0.01, seed=7, cosine_head=False)
    return train(world, run, tmp_path_factory.mktemp("teacher") / "large", report=lambda line: None)


@pytest.fixture
def teachers(monkeypatch: pytest.MonkeyPatch) -> list[Teacher]:
    """Those that training asks for."""
    asked: list[Teacher] = []

    def note(*given: Any) -> Teacher | None:
        asked.append(teacher_of(*given))  # type: ignore[arg-type]
        return asked[-1]

    monkeypatch.setattr(fit, "teacher_of", note)
    return asked


# What it says


def test_it_says_what_its_model_scores(folder: Path, world: PreparedDataset) -> None:
    run = run_of(teacher=str(folder))
    split, model = make_split(world, run.split), artefact.load(folder)
    teacher = teacher_of(run, world, split)
    assert teacher is not None
    batch = batch_of(world, seq_length=8, windows="last", request_time="always")
    soft = teacher.taught(batch)["next_item"]
    score_SV = soft.query_SD @ soft.key_VD.T + soft.bias_V
    assert batch.causal is not None
    users = batch.causal.sequences.user_B.numpy()
    last = np.asarray(split.train_stop_U)[users] - 1  # the last training event is the last token's target
    first = last - np.asarray(batch.causal.sequences.lengths) + 1
    histories = world.histories(users, last, np.asarray(world.time_N)[last], first)
    expected_BV = model.scorer().score(histories)
    torch.testing.assert_close(score_SV[batch.causal.sequences.last_B], expected_BV, atol=1e-4, rtol=1e-4)


def test_its_scores_are_divided_by_the_temperature(folder: Path, world: PreparedDataset) -> None:
    split, batch = make_split(world, RUN.split), batch_of(world, seq_length=6)
    cold, warm = (
        teacher_of(run_of(teacher=str(folder), distillation_temperature=t), world, split).taught(batch)  # type: ignore[union-attr]
        for t in (1.0, 4.0)
    )
    assert set(cold) == {"next_item", "item_prediction"}
    for task in cold:
        one, other = (said[task].query_SD @ said[task].key_VD.T + said[task].bias_V for said in (cold, warm))
        torch.testing.assert_close(one, 4 * other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("task", "other"), [("next_item", "item_prediction"), ("item_prediction", "next_item")])
def test_a_task_that_it_was_not_trained_for_is_not_distilled(
    task: str, other: str, folder: Path, trained: Train, world: PreparedDataset
) -> None:
    single = trained(max_epochs=1, task_weights={other: 0.0})
    teacher = teacher_of(run_of(teacher=str(single)), world, make_split(world, RUN.split))
    assert teacher is not None
    assert set(teacher.taught(batch_of(world, seq_length=6))) == {task}


# What becomes of the student


def scores(model: Path, world: PreparedDataset) -> Tensor:
    """Of every item for every test user; rows of mean 0 and length 1."""
    histories = make_split(world, RUN.split).test.histories(world, request_time=True)
    score_BV = artefact.load(model).scorer().score(histories)[:, FIRST_ITEM:]
    rank_BV = score_BV.argsort(1).argsort(1).float()
    rank_BV = rank_BV - rank_BV.mean(1, keepdim=True)
    return rank_BV / rank_BV.norm(dim=1, keepdim=True)


def rank_correlation(one: Path, other: Path, world: PreparedDataset) -> float:
    return float((scores(one, world) * scores(other, world)).sum(1).mean())


def test_a_student_agrees_with_its_teacher_more_than_one_that_had_none(
    folder: Path, trained: Train, world: PreparedDataset
) -> None:
    given = {"max_epochs": 12, "learning_rate": 0.01}
    alone = rank_correlation(trained("alone", **given), folder, world)
    taught = rank_correlation(trained("taught", teacher=str(folder), distillation_weight=1.0, **given), folder, world)
    print("ALONE", alone, "TAUGHT", taught)
    assert taught > alone + 0.1
