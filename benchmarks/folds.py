"""The command line of the benchmarks that pool the models of several folds."""

from __future__ import annotations

import argparse
from pathlib import Path

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset


def models_of_folds(description: str | None) -> tuple[list[Artefact], Path]:
    """The models that the command line names, and the folder for what is found, which is there."""
    return read(parser_of(description).parse_args())


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """The flags of every benchmark of folds."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="A model folder for each fold."
    )
    parser.add_argument(
        "--data", type=Path, help="The prepared folder, for models that were published without."
    )
    parser.add_argument("--output", type=Path, required=True, help="The folder for what is found.")
    return parser


def read(args: argparse.Namespace) -> tuple[list[Artefact], Path]:
    """The models and the folder that the flags name."""
    data = PreparedDataset.open(args.data) if args.data else None
    args.output.mkdir(parents=True, exist_ok=True)
    return [artefact.load(folder, data) for folder in args.models], args.output
