"""Trains a model on a prepared folder, evaluates it and saves a model folder.

Any setting is a flag.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_run_settings, run_config, words_after
from bert4rec.cli.output import notes
from bert4rec.config import SURROUNDINGS
from bert4rec.errors import UsageError


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `train`."""
    parser.add_argument("--data", type=Path, required=True, help="Prepared folder.")
    parser.add_argument("--output", type=Path, required=True, help="Model folder to write.")
    parser.add_argument(
        "--from",
        type=Path,
        help="Model folder for a warm start, on newer data too: its settings and weights, "
        "but not its machine (accelerator, workers, loggers).",
    )
    add_run_flags(parser)


def defaults(words: Sequence[str]) -> dict[str, Any]:
    """Settings of the model named by --from, which replace the defaults."""
    folders = words_after("--from", words)
    if not folders:
        return {}
    from bert4rec.artefact import stored_run_config

    stored = stored_run_config(Path(folders[-1])).to_dict()
    settings = {name: value for name, value in stored.items() if name not in SURROUNDINGS}
    return {**settings, "teacher": [], "warm_start_from": folders[-1]}


def add_run_flags(parser: ArgumentParser, skip: Container[str] = ()) -> None:
    """Add the flags of every training command, without the skipped settings."""
    parser.add_argument(
        "--resume",
        action="store_true",
        help="Continue an unfinished run from its last full epoch.",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="Replace an existing run or model."
    )
    add_run_settings(parser, skip)


def run(args: Namespace) -> None:
    """Train."""
    config = run_config(args)
    if args["from"] and not config.training.warm_start_from:
        raise UsageError(
            "--from goes on the command line, "
            "because settings of the model are read before a configuration file"
        )
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.training.train import train

    train(
        PreparedDataset.open(args.data),
        config,
        args.output,
        resume=args.resume,
        overwrite=args.overwrite,
        log=notes(),
    )
