"""The two documented scripts, `trainer.py` and `inference.py`: commands with their own defaults."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from jsonargparse import Namespace

from bert4rec.cli import explain, profile, recommend, train
from bert4rec.cli.flags import make_parser, parse, run_config
from bert4rec.cli.main import guarded
from bert4rec.cli.output import notes
from bert4rec.config import PrepareConfig
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.log import Log

MODEL_FILE = "best_model.pt"


def trainer(argv: Sequence[str] | None = None) -> int:
    """Prepare the data and train; leaves `checkpoints/best_model.pt` and `metadata.json`."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _train(words), debug="--debug" in words)


def _train(words: Sequence[str]) -> None:
    args = _trainer_flags(words)
    config = run_config(args)
    log = notes()
    from bert4rec import artefact
    from bert4rec.training.train import is_first_process
    from bert4rec.training.train import train as train_model

    dataset = _training_data(args, log)
    train_model(dataset, config, args.output, resume=args.resume, overwrite=args.overwrite, log=log)
    if is_first_process():
        model_path = args.output / MODEL_FILE
        artefact.save_pair(artefact.load(args.output), model_path, args.metadata_path)
        log(f"model: {model_path}, metadata: {args.metadata_path}")


def _trainer_flags(words: Sequence[str]) -> Namespace:
    parser = make_parser("trainer.py", trainer.__doc__ or "")
    parser.add_argument(
        "--data", type=Path, help="A prepared folder; default: --dataset is obtained and prepared."
    )
    parser.add_argument(
        "--dataset", type=str, default="ml-1m", help="The MovieLens release to obtain."
    )
    parser.add_argument(
        "--data_dir",
        type=Path,
        help="The folder of the release; default: $BERT4REC_DATA, else download.",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("checkpoints"), help="The model folder to make."
    )
    parser.add_argument(
        "--metadata_path",
        type=Path,
        default=Path("metadata.json"),
        help="The metadata file to write.",
    )
    train.add_run_flags(parser)
    return parse(parser, words)


def _training_data(args: Namespace, log: Log) -> PreparedDataset:
    """Prepared folder of --data, or the release of --dataset."""
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.ingest.prepare import prepare_dataset

    if args.data is not None:
        return PreparedDataset.open(args.data)
    return prepare_dataset(PrepareConfig(dataset=args.dataset, data_dir=args.data_dir), log)


def inference(argv: Sequence[str] | None = None) -> int:
    """Recommend items; explain one with --explain or --item_id, show the user with --profile."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _infer(words), debug="--debug" in words)


def _infer(words: Sequence[str]) -> None:
    parser = make_parser("inference.py", inference.__doc__ or "")
    recommend.add_flags(parser)
    parser.add_argument("--explain", action="store_true", help="Explain the first recommendation.")
    explain.add_own_flags(parser)
    parser.add_argument("--profile", action="store_true", help="Show the profile of the user.")
    args = parse(parser, words)
    _command(args).run(args)


def _command(args: Namespace) -> ModuleType:
    """Command that the flags choose."""
    explains = args.explain or args.item_id is not None
    if explains and args.profile:
        raise UsageError("--profile asks for something else than --explain or --item_id; give one")
    if explains:
        return explain
    return profile if args.profile else recommend
