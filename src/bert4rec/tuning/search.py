"""Hyper-parameter search with Optuna (TPE).

Each trial is a run of its own; trials are compared on validation only.
The search space is read by `space`, a trial is trained by `training.train`. Files of a search:

| file | content |
|---|---|
| `search.json` | identity of the search: data, split, settings and space |
| `study.journal` | Optuna's record, one event a line |
| `trial-000/` | model folder of the first trial |
| `trials.json` | all trials, the best first |
| `best.yaml` | settings of the best trial, for `bert4rec train --config` |
"""

from __future__ import annotations

import gc
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
import yaml
from optuna.samplers import TPESampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import make_split
from bert4rec.errors import ConfigError, Diverged, UsageError
from bert4rec.files import write_atomically
from bert4rec.locks import exclusive_folder, holds_files
from bert4rec.log import Log
from bert4rec.training.run_directory import differing_settings
from bert4rec.training.train import train
from bert4rec.tuning.space import Space, Value, with_parameters, written

SEARCH_FILE, STUDY_FILE = "search.json", "study.journal"
TRIALS_FILE, BEST_FILE = "trials.json", "best.yaml"

OBJECTIVE = "ndcg@10"
"""Validation metric that the search maximises, at the best epoch of a trial."""

FULL_MEMORY = ("out of memory", "not enough memory", "can't allocate memory")
"""Phrases of torch's errors on a device, and on the CPU of each system."""


@dataclass(frozen=True)
class TrialResult:
    """State, parameters and figures of one trial."""

    number: int
    state: Literal["complete", "failed", "unfinished"]
    parameters: Mapping[str, Value]
    figures: Mapping[str, float]
    """Validation ndcg@10 and hit@10, epochs and seconds of training; empty unless complete."""
    reason: str = ""
    """Error message of a failed trial."""


def tune(
    dataset: PreparedDataset,
    config: RunConfig,
    space: Space,
    output: str | Path,
    trials: int,
    *,
    resume: bool = False,
    log: Log = print,
) -> list[TrialResult]:
    """Search until there are `trials` trials; returns them, the best first.

    All trials have the settings of `config`, except those of the space; its seed is also the
    sampler's. `resume` continues a search: finished trials are kept, the unfinished one continues
    from its last full epoch, and the result equals that of an uninterrupted search. A trial that
    runs out of memory, diverges or has contradicting settings fails, and the search goes on.

    Raises UsageError if `output` holds something else, and the errors of `train`.
    """
    output = Path(output)
    if config.training.devices > 1:
        raise ConfigError(
            f"devices is {config.training.devices}: a search trains on one; "
            "search first, then train on several"
        )
    with exclusive_folder(output), _quiet_optuna():
        _start_folder(output, _identity(dataset, config, space), resume)
        study = _open_study(output)
        for number in range(trials):
            if number < len(study.trials) and study.trials[number].state.is_finished():
                continue
            trial, parameters = _open_trial(study, number, space, config.training.seed)
            chosen = ", ".join(f"{name} {written(value)}" for name, value in parameters.items())
            log(f"trial {number}, the last is {trials - 1}: {chosen}")
            _run(study, trial, dataset, config, parameters, output / folder_of(number), log)
            _write(output, config, _results(study))
        return _results(study)


def folder_of(number: int) -> str:
    """Name of a trial's model folder."""
    return f"trial-{number:03d}"


# Files


def _identity(dataset: PreparedDataset, config: RunConfig, space: Space) -> dict[str, Any]:
    """Identity of the search: data, split, settings and space."""
    return {
        "dataset": dataset.checksum,
        "features": dataset.features_checksum,
        "split": make_split(dataset, config.split).checksum,
        "settings": config.to_dict(),
        "space": {name: entry.to_dict() for name, entry in space.items()},
    }


def _start_folder(output: Path, identity: dict[str, Any], resume: bool) -> None:
    """Store the identity of a new search, or check that of a resumed one."""
    known = _read_identity(output / SEARCH_FILE)
    if known is None:
        if holds_files(output):
            raise UsageError(
                f"{output}: holds something that is no search; choose another --output"
            )
        write_atomically(output / SEARCH_FILE, json.dumps(identity, indent=1).encode())
        return
    if not resume:
        raise UsageError(
            f"{output}: holds a search; --resume goes on with it, or choose another --output"
        )
    for difference in _differences(known, identity):
        raise UsageError(f"{output}: was searched {difference}; choose another --output")


def _read_identity(path: Path) -> dict[str, Any] | None:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return (
        known
        if isinstance(known, dict) and {"dataset", "split", "settings", "space"} <= known.keys()
        else None
    )


def _differences(known: Mapping[str, Any], wanted: Mapping[str, Any]) -> Iterator[str]:
    for part in ("dataset", "split"):
        if known[part] != wanted[part]:
            yield f"on another {part} (checksum {known[part]}, not {wanted[part]})"
    before, now = known.get("features"), wanted["features"]
    if before != now:
        yield f"with other features of the same events (checksum {before}, not {now})"
    for difference in differing_settings(known["settings"], wanted["settings"]):
        yield f"with {difference}"
    before, now = known["space"], json.loads(json.dumps(wanted["space"]))
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            old, new = before.get(name, "as set"), now.get(name, "as set")
            yield f"in another space ({name} {old}, not {new})"


def _write(output: Path, config: RunConfig, results: Sequence[TrialResult]) -> None:
    """Write the trials, and the settings of the best one if any is complete."""
    best = results[0] if results[0].state == "complete" else None
    record = {
        "objective": f"validation {OBJECTIVE}",
        "best": None if best is None else best.number,
        "trials": [{**asdict(result), "folder": folder_of(result.number)} for result in results],
    }
    write_atomically(output / TRIALS_FILE, json.dumps(record, indent=1).encode())
    if best is None:
        return
    head = (
        f"# {folder_of(best.number)}, the best of {len(results)} trials: "
        f"NDCG@10 {best.figures[OBJECTIVE]:.4f} on validation.\n"
    )
    settings = yaml.safe_dump(with_parameters(config, best.parameters).changes(), sort_keys=False)
    write_atomically(output / BEST_FILE, (head + settings).encode())


# Optuna


@contextmanager
def _quiet_optuna() -> Iterator[None]:
    """Silence Optuna's line for each trial."""
    level = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        yield
    finally:
        optuna.logging.set_verbosity(level)


def _open_study(output: Path) -> Study:
    """Study of the folder, in a text journal: no database is needed and nothing is unpickled."""
    journal = output / STUDY_FILE
    if journal.is_file():
        _drop_torn_line(journal)
    backend = JournalFileBackend(str(journal), JournalFileOpenLock(str(journal)))
    return optuna.create_study(
        storage=JournalStorage(backend),
        study_name="bert4rec",
        direction="maximize",
        load_if_exists=True,
    )


def _drop_torn_line(journal: Path) -> None:
    """Delete a line that was cut off by a full disk; the next one would be joined to it."""
    content = journal.read_bytes()
    if not content.endswith(b"\n"):
        write_atomically(journal, content[: content.rfind(b"\n") + 1])


def _open_trial(
    study: Study, number: int, space: Space, seed: int
) -> tuple[Trial, dict[str, Value]]:
    """Trial of this number, new or unfinished, and its parameters.

    The sampler is seeded by the search's seed and the number, so a resumed search draws the same
    parameters. Optuna returns the stored parameters of an unfinished trial.
    """
    study.sampler = TPESampler(seed=(seed * 1_000_003 + number) % 2**32)
    known = study.trials
    trial = Trial(study, known[number]._trial_id) if number < len(known) else study.ask()
    return trial, {name: entry.suggest(trial, name) for name, entry in space.items()}


def _results(study: Study) -> list[TrialResult]:
    """Complete trials, the best first, then failed ones and the unfinished one."""
    results = [_result(trial) for trial in study.trials]
    order = ["complete", "failed", "unfinished"]
    return sorted(
        results, key=lambda r: (order.index(r.state), -r.figures.get(OBJECTIVE, 0.0), r.number)
    )


def _result(trial: FrozenTrial) -> TrialResult:
    states: dict[TrialState, Literal["complete", "failed"]] = {
        TrialState.COMPLETE: "complete",
        TrialState.FAIL: "failed",
    }
    return TrialResult(
        trial.number,
        states.get(trial.state, "unfinished"),
        trial.params,
        figures=trial.user_attrs.get("figures", {}),
        reason=trial.user_attrs.get("reason", ""),
    )


# One trial


def _run(
    study: Study,
    trial: Trial,
    dataset: PreparedDataset,
    config: RunConfig,
    parameters: Mapping[str, Value],
    folder: Path,
    log: Log,
) -> None:
    """Train the trial and store its figures, or the reason of its failure, in the study."""
    try:
        train(
            dataset,
            with_parameters(config, parameters),
            folder,
            resume=True,
            subsets=["validation"],
            log=log,
        )
    except (ConfigError, Diverged, MemoryError, RuntimeError) as problem:
        reason = _why_failed(problem)
        if reason is None:
            raise
        trial.set_user_attr("reason", reason)
        study.tell(trial, state=TrialState.FAIL)
        log(f"trial {trial.number} failed: {reason}")
    else:
        figures = _figures(folder)
        trial.set_user_attr("figures", figures)
        study.tell(trial, figures[OBJECTIVE])
    _free_memory()


def _why_failed(problem: Exception) -> str | None:
    """Reason of a failure caused by the trial's settings; None for any other error."""
    text = " ".join(str(problem).split())
    if isinstance(problem, ConfigError | Diverged):
        return text
    if isinstance(problem, MemoryError) or any(phrase in text.lower() for phrase in FULL_MEMORY):
        return f"out of memory: {text or type(problem).__name__}"
    return None


def _figures(folder: Path) -> dict[str, float]:
    """Validation metrics of the best epoch, and the cost of the training."""
    training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
    reached = training["history"][training["best_epoch"] - 1]["validation"]
    return {
        OBJECTIVE: reached[OBJECTIVE],
        "hit@10": reached["hit@10"],
        "epochs": training["epochs"],
        "seconds": training["seconds"],
    }


def _free_memory() -> None:
    """Free the memory of a trial, and reset the peak memory for the next one."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
