from __future__ import annotations

import copy
import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from bert4rec import artefact
from bert4rec.artefact.checked_files import DIGEST, digest_of
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.data.synthetic import synthetic_dataset
from bert4rec.errors import ArtefactError, ConfigError, UsageError
from bert4rec.ids import FIRST_ITEM
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer
from bert4rec.training import train as fit
from bert4rec.training.distillation import Teacher, load_teacher
from bert4rec.training.module import TrainingModule
from bert4rec.training.train import train
from small_networks import batch_of
from small_runs import RUN, Train, last_checkpoint, run_of, weights


@pytest.fixture(scope="module")
def folder(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher's model folder."""
    sizes = {"hidden_size": 16, "num_layers": 2, "seq_length": 8}  # larger than its students
    run = run_of(
        **sizes, cosine_head=False, exclude_seen=False, max_epochs=12, learning_rate=0.01, seed=7
    )
    return train(world, run, tmp_path_factory.mktemp("teacher") / "large", log=lambda line: None)


@pytest.fixture
def teachers(monkeypatch: pytest.MonkeyPatch) -> list[Teacher]:
    """Teachers that training loads."""
    asked: list[Teacher] = []

    def note(*given: Any) -> Teacher | None:
        asked.append(load_teacher(*given))  # type: ignore[arg-type]
        return asked[-1]

    monkeypatch.setattr(fit, "load_teacher", note)
    return asked


# What it says


@pytest.mark.parametrize(
    ("task", "scoring"), [("next_item", "causal"), ("item_prediction", "masked")]
)
def test_soft_targets_are_the_scores_of_the_teacher(
    task: str, scoring: Any, folder: Path, world: PreparedDataset
) -> None:
    run, model = run_of(teacher=str(folder)), artefact.load(folder)
    split = make_split(world, run.split)
    batch = batch_of(
        world, seq_length=8, windows="last", request_time="always", mask_probability=1e-9
    )
    teacher = load_teacher(run, world, split)
    assert teacher is not None
    targets, read = teacher.soft_targets(batch)[task], getattr(batch, scoring)
    # The last training event of each user is the target, and nothing later is read.
    last_B = read.sequences.last_B
    score_SV = targets.query_SD @ targets.output_VD.T + targets.bias_V
    score_BV = score_SV[torch.isin(read.token_S, last_B)]
    user_B = read.sequences.user_B.numpy()
    event_B = np.asarray(split.train_stop_U)[user_B] - 1
    histories = world.histories(user_B, event_B, world.time_N[event_B])
    config = replace(model.config, model=replace(model.config.model, scoring=scoring))
    torch.testing.assert_close(
        score_BV, NetworkScorer(model.network, config).score(histories), atol=1e-4, rtol=1e-4
    )


def test_scores_are_divided_by_the_temperature(folder: Path, world: PreparedDataset) -> None:
    split, batch = make_split(world, RUN.split), batch_of(world, seq_length=6)
    cold, warm = (
        load_teacher(
            run_of(teacher=str(folder), distillation_temperature=t), world, split
        ).soft_targets(batch)  # type: ignore[union-attr]
        for t in (1.0, 4.0)
    )
    assert set(cold) == {"next_item", "item_prediction"}
    for task in cold:
        one, other = (
            targets[task].query_SD @ targets[task].output_VD.T + targets[task].bias_V
            for targets in (cold, warm)
        )
        torch.testing.assert_close(one, 4 * other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    ("task", "other"), [("next_item", "item_prediction"), ("item_prediction", "next_item")]
)
def test_a_task_that_the_teacher_lacks_is_not_distilled(
    task: str, other: str, folder: Path, trained: Train, world: PreparedDataset
) -> None:
    single = trained(max_epochs=1, task_weights={other: 0.0})
    teacher = load_teacher(run_of(teacher=str(single)), world, make_split(world, RUN.split))
    assert teacher is not None
    assert set(teacher.soft_targets(batch_of(world, seq_length=6))) == {task}


# Several teachers


@pytest.fixture(scope="module")
def second(world: PreparedDataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Another teacher: another width, and scores that are cosines without a bias."""
    run = run_of(hidden_size=24, seq_length=8, exclude_seen=False, max_epochs=1, seed=8)
    return train(world, run, tmp_path_factory.mktemp("teacher") / "second", log=lambda line: None)


def logits(teacher: Teacher | None, batch: Batch) -> dict[str, Tensor]:
    """Logits `[S, V]` of each task."""
    assert teacher is not None
    return {
        task: targets.query_SD @ targets.output_VD.T
        + (0 if targets.bias_V is None else targets.bias_V)
        for task, targets in teacher.soft_targets(batch).items()
    }


def test_several_teachers_say_the_mean_of_what_each_says(
    folder: Path, second: Path, world: PreparedDataset
) -> None:
    split, batch = make_split(world, RUN.split), batch_of(world, seq_length=6)
    one, other, both = (
        logits(
            load_teacher(run_of(teacher=named, distillation_temperature=2.0), world, split), batch
        )
        for named in ([str(folder)], [str(second)], [str(folder), str(second)])
    )
    assert set(both) == {"next_item", "item_prediction"}
    for task in both:
        torch.testing.assert_close(both[task], (one[task] + other[task]) / 2, atol=1e-5, rtol=1e-4)
        assert not torch.allclose(both[task], one[task], atol=1e-2)


def test_task_learns_from_the_teachers_trained_for_it(
    folder: Path, trained: Train, world: PreparedDataset
) -> None:
    single = trained(max_epochs=1, task_weights={"item_prediction": 0.0})
    split, batch = make_split(world, RUN.split), batch_of(world, seq_length=6)
    one, other, both = (
        logits(load_teacher(run_of(teacher=named), world, split), batch)
        for named in ([str(folder)], [str(single)], [str(folder), str(single)])
    )
    torch.testing.assert_close(
        both["next_item"], (one["next_item"] + other["next_item"]) / 2, atol=1e-5, rtol=1e-4
    )
    assert torch.equal(both["item_prediction"], one["item_prediction"])
    assert "item_prediction" not in other


def test_a_student_of_several_learns_from_all_of_them(
    folder: Path, second: Path, trained: Train, teachers: list[Teacher]
) -> None:
    logged: list[str] = []
    student = trained(max_epochs=2, teacher=[str(folder), str(second)], log=logged.append)
    assert logged[0] == f"learns from {folder}, {second}: next_item and item_prediction"
    assert artefact.load(student).config.training.teacher == (str(folder), str(second))
    assert not same(
        weights(student), weights(trained("other", max_epochs=2, teacher=[str(folder)]))
    )
    assert all(
        same(scorer.network.state_dict(), weights(path))
        for scorer, path in zip(teachers[0].scorers, (folder, second), strict=True)
    )


def test_every_one_of_several_is_checked(folder: Path, trained: Train, tmp_path: Path) -> None:
    other = trained_otherwise(folder, tmp_path / "other", request_time="never")
    with pytest.raises(
        ConfigError, match=f"^teacher {other}: was trained with request_time 'never'"
    ):
        trained(teacher=[str(folder), str(other)], log=pytest.fail)


def test_nobody_teaches_twice(folder: Path, trained: Train) -> None:
    with pytest.raises(UsageError, match="named twice"):
        trained(teacher=[str(folder), str(folder / ".." / folder.name)], log=pytest.fail)


def test_one_teacher_may_be_written_as_a_word_and_none_as_nothing() -> None:
    assert run_of(teacher="runs/large") == run_of(teacher=["runs/large"])
    assert run_of(teacher="") == run_of()
    assert run_of(teacher="runs/large").to_dict()["teacher"] == ["runs/large"]


# What becomes of the student


def answers(folder: Path, world: PreparedDataset) -> Tensor:
    """The logarithm of how likely each item is to each test user."""
    histories = make_split(world, RUN.split).test.histories(world, request_time=True)
    return artefact.load(folder).scorer().score(histories)[:, FIRST_ITEM:].log_softmax(1)


def test_a_student_agrees_with_its_teacher_more_than_one_that_had_none(
    folder: Path, trained: Train, world: PreparedDataset
) -> None:
    given = {
        "hidden_size": 16,
        "max_epochs": 20,
        "patience": 20,
        "learning_rate": 0.01,
        "exclude_seen": False,
    }
    student = trained("student", teacher=str(folder), distillation_weight=1.0, **given)
    teachers_BV, student_BV, alone_BV = (
        answers(path, world) for path in (folder, student, trained("alone", **given))
    )
    # Three seeds (2026-11): the same first item for 0.50 to 0.60 of the users, 0.16 to 0.34 without
    # the teacher.
    same_student, same_alone = (
        (own.argmax(1) == teachers_BV.argmax(1)).float().mean() for own in (student_BV, alone_BV)
    )
    assert same_student > same_alone + 0.1
    # And Kullback-Leibler divergences of 0.12 to 0.23, 0.35 to 1.2 without.
    far_student, far_alone = (
        F.kl_div(own, teachers_BV, reduction="batchmean", log_target=True)
        for own in (student_BV, alone_BV)
    )
    assert far_student < 0.6 * far_alone


def test_a_teacher_changes_nothing_but_the_targets(
    folder: Path, trained: Train, complete: Path
) -> None:
    hardly = weights(
        trained(teacher=str(folder), distillation_weight=1e-12)
    )  # no other random numbers are drawn
    for name, weight in weights(complete).items():
        torch.testing.assert_close(hardly[name], weight, atol=1e-5, rtol=1e-5, equal_nan=True)


def test_a_teacher_does_not_learn(folder: Path, trained: Train, teachers: list[Teacher]) -> None:
    trained(max_epochs=2, teacher=str(folder))
    (teacher,) = teachers
    assert teacher is not None
    (scorer,) = teacher.scorers
    network = scorer.network
    assert not network.training
    assert not any(
        parameter.requires_grad or parameter.grad is not None for parameter in network.parameters()
    )
    assert same(network.state_dict(), weights(folder))


@pytest.fixture
def module(folder: Path, world: PreparedDataset) -> TrainingModule:
    """A student and its teacher."""
    run = run_of(teacher=str(folder))
    teacher = load_teacher(run, world, make_split(world, run.split))
    network = Bert4Rec.for_dataset(run.model, world, run.training.task_weights)
    return TrainingModule(network, run, world, teacher)


def test_a_teacher_goes_where_its_student_learns(module: TrainingModule) -> None:
    module.to("meta").on_fit_start()
    assert module.teacher is not None
    assert {
        tensor.device.type for tensor in module.teacher.scorers[0].network.state_dict().values()
    } == {"meta"}


def test_a_teacher_is_no_part_of_its_student(module: TrainingModule) -> None:
    own = [id(parameter) for parameter in module.network.parameters()]
    assert [id(parameter) for parameter in module.parameters()] == own
    assert not [name for name in module.state_dict() if not name.startswith("network.")]
    assert (
        copy.deepcopy(module).teacher is module.teacher
    )  # the average of the weights is kept in a copy


def same(first: Mapping[str, Tensor], second: Mapping[str, Tensor]) -> bool:
    """To the last bit."""
    return first.keys() == second.keys() and all(
        np.array_equal(first[n], second[n], equal_nan=True) for n in first
    )


def test_run_logs_the_tasks_with_a_teacher(folder: Path, trained: Train) -> None:
    logged: list[str] = []
    trained(max_epochs=1, teacher=str(folder), log=logged.append)
    assert logged[0] == f"learns from {folder}: next_item and item_prediction"


def test_an_interrupted_student_goes_on_to_the_weights_of_one_that_never_was(
    folder: Path, trained: Train
) -> None:
    def stop_in_the_second_epoch(line: str) -> None:
        if line.startswith("epoch   2/"):
            raise KeyboardInterrupt

    given = {"max_epochs": 2, "teacher": str(folder), "ema_decay": 0.9}
    whole = trained("whole", **given)
    with pytest.raises(KeyboardInterrupt):
        trained(log=stop_in_the_second_epoch, **given)
    kept = last_checkpoint(whole.with_name("run"))["state_dict"]
    assert {name.removeprefix("network.") for name in kept} == set(
        weights(whole)
    )  # of the student alone
    with pytest.raises(UsageError, match="was trained with teacher"):
        trained(resume=True, **{**given, "teacher": str(whole)})
    assert same(weights(trained(resume=True, **given)), weights(whole))


def test_a_students_model_folder_needs_no_teacher(
    folder: Path, trained: Train, tmp_path: Path
) -> None:
    lent = Path(shutil.copytree(folder, tmp_path / "lent"))
    student = trained(max_epochs=1, teacher=str(lent))
    shutil.rmtree(lent)
    assert artefact.load(student).config.training.teacher == (str(lent),)


# Who cannot be a teacher


def trained_otherwise(folder: Path, copy_of: Path, **settings: Any) -> Path:
    """Copy of the model folder with other settings."""
    shutil.copytree(folder, copy_of)
    config = json.loads((copy_of / artefact.CONFIG_FILE).read_text())
    config["settings"] |= settings
    config[DIGEST] = digest_of(config)
    (copy_of / artefact.CONFIG_FILE).write_text(json.dumps(config))
    return copy_of


NO_TEACHER: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "another split": (
        {},
        {"split": "global-temporal"},
        r"split leave-one-out \(.+global-temporal \(.+ same split$",
    ),
    "shorter histories": (
        {},
        {"seq_length": 9},
        r"reads 8 events, not the 9 of this run; take seq_length 8 or less$",
    ),
    "other tasks": (
        {"task_weights": {"next_item": 0.0}},
        {"task_weights": {"item_prediction": 0.0}},
        r"was trained for item_prediction alone, this run is for next_item: "
        r"there is nothing to learn from it$",
    ),
    "requests without a time": (
        {"request_time": "never"},
        {"request_time": "sometimes"},
        r"was trained with request_time 'never', this run is with 'sometimes'; "
        r"take 'never' here too$",
    ),
    "seen items": ({"exclude_seen": True}, {"exclude_seen": False}, r"knows nothing of seen items"),
}
"""Settings of teacher and student, and the message, by obstacle."""


@pytest.mark.parametrize("obstacle", NO_TEACHER)
def test_a_model_that_cannot_teach_is_refused_in_one_line(
    obstacle: str, folder: Path, trained: Train, tmp_path: Path
) -> None:
    theirs, ours, message = NO_TEACHER[obstacle]
    other = trained_otherwise(folder, tmp_path / "other", **theirs)
    with pytest.raises(ConfigError, match=message) as refused:
        trained(teacher=str(other), log=pytest.fail, **ours)
    assert str(refused.value).startswith(f"teacher {other}: ")
    assert "\n" not in str(refused.value)


def test_a_model_of_other_data_is_refused_by_both_names(
    folder: Path, world: PreparedDataset, tmp_path: Path
) -> None:
    other = synthetic_dataset(seed=1, num_users=80, num_items=24, events_per_user=20)
    with pytest.raises(
        ConfigError, match=f"{world.checksum}.+{other.checksum}.+same prepared folder"
    ):
        train(other, run_of(teacher=str(folder)), tmp_path / "run", log=pytest.fail)


def test_a_teacher_that_is_not_there_is_named(trained: Train, tmp_path: Path) -> None:
    with pytest.raises(ArtefactError, match=f"{tmp_path / 'nobody'}: does not exist"):
        trained(teacher=str(tmp_path / "nobody"))


def test_nobody_is_overwritten_by_a_student_of_his_own(
    folder: Path, trained: Train, tmp_path: Path
) -> None:
    own = Path(shutil.copytree(folder, tmp_path / "run"))
    with pytest.raises(ConfigError, match="is the output as well; choose another --output"):
        trained(teacher=str(own), overwrite=True)
    artefact.load(own)


@pytest.mark.parametrize(
    "setting",
    [{"distillation_weight": 0.0}, {"distillation_weight": 1.5}, {"distillation_temperature": 0.0}],
)
def test_shares_and_temperatures_that_mean_nothing_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} is .+: it must be above 0"):
        run_of(**setting)
