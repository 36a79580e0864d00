"""A run from start to end: dataset and settings in, a model folder out.

The rim of training: it writes, prints, seeds and picks devices. While it runs, `output/training/` holds the
checkpoints and logs; the model folder's own files come at the end, so an unfinished run is never mistaken for a model.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.config import RunConfig, TrainingConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, Subset, make_split, training_counts
from bert4rec.errors import ArtefactError, Bert4RecError, ConfigError, DataError
from bert4rec.evaluation.comparison import compare
from bert4rec.evaluation.evaluate import evaluate_rows
from bert4rec.evaluation.report import Report
from bert4rec.locks import exclusive_folder
from bert4rec.model.cold_start_rows import COLD_ITEM_PENALTY, reset_cold_start_rows
from bert4rec.model.initialisation import init_item_bias
from bert4rec.model.network import Bert4Rec
from bert4rec.model.scorer import NetworkScorer, scoring_passes
from bert4rec.training.checkpoints import read_checkpoint
from bert4rec.training.cold_item_penalty import cold_item_penalty
from bert4rec.training.cold_start_bias import fit_cold_start_bias
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.distillation import load_teacher
from bert4rec.training.lightning_trainer import callbacks_of, ending, make_trainer
from bert4rec.training.model_card import model_card
from bert4rec.training.module import TrainingModule
from bert4rec.training.progress import Progress, duration, megabytes, seed_epoch
from bert4rec.training.run_directory import (
    BEST,
    COMPARISON_FILE,
    FIGURES_FILE,
    LAST,
    LEFT_OUT,
    RUN_FILE,
    START,
    drop_checkpoints,
    plan_for,
    read_identity,
    start_folder,
    write_json,
)
from bert4rec.training.warm_start import (
    load_warm_start,
    verdict,
    warm_start_of,
    without_validation_of,
)

DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM),
)
"""What a file that is being written meets; where it was opened, the error names the file as well."""


def train(
    dataset: PreparedDataset,
    run: RunConfig,
    output: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    subsets: Sequence[Subset] = ("validation", "test"),
    finish: bool = True,
    log: Callable[[str], None] = print,
) -> Path:
    """Trains, evaluates and saves; returns the model folder `output`.

    At its end the model is asked the `subsets`: who still chooses between models leaves those of the test alone. Without
    `finish` the run ends when training does, and `resume` does the rest, on another machine if need be.
    A complete folder of the same data and settings is left as it is. `resume` goes on from the last full epoch of an
    unfinished run; on a CPU the weights are then those of a run that was never interrupted. `overwrite` starts anew in
    a folder that a run left. Checkpoints are kept until the model folder is complete.

    Raises ConfigError for settings that contradict the data or the device, UsageError where `output` holds something
    else, ArtefactError where it cannot be written, KeyboardInterrupt when interrupted; the last checkpoint is kept.
    """
    alone = exclusive_folder(Path(output)) if is_first_process() else nullcontext()
    with _plain_errors(Path(output), run.training), alone:
        return _train(
            dataset, run, Path(output), resume, overwrite, subsets if finish else None, log
        )


def _train(
    dataset: PreparedDataset,
    run: RunConfig,
    output: Path,
    resume: bool,
    overwrite: bool,
    subsets: Sequence[Subset] | None,
    log: Callable[[str], None],
) -> Path:
    split = make_split(dataset, run.split)
    for setting, folder in _folders_read(run.training):
        if Path(folder).resolve() == output.resolve():
            raise ConfigError(f"{setting} {folder} is the output as well; choose another --output")
    identity = {"settings": run.to_dict(), "dataset": dataset.checksum, "split": split.checksum}
    plan = plan_for(output, identity, resume, overwrite) if is_first_process() else "follow"
    if plan == "leave":
        log(
            f"{output}: already trained with these settings on this data; --overwrite trains it again"
        )
        return output
    scoring_passes(
        run
    )  # a setting of scoring that no task trains is refused before training, not after
    teacher = load_teacher(run, dataset, split)
    goes_on = plan == "go on" or (plan == "follow" and (output / "training" / LAST).is_file())
    start, asked = (
        (None, _asked_before(output, split)) if goes_on else warm_start_of(run, dataset, split)
    )
    network, said = _first_network(run, dataset, asked, start)
    if left_out := len(split.validation) - len(asked.validation):
        who = f"{left_out:,} of {len(split.validation):,} users"
        said.append(
            f"not asked for validation, for {run.training.warm_start_from} was trained on the answer: {who}"
        )
    if teacher is not None:
        said.append(f"learns from {', '.join(run.training.teacher)}: {' and '.join(teacher.tasks)}")
    if plan == "start anew":
        start_folder(output, {**identity, LEFT_OUT: _left_out(split, asked)})
        if start is not None:
            _keep_start(output / "training" / START, start, dataset, asked)
    if plan != "follow":
        for line in said:
            log(line)
    module = TrainingModule(network, run, dataset, teacher)
    figures = _fit(module, dataset, asked, output, log)
    if figures is not None and subsets is not None:
        _finish(module, dataset, asked, output, figures, subsets, log)
    return output


def _first_network(
    run: RunConfig, dataset: PreparedDataset, split: Split, start: Artefact | None
) -> tuple[Bert4Rec, list[str]]:
    """The network before its first step, and what is to be said of where it starts."""
    seed_epoch(run.training.seed, epoch=0)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    init_item_bias(network, torch.from_numpy(training_counts(dataset, split)).float())
    said = [] if start is None else [load_warm_start(network, start, dataset)]
    _forget(network, dataset, split)
    return network, said


def _forget(network: Bert4Rec, dataset: PreparedDataset, split: Split) -> None:
    """Rows as they were drawn, or learned elsewhere, answer nobody of whom nothing trains."""
    reset_cold_start_rows(
        network,
        torch.from_numpy(split.cold_start_users(dataset)),
        torch.from_numpy(split.cold_start_items(dataset)),
    )


def _folders_read(training: TrainingConfig) -> list[tuple[str, str]]:
    """The model folders that a run reads, each with the setting that names it."""
    started = [("warm_start_from", training.warm_start_from)] if training.warm_start_from else []
    return started + [("teacher", folder) for folder in training.teacher]


def is_first_process() -> bool:
    """Whether this is the process that looks after files: with several devices there is one process for each."""
    return int(os.environ.get("LOCAL_RANK", "0")) == 0 and int(os.environ.get("RANK", "0")) == 0


def _left_out(split: Split, asked: Split) -> list[int]:
    """The rows of the users that validate in the split but are not asked."""
    return np.setdiff1d(split.validation.user_C, asked.validation.user_C).tolist()


def _asked_before(output: Path, split: Split) -> Split:
    """The split without the users that an unfinished run does not ask."""
    known = read_identity(output / "training" / RUN_FILE) or {}
    return without_validation_of(split, known.get(LEFT_OUT, []))


def _keep_start(folder: Path, start: Artefact, dataset: PreparedDataset, split: Split) -> None:
    """Saves what a run starts from, with the settings of its own, as it answers on this data without training.

    New users are cold_users to it, new items are placed by their metadata.
    """
    network = Bert4Rec.for_dataset(start.run.model, dataset, start.run.training.task_weights)
    load_warm_start(network, start, dataset)
    _forget(network, dataset, split)
    artefact.save(folder, network, start.run, dataset, split, with_data=False)


def _fit(
    module: TrainingModule,
    dataset: PreparedDataset,
    split: Split,
    output: Path,
    log: Callable[[str], None],
) -> dict[str, Any] | None:
    """Runs the loop to its end and leaves the best weights in the module; None in all processes but the first."""
    run, folder = module.config, output / "training"
    progress = Progress(dataset, split, run, log)
    if (folder / FIGURES_FILE).is_file():
        figures = dict(json.loads((folder / FIGURES_FILE).read_text(encoding="utf-8")))
    else:
        with _quiet_lightning():
            trainer = make_trainer(
                run.training, folder, [progress, *callbacks_of(run.training, folder)]
            )
            for logger in trainer.loggers:
                logger.log_hyperparams(run.to_dict())
            last = folder / LAST
            first_epoch = int(_begun(last, module)["epoch"]) + 1 if last.is_file() else 0
            module.train()  # Lightning trains in whatever mode it finds
            with ending(trainer.loggers):
                trainer.fit(
                    module,
                    datamodule=TrainingDataModule(dataset, split, run, first_epoch),
                    ckpt_path=str(last) if last.is_file() else None,
                    weights_only=True,
                )
        if not trainer.is_global_zero:
            return None
        figures = progress.summary(module, trainer.strategy.root_device)
        write_json(folder / FIGURES_FILE, figures)
    module.load_state_dict(_begun(folder / BEST, module)["state_dict"])
    return figures


def _begun(path: Path, module: TrainingModule) -> dict[str, Any]:
    """A checkpoint of the run. Raises DataError where it is of another version's network."""
    checkpoint = read_checkpoint(path)
    if checkpoint["state_dict"].keys() != module.state_dict().keys():
        raise DataError(
            f"{path}: begun by another version, its network has other parts; --overwrite trains anew"
        )
    return checkpoint


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Without Lightning's advice: what it says of a run, `Progress` says in a line."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        try:
            yield
        finally:
            logger.setLevel(level)


@contextmanager
def _plain_errors(output: Path, training: TrainingConfig) -> Iterator[None]:
    """What can go wrong around training, as errors of ours.

    Lightning complains of settings in its own way, and turns an interrupt into an exit.
    """
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except ArtefactError as problem:
        raise ArtefactError(f"{problem}{_kept(output)}") from problem
    except OSError as problem:
        raise _stopped_by(output, problem) from problem
    except MisconfigurationException as problem:
        asked = f"accelerator {training.accelerator!r}, devices {training.devices}, precision {training.precision!r}"
        raise ConfigError(f"{asked}: {' '.join(str(problem).split())}") from problem
    except (KeyboardInterrupt, SystemExit) as stopped:
        if not any(
            isinstance(cause, KeyboardInterrupt) for cause in (stopped, stopped.__context__)
        ):
            raise
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt(f"interrupted{_kept(output)}") from stopped


def _kept(output: Path) -> str:
    return (
        "; what was trained is kept, --resume goes on from it"
        if (output / "training" / LAST).is_file()
        else ""
    )


def _stopped_by(output: Path, problem: OSError) -> Bert4RecError:
    """The disk's errors are about the output; others, like a logger's connection, say what they are."""
    if problem.filename or problem.errno in DISK_ERRORS:
        place, reason = problem.filename or output, problem.strerror or problem
        return ArtefactError(f"{place}: cannot be written ({reason}){_kept(output)}")
    what = f"{type(problem).__name__}: {' '.join(str(problem).split())}"
    return Bert4RecError(f"{output}: training was stopped by {what}{_kept(output)}")


def _finish(
    module: TrainingModule,
    dataset: PreparedDataset,
    split: Split,
    output: Path,
    figures: dict[str, Any],
    subsets: Sequence[Subset],
    log: Callable[[str], None],
) -> None:
    """Evaluates the best weights once on the subsets, draws, and saves the model folder."""
    run = module.config
    kept = f"best after epoch {figures['best_epoch']}, {duration(figures['seconds_to_best'])}"
    rate = f"{figures['events_per_second']:,.0f} events/s, peak memory {megabytes(figures['peak_memory_mb'])}"
    log(f"trained {figures['epochs']} epochs in {duration(figures['seconds'])} ({kept}); {rate}")
    network = module.network.cpu()
    _forget(network, dataset, split)  # the unknown user's row was learned since
    scorer = _hold_back(network, dataset, split, run, output.name, log)
    fit_cold_start_bias(scorer, dataset, split)
    rows = {asked: evaluate_rows(scorer, dataset, split, asked) for asked in subsets}
    reports = {
        f"{asked}_{name}": row.to_dict() for asked in subsets for name, row in rows[asked].items()
    }
    compared = _compared_with_start(run, dataset, split, rows, output, log)
    _draw(figures, output / "losses.png", log)
    card = model_card(output.name, run, dataset.manifest, reports, figures, compared=compared)
    artefact.save(
        output, network, run, dataset, split, metrics=reports, training=figures, card=card
    )
    drop_checkpoints(output / "training")
    log(f"model folder: {output}")


def _hold_back(
    network: Bert4Rec,
    dataset: PreparedDataset,
    split: Split,
    run: RunConfig,
    name: str,
    log: Callable[[str], None],
) -> NetworkScorer:
    """The network's scorer, by which new items take no more from the others than the settings allow."""
    penalty = cold_item_penalty(
        NetworkScorer(network, run, name), dataset, split, run.training.cold_item_cost
    )
    network.get_buffer(COLD_ITEM_PENALTY).fill_(penalty)
    if penalty:
        log(
            f"scores of new items are lowered by {penalty:.2f} (cold_item_cost {run.training.cold_item_cost:g})"
        )
    return NetworkScorer(network, run, name)


def _compared_with_start(
    run: RunConfig,
    dataset: PreparedDataset,
    split: Split,
    asked: Mapping[Subset, Mapping[str, Report]],
    output: Path,
    log: Callable[[str], None],
) -> str:
    """What the run is worth beside the model that it started from, on the last cases that it was asked.

    Nothing where there is no such model, or where nothing was asked.
    """
    subset, rows = [*asked.items()][-1] if asked else ("test", {})
    if not run.training.warm_start_from or not rows:
        return ""
    start = artefact.load(output / "training" / START, dataset)
    before = evaluate_rows(
        NetworkScorer(start.network, start.run, name=run.training.warm_start_from),
        dataset,
        split,
        subset,
    )
    found = {name: compare(row, before[name]) for name, row in rows.items() if name in before}
    write_json(
        output / COMPARISON_FILE, {name: comparison.to_dict() for name, comparison in found.items()}
    )
    said = verdict(next(iter(found.values())))
    log(said)
    return said


def _draw(figures: dict[str, Any], path: Path, log: Callable[[str], None]) -> None:
    """The one thing here that needs matplotlib, which a machine that only trains may lack."""
    if find_spec("matplotlib") is None:
        log(f"{path}: not drawn, for matplotlib is not installed")
        return
    from bert4rec.training.loss_plots import plot_losses

    plot_losses(figures["history"], path)
