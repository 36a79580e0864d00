"""Trains a model on a prepared folder, evaluates it and saves a model folder. Any setting is a flag."""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_settings, run_config
from bert4rec.cli.output import notes
from bert4rec.config import ModelConfig, SplitConfig, TrainingConfig


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `train`."""
    parser.add_argument("--data", type=Path, required=True, help="The prepared folder.")
    parser.add_argument("--output", type=Path, required=True, help="The model folder to make.")
    add_run_flags(parser)


def add_run_flags(parser: ArgumentParser, skip: Container[str] = ()) -> None:
    """The flags that every way to train has; of the settings all but those that are skipped."""
    parser.add_argument("--resume", action="store_true", help="Go on with an unfinished run from its last full epoch.")
    parser.add_argument("--overwrite", action="store_true", help="Train again where a run or a model is.")
    add_settings(parser, ModelConfig, TrainingConfig, SplitConfig, skip=skip)


def run(args: Namespace) -> None:
    """Trains."""
    config = run_config(args)
    from bert4rec.data.prepared import PreparedDataset
    from bert4rec.training.fit import train

    train(
        PreparedDataset.open(args.data),
        config,
        args.output,
        resume=args.resume,
        overwrite=args.overwrite,
        report=notes(),
    )
