"""Training speed of the SASRec preset beside RecTools' SASRec, and beside the limit of the CPU.

    BERT4REC_DATA=… python benchmarks/training_speed.py
    python benchmarks/training_speed.py --no_peers --preset deep     # any preset, alone

Both systems train in turn on the same leave-one-out training events, with 2 threads and the same
sizes: bert4rec through the trainer of `bert4rec train`, RecTools (in its own environment,
`make peers`) through its `fit`. An event is a position with a target. The time is that of complete
steps, without construction of the model and without validation.

Differences that remain: bert4rec predicts a user's first event too (6,040 more of 653,659 on
ML-1M). RecTools applies dropout to attention weights, and its catalogue is the items of its
windows.

Legend: N events, U user rows, W training windows.
"""

from __future__ import annotations

import argparse
import logging
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
from bert4rec.result_tables import Table
from bert4rec.training.arithmetic import Arithmetic, arithmetic
from bert4rec.training.data_module import TrainingDataModule
from bert4rec.training.lightning_trainer import make_trainer
from bert4rec.training.module import TrainingModule
from bert4rec.training.seeding import SeedEpochs, seed_epoch
from peer_process import MISSING, PEERS_PYTHON, run_peer
from peers.stopwatch import Stopwatch
from records import add_output, head, make_parser, results_file, write
from runs import settings_of

PRESET = Path("sasrec")
AS_ITS_PEER: dict[str, Any] = {"batch_size": 128, "windows": "last", "exclude_seen": False}
"""Defaults of RecTools' SASRec where the preset, tuned for quality, differs."""
PEER = "rectools_sasrec.py"
THREADS = 2
PACKAGES = ("bert4rec", "torch", "lightning", "numpy")
MATRIX_SIZE = 1536
"""Large enough for the CPU's best rate, small enough for many trials.

Larger matrices gave 7 % more at most (2026-11).
"""
CACHED_LOGITS = 2**19
"""Logits that the loss holds at a time: exponentials are timed in the cache."""


@dataclass(frozen=True)
class Round:
    """Events and seconds of every step of both systems, and the CPU's best rates just before."""

    ours: list[tuple[int, float]]
    peer: list[tuple[int, float]] | None
    flops: float
    """Best rate of a matrix product in fp32; multiplications and additions count."""
    exponentials: float
    """Best rate of exp2, which is faster than exp; a softmax may use either."""


def main(words: Sequence[str] | None = None) -> None:
    """Measure round by round, print the table and write the record."""
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
            print_round(len(rounds), rounds[-1])
    record = {"config": args.preset.name, **record_of(dataset, split, run, rounds, peer)}
    show(record)
    write(record, args.output or results_file(f"training_speed-{THREADS}cpu"))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags; exits where they do not fit together."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--rounds", type=int, default=4, help="Turns of each system (default: %(default)s)."
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=35,
        help="A system's time in a round (default: %(default)s).",
    )
    parser.add_argument(
        "--data", type=Path, help="A prepared folder; default: ML-1M, prepared in the cache."
    )
    add_output(parser)
    parser.add_argument(
        "--no_peers", action="store_true", help="Measure bert4rec and the limit alone."
    )
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
        parser.error(MISSING)
    return args


def prepare_movielens() -> PreparedDataset:
    """Prepared ML-1M, from BERT4REC_DATA or downloaded."""
    # Imported here: a machine that only trains may lack a dataframe library.
    from bert4rec.ingest.prepare import prepare_dataset

    config = PrepareConfig(dataset="ml-1m", output=cache_folder() / "prepared" / "ml-1m")
    return prepare_dataset(config, log=lambda line: None)


def preset(name: Path = PRESET) -> RunConfig:
    """Settings of a preset on the CPU; of SASRec, as its peer trains it."""
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
    """Measure the CPU, bert4rec and the peer, one after another."""
    flops = measured_flops(min(1.0, seconds))
    exponentials = measured_exponentials(min(0.5, seconds))
    ours = train_ours(dataset, split, run, seconds, seed, scratch)
    return Round(ours, peer.train(seconds, seed) if peer else None, flops, exponentials)


class Clock(Callback):
    """Count events, and stop the run when its time is over."""

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
        """Count the step's events: every token of a causal sequence has a target."""
        assert batch.causal is not None
        trainer.should_stop = self.watch.step(len(batch.causal.token_S))


def train_ours(
    dataset: PreparedDataset, split: Split, run: RunConfig, seconds: float, seed: int, scratch: Path
) -> list[tuple[int, float]]:
    """Events and seconds of each step of a fresh network, trained as `bert4rec train` does."""
    run = replace(run, training=replace(run.training, seed=seed))
    seed_epoch(seed, epoch=0)
    network = Bert4Rec.for_dataset(run.model, dataset, run.training.task_weights)
    module = TrainingModule(network, run, dataset)
    clock = Clock(seconds)
    trainer = make_trainer(run.training, scratch / f"ours-{seed}", [clock, SeedEpochs(seed)])
    trainer.fit(
        module, train_dataloaders=TrainingDataModule(dataset, split, run).train_dataloader()
    )
    return clock.watch.steps


class Peer:
    """RecTools' SASRec of the same size, one process a round in the peers' environment."""

    def __init__(
        self, dataset: PreparedDataset, split: Split, run: RunConfig, scratch: Path
    ) -> None:
        self.run, self.events = run, scratch / "events.npz"
        self.expected = peer_workload(dataset, split, run)
        self.description: dict[str, Any] = {}
        """Sizes and versions that the peer reported in its last turn."""
        write_events(dataset, split, self.events)

    def train(self, seconds: float, seed: int) -> list[tuple[int, float]]:
        """Events and seconds of each step."""
        flags = {"events": self.events, "seconds": seconds, "seed": seed, **self.size}
        found = run_peer(PEER, PEERS_PYTHON, THREADS, **flags)
        steps = found.pop("steps")
        self.description = found
        workload = found["users"], found["events_per_epoch"]
        if workload != self.expected:
            raise SystemExit(
                f"{PEER} trained on users and events {workload}, expected {self.expected}"
            )
        return [(events, seconds) for events, seconds in steps]

    def named_description(self) -> dict[str, Any]:
        """Description of the peer for the record."""
        version_of_peer = self.description["versions"]["rectools"]
        return {"name": f"RecTools {version_of_peer} SASRec", **self.description}

    @property
    def size(self) -> dict[str, Any]:
        """Settings that both systems share, as flags of the peer."""
        model, training = self.run.model, self.run.training
        shared = {
            name: getattr(model, name)
            for name in ("num_layers", "num_heads", "hidden_size", "seq_length")
        }
        shared |= {"batch_size": training.batch_size, "learning_rate": training.learning_rate}
        return {**shared, "dropout": model.dropout, "threads": THREADS}


def write_events(dataset: PreparedDataset, split: Split, path: Path) -> None:
    """Write the training events for the peer, in the order of the dataset."""
    event_N = training_events(dataset, split)
    user_N = np.repeat(np.arange(dataset.user_rows), np.diff(dataset.start_U1))[event_N]
    np.savez(path, user_N=user_N, item_N=np.asarray(dataset.item_N[event_N]))


def window_lengths(dataset: PreparedDataset, split: Split, run: RunConfig) -> np.ndarray:
    """Events of each window of an epoch; bert4rec predicts every one of them."""
    windows = training_windows(dataset, split, run.model, run.training, epoch=0)
    return windows.stop_W - windows.start_W


def peer_workload(dataset: PreparedDataset, split: Split, run: RunConfig) -> tuple[int, int]:
    """Users and events with a target in the peer's epoch, which predicts no first event."""
    length_W = window_lengths(dataset, split, run)
    return int((length_W > 1).sum()), int((length_W - 1).sum())


def measured_flops(seconds: float) -> float:
    """Best rate of fp32 matrix products, in floating-point operations a second."""
    a, b = torch.rand(2, MATRIX_SIZE, MATRIX_SIZE)
    out = torch.empty_like(a)
    return 2 * MATRIX_SIZE**3 / best_seconds(lambda: torch.mm(a, b, out=out), seconds)


def measured_exponentials(seconds: float) -> float:
    """Best rate of exponentials a second, of logits in the cache."""
    logits = -10 * torch.rand(CACHED_LOGITS)
    out = torch.empty_like(logits)
    return CACHED_LOGITS / best_seconds(lambda: torch.exp2(logits, out=out), seconds)


def best_seconds(work: Callable[[], object], budget: float) -> float:
    """Shortest time of work that is repeated until the budget is spent, after one warm-up."""
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
    """Median, minimum and maximum."""
    return {"median": median(values), "min": min(values), "max": max(values)}


def record_of(
    dataset: PreparedDataset,
    split: Split,
    run: RunConfig,
    rounds: Sequence[Round],
    peer: Peer | None,
) -> dict[str, Any]:
    """Record: the rates, the data and machine they were measured on, and the raw timings."""
    sides = {
        "ours": [rate(one.ours) for one in rounds],
        "peer": [rate(one.peer) for one in rounds if one.peer],
    }
    ratios = [ours / theirs for ours, theirs in zip(sides["ours"], sides["peer"], strict=False)]
    epoch = arithmetic(dataset, split, run)
    return {
        **head("training_speed"),
        "versions": {package: version(package) for package in PACKAGES},
        "data": {"name": dataset.name, "checksum": dataset.checksum, "split": split.checksum},
        "settings": run.to_dict(),
        "seeds": [run.training.seed + number for number in range(len(rounds))],
        "events_per_second": {side: spread(rates) for side, rates in sides.items() if rates},
        "ratio": spread(ratios) if ratios else None,
        "limit": limit(epoch, dataset.num_items, rounds, median(sides["ours"])),
        "peer": peer and peer.named_description(),
        "rounds": [asdict(one) for one in rounds],
    }


def limit(
    epoch: Arithmetic, items: int, rounds: Sequence[Round], events_per_second: float
) -> dict[str, Any]:
    """Seconds of an epoch at the CPU's best rates, and the seconds that it takes."""
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


def print_round(number: int, one: Round) -> None:
    """Print the rates of one round."""
    ours, peer = rate(one.ours), ""
    if one.peer:
        peer = f", peer {rate(one.peer):,.0f}, ratio {ours / rate(one.peer):.2f}"
    gigaflops = f"{one.flops / 1e9:.0f} GFLOP/s"
    console().print(f"round {number}: ours {ours:,.0f} events/s{peer}; {gigaflops}")


def show(record: dict[str, Any]) -> None:
    """Print the table, and the limit."""
    bound, peer, ratio = record["limit"], record["peer"], record["ratio"]
    rates = record["events_per_second"]
    rows = [_row(f"bert4rec {record['config']}", rates["ours"], bound["events"])]
    if peer:
        rows.append(_row(peer["name"], rates["peer"], peer["events_per_epoch"]))
    cpu, threads = record["machine"]["cpu"], record["machine"]["threads"]
    show_table(
        Table(
            f"Training on {record['data']['name']}, {cpu}, {threads} threads, {record['date']}",
            ["system", "events/s, median", "range", "s an epoch"],
            rows,
        )
    )
    if ratio:
        console().print(f"ratio {ratio['median']:.2f} ({ratio['min']:.2f} – {ratio['max']:.2f})")
    operations = 2 * (bound["linear"] + bound["attention"] + bound["head"])
    console().print(
        f"limit: {operations / 1e9:,.0f} GFLOP an epoch at {bound['flops'] / 1e9:.0f} GFLOP/s "
        f"take {bound['seconds_at_peak']:.1f} s: "
        f"ours takes {bound['times_limit']:.2f} times as long\n"
        f"with {bound['exponentials'] / 1e9:.1f} G exponentials "
        f"{bound['seconds_at_peak_with_exponentials']:.1f} s: "
        f"ours takes {bound['times_limit_with_exponentials']:.2f} times as long"
    )


def _row(name: str, rates: dict[str, float], events: int) -> list[str]:
    middle, low, high = (rates[part] for part in ("median", "min", "max"))
    return [name, f"{middle:,.0f}", f"{low:,.0f} – {high:,.0f}", f"{events / middle:.1f}"]


@contextmanager
def quiet_lightning() -> Iterator[None]:
    """Silence Lightning's advice on a run that is short on purpose."""
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        warnings.filterwarnings("ignore", category=DeprecationWarning)
        yield


if __name__ == "__main__":
    main(sys.argv[1:])
