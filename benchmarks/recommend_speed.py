"""Speed of recommendation, for all users and for one, beside RecTools' SASRec of the same size.

    python benchmarks/recommend_speed.py --data prepared/ml-1m

Both systems rank the 10 best unseen items from the same complete histories, in turn, with 2
threads: first for all users, then for users drawn at random, one a request. bert4rec does so by
`recommend_many` and `get_recommendations`, RecTools (in its own environment, `make peers`) by
`recommend`. Neither network is trained: the cost does not depend on the weights.

Legend: N events, U user rows.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
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
from bert4rec.result_tables import Table
from peer_process import MISSING, PEERS_PYTHON, run_peer
from records import add_output, head, make_parser, results_file, write
from training_speed import PACKAGES, preset, spread

PEER = "rectools_recommend.py"
THREADS, K = 2, 10
WARMING_REQUESTS = 10


def main(words: Sequence[str] | None = None) -> None:
    """Measure round by round, print the table and write the record."""
    args = parse(words)
    torch.set_num_threads(THREADS)
    dataset, run = PreparedDataset.open(args.data), preset()
    engine, rounds = engine_of(dataset, run), []
    with tempfile.TemporaryDirectory() as scratch:
        events = Path(scratch) / "events.npz"
        write_histories(dataset, events)
        for seed in range(args.rounds):
            ours = time_engine(engine, args, seed)
            peer = None if args.no_peers else time_peer(run, events, args, seed)
            rounds.append({"ours": ours, "peer": peer})
            console().print(round_in_words(len(rounds), rounds[-1]))
    record = record_of(dataset, run, rounds)
    show(record)
    write(record, args.output or results_file(f"recommend_speed-{THREADS}cpu"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags; exits where they do not fit together."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--rounds", type=int, default=3, help="Turns of each system (default: %(default)s)."
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="Passes over all users in a turn (default: 3)."
    )
    parser.add_argument(
        "--requests", type=int, default=200, help="Requests of one user in a turn (default: 200)."
    )
    add_output(parser)
    parser.add_argument("--no_peers", action="store_true", help="Measure bert4rec alone.")
    args = parser.parse_args(words)
    if min(args.rounds, args.repeats, args.requests) < 1:
        parser.error("--rounds, --repeats and --requests must be 1 or more")
    if not args.no_peers and not PEERS_PYTHON.is_file():
        parser.error(MISSING)
    return args


def engine_of(dataset: PreparedDataset, run: RunConfig) -> RecommendationEngine:
    """Engine with an untrained network."""
    torch.manual_seed(run.training.seed)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights).eval()
    return RecommendationEngine(Artefact(Path("fresh"), run, network, dataset.in_memory(), {}, {}))


def write_histories(dataset: PreparedDataset, path: Path) -> None:
    """Write all events for the peer, in the order of the dataset."""
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))
    np.savez(path, user_N=user_N, item_N=np.asarray(dataset.item_N))


def time_engine(
    engine: RecommendationEngine, args: argparse.Namespace, seed: int
) -> dict[str, list[float]]:
    """Seconds of each pass over all users, and of each request of one user."""
    random, users = np.random.default_rng(seed), np.asarray(engine.dataset.users.ids)

    def all_users() -> float:
        started = time.perf_counter()
        answered = sum(int((batch.rank == 1).sum()) for batch in engine.recommend_many(k=K))
        seconds = time.perf_counter() - started
        assert answered == len(users)
        return seconds

    def one() -> float:
        user = random.choice(users, 1).tolist()[0]
        started = time.perf_counter()
        engine.get_recommendations(user, k=K)
        return time.perf_counter() - started

    singles = [one() for _ in range(WARMING_REQUESTS + args.requests)]
    return {
        "all_users": [all_users() for _ in range(args.repeats)],
        "one": singles[WARMING_REQUESTS:],
    }


def time_peer(run: RunConfig, events: Path, args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Seconds of RecTools, measured in its own process."""
    model, training = run.model, run.training
    settings = {
        name: getattr(model, name)
        for name in ("num_layers", "num_heads", "hidden_size", "seq_length", "dropout")
    }
    settings |= {"batch_size": training.batch_size, "learning_rate": training.learning_rate}
    settings |= {"threads": THREADS, "seed": seed, "events": events}
    settings |= {"k": K, "repeats": args.repeats, "requests": args.requests}
    return run_peer(PEER, PEERS_PYTHON, THREADS, **settings)


def round_in_words(number: int, one: dict[str, Any]) -> str:
    """One line on a round."""
    sides = [
        f"{side} {min(found['all_users']):.2f} s for all" for side, found in one.items() if found
    ]
    return f"round {number}: {', '.join(sides)}"


def record_of(
    dataset: PreparedDataset, run: RunConfig, rounds: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """Record: the rates, the data and machine they were measured on, and the raw timings."""
    sides = [side for side in ("ours", "peer") if rounds[0][side]]
    rates = {side: users_per_second(len(dataset.users), rounds, side) for side in sides}
    return {
        **head("recommend_speed"),
        "versions": {package: version(package) for package in PACKAGES},
        "data": {"name": dataset.name, "checksum": dataset.checksum},
        "users": len(dataset.users),
        "items": dataset.num_items,
        "k": K,
        "settings": run.to_dict(),
        "peer": rounds[0]["peer"] and description_of(rounds[0]["peer"]),
        "users_per_second": {side: spread(found) for side, found in rates.items()},
        "ratio": spread(ratios(rates)) if "peer" in rates else None,
        "milliseconds_for_one": {side: percentiles(rounds, side) for side in sides},
        "rounds": list(rounds),
    }


def users_per_second(users: int, rounds: Sequence[dict[str, Any]], side: str) -> list[float]:
    """Rate of each round, by the median over its passes."""
    return [users / float(np.median(one[side]["all_users"])) for one in rounds]


def ratios(rates: dict[str, list[float]]) -> list[float]:
    """Rate of bert4rec over the peer's, round by round."""
    return [ours / peer for ours, peer in zip(rates["ours"], rates["peer"], strict=True)]


def percentiles(rounds: Sequence[dict[str, Any]], side: str) -> dict[str, float]:
    """Percentiles of the milliseconds of one request, over all rounds."""
    milliseconds = 1000 * np.concatenate([one[side]["one"] for one in rounds])
    return {f"p{q}": float(np.percentile(milliseconds, q)) for q in (50, 95, 99)}


def description_of(peer: dict[str, Any]) -> dict[str, Any]:
    """Name, sizes and versions of the peer."""
    kept = {name: peer[name] for name in ("users", "items", "parameters", "versions")}
    return {"name": f"RecTools {peer['versions']['rectools']} SASRec", **kept}


def show(record: dict[str, Any]) -> None:
    """Print the table."""
    names = {"ours": "bert4rec SASRec preset", "peer": (record["peer"] or {}).get("name")}
    cpu, threads = record["machine"]["cpu"], record["machine"]["threads"]
    rows = []
    for side, rate in record["users_per_second"].items():
        spread_in_words = f"{rate['min']:,.0f} – {rate['max']:,.0f}"
        milliseconds = [f"{value:.1f}" for value in record["milliseconds_for_one"][side].values()]
        rows.append([names[side], f"{rate['median']:,.0f}", spread_in_words, *milliseconds])
    users, data = f"{record['users']:,} users", record["data"]["name"]
    show_table(
        Table(
            f"Recommendations for {users} of {data}, {cpu}, {threads} threads",
            ["system", "users/s, median", "range", "one user, ms: p50", "p95", "p99"],
            rows,
        )
    )
    if record["ratio"]:
        ratio = record["ratio"]
        console().print(f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} – {ratio['max']:.2f})")


if __name__ == "__main__":
    main(sys.argv[1:])
