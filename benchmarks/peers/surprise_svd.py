"""Fits Surprise's SVD with several settings and writes the predictions, one row a setting.

Runs in the peers' environment (`make peers`); `rating_peers` starts it, and does not pass on the
ratings of the cases.

Legend: C cases, N training events, R rating levels, X settings.
"""

from __future__ import annotations

import argparse
import json
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from surprise import SVD, Dataset, Reader

PACKAGES = ("scikit-surprise", "numpy", "pandas")


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Write the predictions `[X, C]`; return seconds of each fit, sizes and versions."""
    with np.load(args.input, allow_pickle=False) as arrays:
        given = dict(arrays)
    frame = pd.DataFrame(
        {"user": given["user_N"], "item": given["item_N"], "rating": given["rating_N"]}
    )
    reader = Reader(rating_scale=(given["level_R"].min(), given["level_R"].max()))
    training = Dataset.load_from_df(frame, reader).build_full_trainset()
    cases = list(zip(given["user_C"].tolist(), given["item_C"].tolist(), strict=True))
    predicted_XC, seconds = np.empty((len(args.settings), len(cases))), []
    for predicted_C, settings in zip(predicted_XC, args.settings, strict=True):
        start = time.perf_counter()
        model = SVD(random_state=args.seed, **settings).fit(training)
        seconds.append(time.perf_counter() - start)
        # Predictions lie within the scale; those of unknown ids are biases.
        predicted_C[:] = [model.predict(user, item).est for user, item in cases]
    np.save(args.output, predicted_XC, allow_pickle=False)
    return {
        "events": training.n_ratings,
        "users": training.n_users,
        "items": training.n_items,
        "seed": args.seed,
        "seconds": seconds,
        "versions": {package: version(package) for package in PACKAGES},
    }


def parse() -> argparse.Namespace:
    """Parsed flags."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--input",
        type=Path,
        required=True,
        help="A .npz file: the events that train, and the cases.",
    )
    parser.add_argument("--output", type=Path, required=True, help="The .npy file of predictions.")
    parser.add_argument(
        "--settings", type=json.loads, required=True, help="A JSON list of arguments of SVD."
    )
    parser.add_argument("--seed", type=int, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    print(json.dumps(measure(parse())))
