from __future__ import annotations

import errno
import json
import shutil
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from bert4rec import artefact
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import Bert4RecError, ConfigError, DataError, UsageError
from bert4rec.evaluation.evaluate import evaluate
from bert4rec.ids import PAD
from bert4rec.locks import exclusive_folder
from bert4rec.model.network import Bert4Rec
from bert4rec.training import lightning_trainer as trainer
from bert4rec.training import train as fit
from bert4rec.training.lightning_trainer import make_trainer
from bert4rec.training.module import TrainingModule
from bert4rec.training.seeding import seed_epoch
from bert4rec.training.train import train
from small_runs import RUN, Train, last_checkpoint, run_of, same_weights, steps, weights


def figures(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text())


def stopping_at(epoch: int) -> Any:
    """Log that interrupts at this epoch's line, before its checkpoint."""

    def report(line: str) -> None:
        if line.startswith(f"epoch   {epoch}/"):
            raise KeyboardInterrupt

    return report


def test_a_run_leaves_a_model_folder_with_all_that_is_promised(complete: Path) -> None:
    assert {path.name for path in complete.iterdir()} >= {
        "config.json",
        "model.safetensors",
        "metadata.json",
        "data.safetensors",
        "metrics.json",
        "training.json",
        "README.md",
        "losses.png",
    }
    assert not [
        path.name
        for path in complete.rglob("*")
        if "unfinished" in path.name or path.suffix == ".tmp"
    ]


def test_a_folder_that_another_process_trains_into_is_refused(
    trained: Train, tmp_path: Path
) -> None:
    with (
        exclusive_folder(tmp_path / "run"),
        pytest.raises(UsageError, match="run: another process is writing into it"),
    ):
        trained(max_epochs=1, overwrite=True)
    assert not (tmp_path / "run").exists()
    assert artefact.is_model_folder(trained(max_epochs=1))


def test_a_run_reports_every_epoch_with_every_tasks_loss(complete: Path) -> None:
    history = figures(complete)["history"]
    assert [epoch["epoch"] for epoch in history] == [1, 2, 3]
    tasks = {"item_prediction", "next_item", "rating_prediction", "user_preference", "loss"}
    assert all(set(epoch["losses"]) == tasks for epoch in history)
    assert history[2]["losses"]["loss"] < history[0]["losses"]["loss"]


def test_what_is_saved_is_the_best_epochs_and_scores_as_it_did(
    complete: Path, world: PreparedDataset
) -> None:
    best = max(figures(complete)["history"], key=lambda epoch: epoch["validation"]["ndcg@10"])
    assert figures(complete)["best_epoch"] == best["epoch"]
    model = artefact.load(complete)
    report = evaluate(model.scorer(), world, make_split(world, RUN.split), subset="validation")
    assert report.metrics["ndcg@10"].value == pytest.approx(best["validation"]["ndcg@10"], abs=1e-6)


def test_a_run_is_evaluated_with_and_without_the_time_of_the_request(complete: Path) -> None:
    reports = json.loads((complete / "metrics.json").read_text())
    assert set(reports) == {
        f"{cases}_request_time_{known}"
        for cases in ("validation", "test")
        for known in ("on", "off")
    }


def test_the_same_seed_gives_the_same_weights_and_another_another(
    complete: Path, trained: Train
) -> None:
    torch.rand(7)  # whatever was drawn before
    assert same_weights(trained("again"), complete)
    assert not same_weights(trained("other", seed=43), complete)


# The folder


def test_a_complete_folder_is_left_as_it_is(complete: Path, world: PreparedDataset) -> None:
    before = {path: path.stat().st_mtime_ns for path in complete.rglob("*")}
    logged: list[str] = []
    assert train(world, RUN, complete, log=logged.append) == complete
    assert {path: path.stat().st_mtime_ns for path in complete.rglob("*")} == before
    assert logged == [
        f"{complete}: already trained with these settings on this data; --overwrite trains it again"
    ]


@pytest.mark.parametrize("resume", [False, True])
def test_a_folder_of_other_settings_is_refused_by_the_settings_name(
    complete: Path, world: PreparedDataset, resume: bool
) -> None:
    with pytest.raises(
        UsageError, match=r"was trained with patience 15, not 4; choose another --output"
    ):
        train(world, run_of(patience=4), complete, resume=resume, log=print)


def test_why_a_run_cannot_be_prolonged_is_said(complete: Path, world: PreparedDataset) -> None:
    with pytest.raises(
        UsageError, match=r"max_epochs 3, not 4 \(the learning rate was planned for it\); choose"
    ):
        train(world, run_of(max_epochs=4), complete, resume=True, log=print)


def test_settings_that_change_no_weight_may_differ(complete: Path, world: PreparedDataset) -> None:
    other = run_of(
        num_workers=2, pin_memory=True, logger="tensorboard", use_wandb=True, accelerator="auto"
    )
    assert train(world, other, complete, log=lambda line: None) == complete


def test_a_folder_of_other_data_or_another_split_is_refused(
    complete: Path, world: PreparedDataset, tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(complete, tmp_path / "copy"))
    identity = json.loads((copy / "training" / "run.json").read_text())
    for part in ("dataset", "split"):
        (copy / "training" / "run.json").write_text(json.dumps({**identity, part: "other"}))
        with pytest.raises(UsageError, match=f"was trained on another {part}"):
            train(world, RUN, copy, log=print)


def test_a_foreign_folder_is_refused_and_left_alone(trained: Train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="choose another --output"):
        trained()
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def foreign(folder: Path, case: str) -> None:
    """Foreign files in the output of a run."""
    (folder / "training").mkdir(parents=True)
    (folder / "training" / "keep.txt").write_text("mine")
    (folder / "config.json").write_text('{"format_version": 1, "mine": true}')
    if case == "a run of another program":
        (folder / "training" / "run.json").write_text('{"settings": {}}')
    if case == "a model beside a folder of mine":
        (folder / "config.json").write_text('{"format_version": 1, "bert4rec_version": "0.1.0"}')


@pytest.mark.parametrize(
    "case", ["my own files", "a run of another program", "a model beside a folder of mine"]
)
def test_overwrite_leaves_alone_what_no_run_left(trained: Train, tmp_path: Path, case: str) -> None:
    foreign(tmp_path / "run", case)
    before = {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(
        UsageError, match="holds something that is no run that can be replaced; choose another"
    ):
        trained(overwrite=True)
    assert {path: path.read_text() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_overwrite_replaces_a_model_whose_run_is_gone(
    trained: Train, complete: Path, tmp_path: Path
) -> None:
    copy = Path(
        shutil.copytree(complete, tmp_path / "run", ignore=shutil.ignore_patterns("training"))
    )
    trained(overwrite=True, max_epochs=1)
    assert figures(copy)["epochs"] == 1


def test_an_empty_folder_is_as_good_as_none(trained: Train, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    assert (trained(max_epochs=1) / "config.json").is_file()


def test_an_unfinished_run_is_refused_without_resume(trained: Train) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(2))
    with pytest.raises(
        UsageError, match="unfinished run; --resume goes on with it, --overwrite starts anew"
    ):
        trained()


def test_an_interrupted_run_goes_on_to_the_weights_of_one_that_never_was(
    trained: Train, complete: Path
) -> None:
    with pytest.raises(KeyboardInterrupt, match="--resume goes on"):
        trained(log=stopping_at(3))
    logged: list[str] = []
    resumed = trained(resume=True, log=logged.append)
    assert [line.split()[1] for line in logged if line.startswith("epoch")] == ["3/3"]
    assert same_weights(resumed, complete)
    assert [epoch["epoch"] for epoch in figures(resumed)["history"]] == [1, 2, 3]


def test_a_run_with_worker_processes_goes_on_with_the_right_epoch(
    trained: Train, complete: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(2), num_workers=1)
    assert same_weights(trained(resume=True, num_workers=1), complete)


def test_after_an_interrupt_the_next_one_is_heard(trained: Train) -> None:
    def mine(number: int, frame: object) -> None:
        """Signal handler that was set before."""

    before = signal.signal(signal.SIGINT, mine)
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(log=stopping_at(1))
        assert signal.getsignal(signal.SIGINT) is mine
    finally:
        signal.signal(signal.SIGINT, before)


def raising(problem: BaseException) -> Any:
    """Log that fails at the third epoch's line, after the second epoch's checkpoint."""

    def report(line: str) -> None:
        if line.startswith("epoch   3/"):
            raise problem

    return report


@pytest.mark.parametrize(
    ("problem", "logged"),
    [
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "RUN: cannot be written (No space left on device)",
        ),
        (
            PermissionError(errno.EACCES, "Permission denied", "log.csv"),
            "log.csv: cannot be written (Permission denied)",
        ),
        (ConnectionError("no\n way"), "RUN: training was stopped by ConnectionError: no way"),
        (
            OSError(errno.EMFILE, "Too many"),
            f"RUN: training was stopped by OSError: [Errno {errno.EMFILE}] Too many",
        ),
    ],
    ids=["full", "forbidden", "connection", "files"],
)
def test_an_error_of_the_disk_is_told_from_any_other(
    trained: Train, tmp_path: Path, problem: OSError, logged: str
) -> None:
    with pytest.raises(Bert4RecError) as stopped:
        trained(log=raising(problem))
    kept = "; what was trained is kept, --resume goes on from it"
    assert str(stopped.value) == logged.replace("RUN", str(tmp_path / "run")) + kept


def test_an_exit_that_nobody_interrupted_is_no_interrupt(trained: Train) -> None:
    with pytest.raises(SystemExit) as left:
        trained(log=raising(SystemExit(3)))
    assert left.value.code == 3


def test_averages_go_on_where_they_were_interrupted(trained: Train) -> None:
    whole = trained("whole", ema_decay=0.9)
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(3), ema_decay=0.9)
    assert same_weights(trained(resume=True, ema_decay=0.9), whole)


def test_an_interrupt_keeps_the_last_full_epochs_checkpoint_and_makes_no_model(
    trained: Train, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(3))
    assert last_checkpoint(tmp_path / "run")["epoch"] == 1  # counted from 0: two full epochs
    assert not (tmp_path / "run" / "config.json").exists()


def test_an_epoch_that_is_not_the_best_one_is_kept_too(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, 0.5, 0.4, 0.3)
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(3))
    assert last_checkpoint(tmp_path / "run")["epoch"] == 1
    assert torch.load(tmp_path / "run" / "training" / "best.ckpt", weights_only=True)["epoch"] == 0


def scored(monkeypatch: pytest.MonkeyPatch, *ndcg: float) -> None:
    """Each epoch's validation finds this, whatever the weights."""
    left = iter(ndcg)

    def validation_step(self: TrainingModule, asked: Any, batch_idx: int) -> None:
        self.log_dict({"validation/ndcg@10": next(left), "validation/hit@10": 0.5}, batch_size=1)

    monkeypatch.setattr(TrainingModule, "validation_step", validation_step)


@pytest.mark.parametrize("stopped_at", ["epoch   3/", "trained 3 epochs"])
def test_a_run_of_another_versions_network_is_refused(
    trained: Train, tmp_path: Path, stopped_at: str
) -> None:
    def interrupt(line: str) -> None:
        if line.startswith(stopped_at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(log=interrupt)
    for path in (tmp_path / "run" / "training").glob("*.ckpt"):
        checkpoint = torch.load(path, weights_only=True)
        del checkpoint["state_dict"]["network.cold_start_bias.bias_FI"]
        torch.save(checkpoint, path)
    with pytest.raises(
        DataError, match=r"ckpt: begun by another version, .* --overwrite trains anew$"
    ):
        trained(resume=True)


def test_patience_goes_on_where_it_was_interrupted(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, 0.5, 0.4, 0.3)
    with pytest.raises(KeyboardInterrupt):
        trained(log=stopping_at(3), max_epochs=9, patience=3)
    scored(monkeypatch, 0.3, 0.3, 0.9)
    found = figures(trained(resume=True, max_epochs=9, patience=3))
    assert (found["epochs"], found["best_epoch"]) == (4, 1)


def test_a_run_that_was_interrupted_after_training_is_only_evaluated(
    trained: Train, complete: Path, tmp_path: Path
) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("trained 3 epochs"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match="--resume goes on"):
        trained(log=interrupt)
    logged: list[str] = []
    trained(resume=True, log=logged.append)
    assert not [line for line in logged if line.startswith("epoch")]
    assert same_weights(tmp_path / "run", complete)


def test_a_finished_run_keeps_its_figures_and_logs_and_no_checkpoint(complete: Path) -> None:
    left = {path.name for path in (complete / "training").rglob("*") if path.is_file()}
    assert {"run.json", "training.json", "metrics.csv"} <= left
    assert not [path for path in complete.rglob("*") if path.suffix in (".ckpt", ".pt", ".pkl")]


def test_overwrite_trains_anew(trained: Train, complete: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(complete, tmp_path / "run"))
    trained(overwrite=True, max_epochs=1)
    assert figures(copy)["epochs"] == 1


# Settings that shape the loop


def test_training_stops_after_patience_validations_without_a_better_one(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    scored(monkeypatch, 0.1, 0.3, 0.2, 0.2, 0.2, 0.9)
    found = figures(trained(max_epochs=9, patience=3))
    assert (found["epochs"], found["best_epoch"]) == (5, 2)


def test_accumulated_batches_make_one_step(trained: Train, complete: Path) -> None:
    folders = {1: complete, 2: trained("two", gradient_accumulation_steps=2)}
    folders[4] = trained("four", gradient_accumulation_steps=4)
    assert {batches: steps(folder) for batches, folder in folders.items()} == {
        1: 3 * 4,
        2: 3 * 2,
        4: 3 * 1,
    }


def test_the_learning_rate_ends_its_way_at_the_last_step_whatever_is_accumulated(
    trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    totals: list[int] = []
    share = fit.TrainingModule.configure_optimizers

    def note(self: TrainingModule) -> Any:
        totals.append(int(self.trainer.estimated_stepping_batches))
        return share(self)

    monkeypatch.setattr(TrainingModule, "configure_optimizers", note)
    trained("two", gradient_accumulation_steps=2)
    assert totals == [6]


def test_averaged_weights_are_what_is_saved(trained: Train, complete: Path) -> None:
    averaged = weights(trained("ema", ema_decay=0.9))
    plain, name = weights(complete), "item.weight"
    start = weights_at_the_start(complete)[name]
    moved, moved_on_average = (plain[name] - start).norm(), (averaged[name] - start).norm()
    assert (
        0.1 * moved < moved_on_average < 0.9 * moved
    )  # an average of the way trails behind its end


def weights_at_the_start(folder: Path) -> dict[str, torch.Tensor]:
    model = artefact.load(folder)
    seed_epoch(model.config.training.seed, epoch=0)
    return Bert4Rec.for_dataset(
        model.config.model, model.dataset, model.config.training.task_weights
    ).state_dict()


def test_averages_leave_feature_tables_as_they_are(trained: Train, complete: Path) -> None:
    averaged, plain = weights(trained("ema", ema_decay=0.9, max_epochs=1)), weights(complete)
    tables = [name for name in plain if name.endswith("table_O")]
    assert len(tables) == 6
    assert all(np.array_equal(averaged[name], plain[name], equal_nan=True) for name in tables)


def test_arithmetic_in_bf16_runs_and_is_not_that_of_32_bits(trained: Train, complete: Path) -> None:
    folder = trained("bf16", precision="bf16-mixed")
    assert not same_weights(folder, complete)
    first, exact = (figures(which)["history"][0]["losses"]["loss"] for which in (folder, complete))
    assert first == pytest.approx(exact, rel=0.02)
    assert weights(folder)["item.weight"].dtype == torch.float32


def test_worker_processes_change_no_weight(trained: Train, complete: Path) -> None:
    assert same_weights(trained("workers", num_workers=1), complete)


@pytest.mark.parametrize(("windows", "schedule"), [("sliding", "linear"), ("last", "constant")])
def test_every_kind_of_window_and_schedule_trains(
    trained: Train, windows: str, schedule: str
) -> None:
    found = figures(trained(windows=windows, schedule=schedule, max_epochs=2))
    assert found["history"][1]["losses"]["loss"] < found["history"][0]["losses"]["loss"]


def test_a_scoring_that_no_task_trains_is_refused_before_training(trained: Train) -> None:
    with pytest.raises(ConfigError, match="scoring 'masked'"):
        trained(scoring="masked", task_weights={"item_prediction": 0.0}, log=pytest.fail)


def test_a_device_that_is_not_there_is_refused_in_one_line(trained: Train) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this machine has one")
    with pytest.raises(ConfigError, match="mps") as refused:
        trained(accelerator="mps")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("on_terminal", "bar"), [(True, True), (False, False)])
def test_only_a_terminal_gets_a_bar(
    on_terminal: bool, bar: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        trainer, "os", SimpleNamespace(isatty=lambda number: on_terminal, environ={})
    )
    assert (make_trainer(RUN.training, tmp_path, []).progress_bar_callback is not None) is bar


def test_new_items_are_their_metadata_from_the_first_step_on(
    world: PreparedDataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[TrainingModule] = []
    monkeypatch.setattr(fit, "fit", lambda run, module: made.append(module))
    run = run_of(split="cold-start-items", fold=2)
    train(world, run, tmp_path / "run", log=lambda line: None)
    new, network = make_split(world, run.split).cold_start_item_rows(world), made[0].network
    assert len(new) == 5
    assert np.flatnonzero((network.item.weight == 0).all(1)).tolist() == [PAD, *new]
    assert network.cold_item_I is not None
    assert network.cold_item_I.tolist() == new.tolist()
