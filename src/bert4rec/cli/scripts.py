"""The two documented scripts, `trainer.py` and `inference.py`: the commands' code with defaults of its own."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from jsonargparse import Namespace

from bert4rec.cli import explain, profile, recommend, train
from bert4rec.cli.flags import make_parser, parse, run_config
from bert4rec.cli.main import guarded
from bert4rec.cli.output import notes
from bert4rec.config import PrepareConfig
from bert4rec.errors import UsageError

MODEL_FILE = "best_model.pt"


def trainer(argv: Sequence[str] | None = None) -> int:
    """Obtains and prepares the data, trains, and leaves `checkpoints/best_model.pt` and `metadata.json`."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _train(words), debug="--debug" in words)


def _train(words: Sequence[str]) -> None:
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
        help="Where the release lies; default: $BERT4REC_DATA, else download.",
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
    args = parse(parser, words)
    config, say = run_config(args), notes()
    from bert4rec import artefact
    from bert4rec.data.dataset import PreparedDataset
    from bert4rec.ingest.prepare import prepare_dataset
    from bert4rec.training.train import is_first_process
    from bert4rec.training.train import train as train_model

    if args.data is not None:
        dataset = PreparedDataset.open(args.data)
    else:
        dataset = prepare_dataset(PrepareConfig(dataset=args.dataset, data_dir=args.data_dir), say)
    train_model(dataset, config, args.output, resume=args.resume, overwrite=args.overwrite, log=say)
    if is_first_process():
        artefact.save_pair(artefact.load(args.output), args.output / MODEL_FILE, args.metadata_path)
        say(f"model: {args.output / MODEL_FILE}, metadata: {args.metadata_path}")


def inference(argv: Sequence[str] | None = None) -> int:
    """Recommends; with --explain or --item_id explains an item, with --profile shows the user."""
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(lambda: _infer(words), debug="--debug" in words)


def _infer(words: Sequence[str]) -> None:
    parser = make_parser("inference.py", inference.__doc__ or "")
    recommend.add_flags(parser)
    parser.add_argument(
        "--explain", action="store_true", help="Explain the first item in place of recommending."
    )
    explain.add_own_flags(parser)
    parser.add_argument(
        "--profile", action="store_true", help="Show the user in place of recommending."
    )
    args = parse(parser, words)
    _verb(args).run(args)


def _verb(args: Namespace) -> Any:
    explains = args.explain or args.item_id is not None
    if explains and args.profile:
        raise UsageError("--profile asks for something else than --explain or --item_id; give one")
    return explain if explains else profile if args.profile else recommend
