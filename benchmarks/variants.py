"""Validation metrics of variants of a preset, each trained with every seed.

    python benchmarks/variants.py --data demo/prepared --preset small --name small_preset-ml-100k \\
        --seeds 1 2 3 -- "" "--exclude_seen false" "--user_features none"

A variant is a string of flags of `bert4rec train`; "" is the preset itself. Each variant is
compared with the first one seed by seed. Complete runs are not repeated. Only validation users
are evaluated, so that a choice made here leaves the test users untouched.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from bert4rec.cli.output import show_table
from bert4rec.result_tables import Table
from records import add_output, head, make_parser, results_file, write
from runs import train

METRICS = ("ndcg@10", "hit@10")
Run = dict[str, Any]


def main(words: Sequence[str] | None = None) -> None:
    """Train the variants, print the table and write the record."""
    args = parse(words)
    runs = []
    for seed in args.seeds:
        for flags in args.variants:
            all_flags = f"{flags} --seed {seed}".strip()
            figures = train_variant(args.data, args.preset, all_flags, args.runs)
            runs.append({"flags": flags, "seed": seed, **figures})
    summary = summarise(runs)
    seeds = ", ".join(map(str, args.seeds))
    title = f"{args.preset.stem} on {args.data.name}, validation, seeds {seeds}"
    columns = ["variant", *METRICS, "minus the first", "seconds"]
    show_table(Table(title, columns, [_row(variant) for variant in summary]))
    record = {**head("variants"), "config": args.preset.name, "summary": summary, "runs": runs}
    write(record, args.output or results_file(args.name))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """Parsed flags."""
    parser = make_parser(__doc__)
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument("--preset", type=Path, required=True, help="A preset or a YAML file.")
    parser.add_argument("--name", required=True, help="The record's name.")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/variants"), help="The folder of the runs."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[42], help="The seeds of each variant."
    )
    add_output(parser)
    parser.add_argument(
        "variants", nargs="+", help="Flags of 'bert4rec train', one string for each variant."
    )
    return parser.parse_args(words)


def train_variant(data: Path, preset: Path, flags: str, runs: Path) -> dict[str, Any]:
    """Metrics of the best validation epoch, cost, and the whole history of one run."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{preset.stem} {flags}".lower()).strip("-")
    figures = train(data, preset, runs / name, shlex.split(flags))
    best = figures["history"][figures["best_epoch"] - 1]["validation"]
    return {**{metric: best[metric] for metric in METRICS}, **figures}


def summarise(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each variant's means over seeds, and its NDCG@10 minus the first variant's by seed."""
    by_variant: dict[str, list[Run]] = {}
    for run in runs:
        by_variant.setdefault(run["flags"], []).append(run)
    first = {run["seed"]: run["ndcg@10"] for run in by_variant[runs[0]["flags"]]}
    summary = []
    for flags, own in by_variant.items():
        means = {name: mean(run[name] for run in own) for name in (*METRICS, "seconds")}
        differences = [run["ndcg@10"] - first[run["seed"]] for run in own]
        summary.append({"flags": flags, **means, "differences": differences})
    return summary


def _row(variant: dict[str, Any]) -> list[str]:
    metrics = [f"{variant[name]:.4f}" for name in METRICS]
    differences = " ".join(f"{difference:+.4f}" for difference in variant["differences"])
    return [variant["flags"] or "the preset", *metrics, differences, f"{variant['seconds']:.0f}"]


if __name__ == "__main__":
    main()
