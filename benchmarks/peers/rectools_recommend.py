"""Times recommendation of RecTools' SASRec for all users and for one, and prints one line of JSON.

Runs in the peers' environment (`make peers`); `recommend_speed` starts it and reads the line. The
network is trained for one step: the cost does not depend on the weights.
"""

from __future__ import annotations

import argparse
import json
import logging
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch
from rectools_sasrec import PACKAGES, make_model, read_events

WARMING_REQUESTS = 3


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Seconds of each pass over all users, and of each request of one user."""
    torch.set_num_threads(args.threads)
    pl.seed_everything(args.seed)
    dataset, model = read_events(args.events), make_model(args)
    model.fit(dataset)
    users = dataset.user_id_map.external_ids

    def seconds(user_ids: Any) -> float:
        started = time.perf_counter()
        table = model.recommend(users=user_ids, dataset=dataset, k=args.k, filter_viewed=True)
        spent = time.perf_counter() - started
        assert table["user_id"].nunique() == len(user_ids)
        return spent

    random = np.random.default_rng(args.seed)
    singles = [seconds(random.choice(users, 1)) for _ in range(WARMING_REQUESTS + args.requests)]
    return {
        "users": len(users),
        "items": len(model.data_preparator.get_known_item_ids()),
        "parameters": sum(weight.numel() for weight in model.torch_model.parameters()),
        "versions": {package: version(package) for package in PACKAGES},
        "all_users": [seconds(users) for _ in range(args.repeats)],
        "one": singles[WARMING_REQUESTS:],
    }


def parse() -> argparse.Namespace:
    """Parsed flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--events",
        type=Path,
        required=True,
        help="A .npz file with user_N and item_N: all histories.",
    )
    parser.add_argument("--dropout", type=float, required=True)
    parser.add_argument("--learning_rate", type=float, required=True)
    for name in (
        "threads",
        "seed",
        "num_layers",
        "num_heads",
        "hidden_size",
        "seq_length",
        "batch_size",
    ):
        parser.add_argument(f"--{name}", type=int, required=True)
    for name in ("k", "repeats", "requests"):
        parser.add_argument(f"--{name}", type=int, required=True)
    return parser.parse_args(namespace=argparse.Namespace(seconds=0.0))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(json.dumps(measure(parse())))
