"""How fast the SASRec preset trains: events per second beside RecTools' SASRec, and how far from what the CPU allows.

    BERT4REC_DATA=… python benchmarks/training_speed.py
    python benchmarks/training_speed.py --no_peers --preset deep     # any preset, alone

Both train in turn on the same leave-one-out training events, with 2 threads and the same sizes: ours through the
Trainer that `bert4rec train` uses, RecTools' (in its own environment, `make peers`) through its `fit`. An event is a
position that has a target; the time is that of whole steps, without building the model and without validation.

What is not the same: ours predicts a user's first event too (6,040 more of 653,659 on ML-1M); RecTools' drops attention
weights, and its catalogue is the items of its windows.

Legend: W windows.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from bert4rec.cli.output import console, show_table
from bert4rec.config import PrepareConfig, RunConfig
from bert4rec.data.batches import Batch
from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.splits import Split, make_split, training_events
from bert4rec.data.windows import training_windows
from bert4rec.ingest.local_files import cache_folder
from bert4rec.model.network import Bert4Rec
from bert4rec.training.cost import Arithmetic, arithmetic
from bert4rec.training.lightning_trainer import make_trainer
from bert4rec.training.module import TrainingData, TrainingModule
from bert4rec.training.progress import Reseed, seed_epoch
from peers.stopwatch import Stopwatch
from records import PEERS_PYTHON, ROOT, machine, results_file, write
from runs import settings_of

PRESET = Path("sasrec")
AS_ITS_PEER: dict[str, Any] = {"batch_size": 128, "windows": "last", "exclude_seen": False}
"""What RecTools' SASRec does by default; the preset, tuned for quality, does otherwise."""
PEER = ROOT / "benchmarks" / "peers" / "rectools_sasrec.py"
THREADS = 2
PACKAGES = ("bert4rec", "torch", "lightning", "numpy")
MATRIX_SIZE = 1536
"""Large enough for the CPU's best rate (larger ones gave 7 % more at most, 2026-11), small enough for many trials."""
CACHED_LOGITS = 2**19
"""As many as the loss holds at a time: exponentials are timed in the cache, where the loss takes them."""


@dataclass(frozen=True)
class Round:
    """What each side did in its turn, events and seconds of every step, and what the CPU gave just before."""

    ours: list[tuple[int, float]]
    peer: list[tuple[int, float]] | None
    flops: float
    """Best rate of a matrix product in fp32, multiplications and additions counted."""
    exponentials: float
    """Best rate of exp2, the faster of the two: a softmax may take either."""


def main(words: Sequence[str] | None = None) -> None:
    """Measures, prints a table and writes the JSON file."""
    args = parse(words)
    torch.set_num_threads(THREADS)
    dataset = PreparedDataset.open(args.data) if args.data else prepare_movielens()
    run = preset(args.preset)
    split = make_split(dataset, run.split)
    with quiet_lightning(), tempfile.TemporaryDirectory() as scratch:
        peer = None if args.no_peers else Peer(dataset, split, run, Path(scratch))
        rounds = []
        for seed in range(run.training.seed, run.training.seed + args.rounds):
            rounds.append(one_round(dataset, split, run, peer, args.seconds, seed, Path(scratch)))
            say_round(len(rounds), rounds[-1])
    document = {"config": args.preset.name, **report(dataset, split, run, rounds, peer)}
    show(document)
    write(document, args.output or results_file(f"training_speed-{THREADS}cpu"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--rounds", type=int, default=4, help="Turns of each side (default: %(default)s)."
    )
    parser.add_argument(
        "--seconds", type=float, default=35, help="A side's time in a round (default: %(default)s)."
    )
    parser.add_argument(
        "--data", type=Path, help="A prepared folder; default: ML-1M, prepared in the cache."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    parser.add_argument("--no_peers", action="store_true", help="Ours and the limit alone.")
    parser.add_argument(
        "--preset",
        type=Path,
        default=PRESET,
        help="Another preset than sasrec, or a YAML file; without peers.",
    )
    args = parser.parse_args(words)
    if args.preset != PRESET and not args.no_peers:
        parser.error(f"the peers train {PRESET.name} alone: --no_peers with another --preset")
    if args.rounds < 1 or args.seconds <= 0:
        parser.error("--rounds must be 1 or more and --seconds above 0")
    if not args.no_peers and not PEERS_PYTHON.is_file():
        parser.error(
            "the peers' environment .venv-peers is missing: 'make peers' makes it, --no_peers does without"
        )
    return args


def prepare_movielens() -> PreparedDataset:
    """ML-1M, found by BERT4REC_DATA or downloaded."""
    from bert4rec.ingest.prepare import (
        prepare_dataset,
    )  # needs what a machine that only trains may lack

    config = PrepareConfig(dataset="ml-1m", output=cache_folder() / "prepared" / "ml-1m")
    return prepare_dataset(config, log=lambda line: None)


def preset(name: Path = PRESET) -> RunConfig:
    """A preset, on the CPU; SASRec as its peer trains it."""
    run = settings_of(name)
    changes = AS_ITS_PEER if name == PRESET else {}
    return replace(run, training=replace(run.training, accelerator="cpu", **changes))


def one_round(
    dataset: PreparedDataset,
    split: Split,
    run: RunConfig,
    peer: Peer | None,
    seconds: float,
    seed: int,
    scratch: Path,
) -> Round:
    """The CPU, ours and the peer, one after another."""
    flops, exponentials = (
        measured_flops(min(1.0, seconds)),
        measured_exponentials(min(0.5, seconds)),
    )
    ours = train_ours(dataset, split, run, seconds, seed, scratch)
    return Round(ours, peer.train(seconds, seed) if peer else None, flops, exponentials)


class Clock(Callback):
    """Counts events and stops the run."""

    def __init__(self, seconds: float) -> None:
        self.watch = Stopwatch(seconds)

    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        """Every token of a causal sequence has a target."""
        assert batch.causal is not None
        trainer.should_stop = self.watch.step(len(batch.causal.token_S))


def train_ours(
    dataset: PreparedDataset, split: Split, run: RunConfig, seconds: float, seed: int, scratch: Path
) -> list[tuple[int, float]]:
    """Trains a fresh network as `bert4rec train` does, but for validation; events and seconds of each step."""
    run = replace(run, training=replace(run.training, seed=seed))
    seed_epoch(seed, epoch=0)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    module = TrainingModule(network, run, dataset)
    clock = Clock(seconds)
    trainer = make_trainer(run.training, scratch / f"ours-{seed}", [clock, Reseed(seed)])
    trainer.fit(module, train_dataloaders=TrainingData(dataset, split, run).train_dataloader())
    return clock.watch.steps


class Peer:
    """RecTools' SASRec of the same size: a process of its own for each round, in the peers' environment."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, run: RunConfig, scratch: Path
    ) -> None:
        self.run, self.events = run, scratch / "events.npz"
        self.expected = peer_workload(dataset, split, run)
        self.told: dict[str, Any] = {}
        """What the peer said of itself in its last turn, without the steps."""
        write_events(dataset, split, self.events)

    def train(self, seconds: float, seed: int) -> list[tuple[int, float]]:
        """Events and seconds of each step."""
        command = [
            str(PEERS_PYTHON),
            str(PEER),
            f"--events={self.events}",
            f"--seconds={seconds}",
            f"--seed={seed}",
        ]
        command += [f"--{name}={value}" for name, value in self.size.items()]
        environment = {
            **os.environ,
            "OMP_NUM_THREADS": str(THREADS),
            "MKL_NUM_THREADS": str(THREADS),
        }
        done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
        if done.returncode:
            raise SystemExit(f"{PEER.name} failed:\n{done.stderr}")
        self.told = json.loads(done.stdout.splitlines()[-1])
        workload = self.told["users"], self.told["events_per_epoch"]
        if workload != self.expected:
            raise SystemExit(
                f"{PEER.name} trained on users and events {workload}, expected {self.expected}"
            )
        return [(events, seconds) for events, seconds in self.told.pop("steps")]

    @property
    def size(self) -> dict[str, Any]:
        """What both sides have in common."""
        model, training = self.run.model, self.run.training
        shared = {
            name: getattr(model, name)
            for name in ("num_layers", "num_heads", "hidden_size", "seq_length")
        }
        shared |= {"batch_size": training.batch_size, "learning_rate": training.learning_rate}
        return {**shared, "dropout": model.dropout, "threads": THREADS}


def write_events(dataset: PreparedDataset, split: Split, path: Path) -> None:
    """The training events for the peer, in the order of ours."""
    event_N = training_events(dataset, split)
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))[event_N]
    np.savez(path, user_N=user_N, item_N=np.asarray(dataset.item_N[event_N]))


def window_lengths(dataset: PreparedDataset, split: Split, run: RunConfig) -> np.ndarray:
    """Events of each window of an epoch; ours reads a start token and all but the last, and predicts every one."""
    windows = training_windows(dataset, split, run.model, run.training, epoch=0)
    return windows.stop_W - windows.start_W


def peer_workload(dataset: PreparedDataset, split: Split, run: RunConfig) -> tuple[int, int]:
    """Users and events with a target in the peer's epoch: the same windows, whose first event is given."""
    length_W = window_lengths(dataset, split, run)
    return int((length_W > 1).sum()), int((length_W - 1).sum())


def measured_flops(seconds: float) -> float:
    """Floating-point operations a second of the best of many products of fp32 matrices."""
    a, b = torch.rand(2, MATRIX_SIZE, MATRIX_SIZE)
    out = torch.empty_like(a)
    return 2 * MATRIX_SIZE**3 / best_seconds(lambda: torch.mm(a, b, out=out), seconds)


def measured_exponentials(seconds: float) -> float:
    """Exponentials a second, of logits that lie in the cache."""
    logits = -10 * torch.rand(CACHED_LOGITS)
    out = torch.empty_like(logits)
    return CACHED_LOGITS / best_seconds(lambda: torch.exp2(logits, out=out), seconds)


def best_seconds(work: Callable[[], object], budget: float) -> float:
    """The shortest time of a piece of work that is repeated until the budget is spent; the first time warms up."""
    work()
    times: list[float] = []
    end = time.perf_counter() + budget
    while not times or time.perf_counter() < end:
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def rate(steps: Sequence[tuple[int, float]]) -> float:
    """Events a second over all steps of a turn."""
    return sum(events for events, _ in steps) / sum(seconds for _, seconds in steps)


def spread(values: Sequence[float]) -> dict[str, float]:
    """The median, the least and the most."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def report(
    dataset: PreparedDataset,
    split: Split,
    run: RunConfig,
    rounds: Sequence[Round],
    peer: Peer | None,
) -> dict[str, Any]:
    """All that is written down: the figures, what they were measured on, and the raw timings."""
    sides = {
        "ours": [rate(one.ours) for one in rounds],
        "peer": [rate(one.peer) for one in rounds if one.peer],
    }
    ratios = [ours / theirs for ours, theirs in zip(sides["ours"], sides["peer"], strict=False)]
    epoch = arithmetic(dataset, split, run)
    return {
        "benchmark": "training_speed",
        "date": date.today().isoformat(),
        "machine": machine(),
        "versions": {package: version(package) for package in PACKAGES},
        "data": {"name": dataset.name, "checksum": dataset.checksum, "split": split.checksum},
        "settings": run.to_dict(),
        "seeds": [run.training.seed + number for number in range(len(rounds))],
        "events_per_second": {side: spread(rates) for side, rates in sides.items() if rates},
        "ratio": spread(ratios) if ratios else None,
        "limit": limit(epoch, dataset.num_items, rounds, median(sides["ours"])),
        "peer": peer
        and {"name": f"RecTools {peer.told['versions']['rectools']} SASRec", **peer.told},
        "rounds": [asdict(one) for one in rounds],
    }


def limit(
    epoch: Arithmetic, items: int, rounds: Sequence[Round], events_per_second: float
) -> dict[str, Any]:
    """How long an epoch would take at the best rates that the CPU showed, and how long it takes."""
    flops, exponentials = max(one.flops for one in rounds), max(one.exponentials for one in rounds)
    products, seconds = 2 * epoch.multiply_adds / flops, epoch.events / events_per_second
    with_exponentials = products + epoch.events * items / exponentials
    return {
        **asdict(epoch),
        "exponentials": epoch.events * items,
        "flops": flops,
        "exponentials_per_second": exponentials,
        "epoch_seconds": seconds,
        "seconds_at_peak": products,
        "seconds_at_peak_with_exponentials": with_exponentials,
        "times_limit": seconds / products,
        "times_limit_with_exponentials": seconds / with_exponentials,
    }


def say_round(number: int, one: Round) -> None:
    peer = (
        f", peer {rate(one.peer):,.0f}, ratio {rate(one.ours) / rate(one.peer):.2f}"
        if one.peer
        else ""
    )
    console().print(
        f"round {number}: ours {rate(one.ours):,.0f} events/s{peer}; {one.flops / 1e9:.0f} GFLOP/s"
    )


def show(document: dict[str, Any]) -> None:
    """The table, and what limits it."""
    bound, peer, ratio = document["limit"], document["peer"], document["ratio"]
    rows = [
        (f"bert4rec {document['config']}", document["events_per_second"]["ours"], bound["events"])
    ]
    if peer:
        rows.append((peer["name"], document["events_per_second"]["peer"], peer["events_per_epoch"]))
    cpu, threads = document["machine"]["cpu"], document["machine"]["threads"]
    show_table(
        f"Training on {document['data']['name']}, {cpu}, {threads} threads, {document['date']}",
        ["system", "events/s, median", "range", "s an epoch"],
        [
            (
                name,
                f"{of['median']:,.0f}",
                f"{of['min']:,.0f} – {of['max']:,.0f}",
                f"{events / of['median']:.1f}",
            )
            for name, of, events in rows
        ],
    )
    if ratio:
        console().print(f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} – {ratio['max']:.2f})")
    console().print(
        f"limit: {2 * (bound['linear'] + bound['attention'] + bound['head']) / 1e9:,.0f} GFLOP an epoch at "
        f"{bound['flops'] / 1e9:.0f} GFLOP/s take {bound['seconds_at_peak']:.1f} s: "
        f"ours takes {bound['times_limit']:.2f} times as long\n"
        f"with {bound['exponentials'] / 1e9:.1f} G exponentials {bound['seconds_at_peak_with_exponentials']:.1f} s: "
        f"ours takes {bound['times_limit_with_exponentials']:.2f} times as long"
    )


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Without advice on a run that is meant to be as it is."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


if __name__ == "__main__":
    main(sys.argv[1:])
