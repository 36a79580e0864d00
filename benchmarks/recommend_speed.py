"""How fast lists are made: users a second for all users, and the time of one, beside RecTools' SASRec of the same size.

    python benchmarks/recommend_speed.py --data prepared/ml-1m

Both make everybody's 10 best unseen items from the same whole histories, in turn, with 2 threads, and then those of
users drawn at random, one at a time: ours through `recommend_many` and `get_recommendations`, RecTools' (in its own
environment, `make peers`) through `recommend`. Both networks are fresh: lists cost the same whatever was learned.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bert4rec.artefact import Artefact
from bert4rec.cli.output import console, show_table
from bert4rec.config import RunConfig
from bert4rec.data.dataset import PreparedDataset
from bert4rec.engine.engine import RecommendationEngine
from bert4rec.model.network import Bert4Rec
from records import PEERS_PYTHON, ROOT, machine, results_file, write
from training_speed import PACKAGES, preset, spread

PEER = ROOT / "benchmarks" / "peers" / "rectools_recommend.py"
THREADS, K = 2, 10
WARMING_REQUESTS = 10


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints a table and writes the JSON file."""
    args = parse(words)
    torch.set_num_threads(THREADS)
    dataset, run = PreparedDataset.open(args.data), preset()
    engine, rounds = engine_of(dataset, run), []
    with tempfile.TemporaryDirectory() as scratch:
        events = Path(scratch) / "events.npz"
        write_histories(dataset, events)
        for seed in range(args.rounds):
            ours = ask_ours(engine, args, seed)
            rounds.append(
                {"ours": ours, "peer": None if args.no_peers else ask_peer(run, events, args, seed)}
            )
            console().print(said(len(rounds), rounds[-1]))
    document = report(dataset, run, rounds)
    show(document)
    write(document, args.output or results_file(f"recommend_speed-{THREADS}cpu"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--rounds", type=int, default=3, help="Turns of each side (default: %(default)s)."
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="Times everybody is asked in a turn (default: 3)."
    )
    parser.add_argument(
        "--requests", type=int, default=200, help="Requests of one user in a turn (default: 200)."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    parser.add_argument("--no_peers", action="store_true", help="Ours alone.")
    args = parser.parse_args(words)
    if min(args.rounds, args.repeats, args.requests) < 1:
        parser.error("--rounds, --repeats and --requests must be 1 or more")
    if not args.no_peers and not PEERS_PYTHON.is_file():
        parser.error(
            "the peers' environment .venv-peers is missing: 'make peers' makes it, --no_peers does without"
        )
    return args


def engine_of(dataset: PreparedDataset, run: RunConfig) -> RecommendationEngine:
    """An engine whose network has learned nothing."""
    torch.manual_seed(run.training.seed)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights).eval()
    return RecommendationEngine(Artefact(Path("fresh"), run, network, dataset.in_memory(), {}, {}))


def write_histories(dataset: PreparedDataset, path: Path) -> None:
    """All events for the peer, in the order of ours."""
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))
    np.savez(path, user_N=user_N, item_N=np.asarray(dataset.item_N))


def ask_ours(
    engine: RecommendationEngine, args: argparse.Namespace, seed: int
) -> dict[str, list[float]]:
    """The seconds of each call for everybody, and of each for one user."""
    random, users = np.random.default_rng(seed), np.asarray(engine.dataset.users.ids)

    def everybody() -> float:
        started = time.perf_counter()
        listed = sum(int((piece.rank == 1).sum()) for piece in engine.recommend_many(k=K))
        spent = time.perf_counter() - started
        assert listed == len(users)
        return spent

    def one() -> float:
        user = random.choice(users, 1).tolist()[0]
        started = time.perf_counter()
        engine.get_recommendations(user, k=K)
        return time.perf_counter() - started

    singles = [one() for _ in range(WARMING_REQUESTS + args.requests)]
    return {
        "everybody": [everybody() for _ in range(args.repeats)],
        "one": singles[WARMING_REQUESTS:],
    }


def ask_peer(run: RunConfig, events: Path, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The same of RecTools', in a process of its own."""
    model, training = run.model, run.training
    settings = {
        name: getattr(model, name)
        for name in ("num_layers", "num_heads", "hidden_size", "seq_length", "dropout")
    }
    settings |= {
        "batch_size": training.batch_size,
        "learning_rate": training.learning_rate,
        "threads": THREADS,
    }
    settings |= {
        "seed": seed,
        "events": events,
        "k": K,
        "repeats": args.repeats,
        "requests": args.requests,
    }
    done = subprocess.run(
        [str(PEERS_PYTHON), str(PEER), *(f"--{name}={value}" for name, value in settings.items())],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": str(THREADS), "MKL_NUM_THREADS": str(THREADS)},
    )
    if done.returncode:
        raise SystemExit(f"{PEER.name} failed:\n{done.stderr}")
    return dict(json.loads(done.stdout.splitlines()[-1]))


def said(number: int, one: dict[str, Any]) -> str:
    """A round in a line."""
    sides = [
        f"{side} {min(found['everybody']):.2f} s for all" for side, found in one.items() if found
    ]
    return f"round {number}: {', '.join(sides)}"


def report(
    dataset: PreparedDataset, run: RunConfig, rounds: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """All that is written down: the figures, what they were measured on, and the raw timings."""
    sides = [side for side in ("ours", "peer") if rounds[0][side]]
    rates = {
        side: [len(dataset.users) / float(np.median(one[side]["everybody"])) for one in rounds]
        for side in sides
    }
    singles = {side: np.concatenate([one[side]["one"] for one in rounds]) * 1000 for side in sides}
    peer = rounds[0]["peer"] and {
        name: rounds[0]["peer"][name] for name in ("users", "items", "parameters", "versions")
    }
    return {
        "benchmark": "recommend_speed",
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "data": {"name": dataset.name, "checksum": dataset.checksum},
        "users": len(dataset.users),
        "items": dataset.num_items,
        "k": K,
        "settings": run.to_dict(),
        "peer": peer and {"name": f"RecTools {peer['versions']['rectools']} SASRec", **peer},
        "users_per_second": {side: spread(found) for side, found in rates.items()},
        "ratio": spread([a / b for a, b in zip(rates["ours"], rates["peer"], strict=True)])
        if peer
        else None,
        "milliseconds_for_one": {
            side: {f"p{q}": float(np.percentile(found, q)) for q in (50, 95, 99)}
            for side, found in singles.items()
        },
        "rounds": list(rounds),
    }


def show(document: dict[str, Any]) -> None:
    """The table."""
    names = {"ours": "bert4rec SASRec preset", "peer": (document["peer"] or {}).get("name")}
    cpu, threads = document["machine"]["cpu"], document["machine"]["threads"]
    show_table(
        f"RecommendationTable of {document['users']:,} users of {document['data']['name']}, {cpu}, {threads} threads",
        ["system", "users/s, median", "range", "one user, ms: p50", "p95", "p99"],
        [
            (
                names[side],
                f"{rate['median']:,.0f}",
                f"{rate['min']:,.0f} – {rate['max']:,.0f}",
                *(
                    f"{document['milliseconds_for_one'][side][q]:.1f}"
                    for q in ("p50", "p95", "p99")
                ),
            )
            for side, rate in document["users_per_second"].items()
        ],
    )
    if document["ratio"]:
        ratio = document["ratio"]
        console().print(f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} – {ratio['max']:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
