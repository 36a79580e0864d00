"""Command line of the benchmarks that pool the models of several folds."""

from __future__ import annotations

import argparse
from pathlib import Path

from bert4rec import artefact
from bert4rec.artefact import Artefact
from bert4rec.data.dataset import PreparedDataset
from records import make_parser


def models_of_folds(description: str | None) -> tuple[list[Artefact], Path]:
    """Models that the command line names, and the output folder, created if need be."""
    return read_models(folds_parser(description).parse_args())


def folds_parser(description: str | None) -> argparse.ArgumentParser:
    """Parser with the flags of every benchmark of folds."""
    parser = make_parser(description)
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="A model folder for each fold."
    )
    parser.add_argument(
        "--data", type=Path, help="The prepared folder, for models published without their data."
    )
    parser.add_argument("--output", type=Path, required=True, help="The folder of the results.")
    return parser


def read_models(args: argparse.Namespace) -> tuple[list[Artefact], Path]:
    """Models and output folder of parsed flags."""
    data = PreparedDataset.open(args.data) if args.data else None
    args.output.mkdir(parents=True, exist_ok=True)
    return [artefact.load(folder, data) for folder in args.models], args.output
