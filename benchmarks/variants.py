"""Trains variants of a preset in turn and sets their validation figures side by side.

    python benchmarks/variants.py --data demo/prepared --preset small --name small_preset-ml-100k \\
        --seeds 1 2 3 -- "" "--exclude_seen false" "--user_features none"

Each variant is a string of flags of `bert4rec train`; "" is the preset itself. Each is trained with every seed, and
compared with the first one seed by seed. Runs that are complete are not repeated.
Only validation users are asked: what is chosen here is chosen without a look at the test.
"""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from statistics import mean
from typing import Any

from bert4rec.cli.output import show_table
from records import machine, results_file, write
from runs import train

SHOWN = ("ndcg@10", "hit@10")


def main(words: Sequence[str] | None = None) -> None:
    """Trains, prints a table and writes the JSON file."""
    args = parse(words)
    runs = [
        {
            "flags": flags,
            "seed": seed,
            **figures_of(args.data, args.preset, f"{flags} --seed {seed}".strip(), args.runs),
        }
        for seed in args.seeds
        for flags in args.variants
    ]
    variants = summary(runs)
    show_table(
        f"{args.preset.stem} on {args.data.name}, validation, seeds {', '.join(map(str, args.seeds))}",
        ["variant", *SHOWN, "minus the first", "seconds"],
        [
            [
                variant["flags"] or "the preset",
                *(f"{variant[name]:.4f}" for name in SHOWN),
                " ".join(f"{difference:+.4f}" for difference in variant["differences"]),
                f"{variant['seconds']:.0f}",
            ]
            for variant in variants
        ],
    )
    document = {
        "benchmark": "variants",
        "date": date.today().isoformat(),
        "machine": machine(),
        "config": args.preset.name,
        "summary": variants,
        "runs": runs,
    }
    write(document, args.output or results_file(args.name))


def parse(words: Sequence[str] | None) -> argparse.Namespace:
    """The arguments."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True, help="A prepared folder.")
    parser.add_argument(
        "--preset", type=Path, required=True, help="A preset's name, or a YAML file of settings."
    )
    parser.add_argument("--name", required=True, help="What the result is called.")
    parser.add_argument(
        "--runs", type=Path, default=Path("runs/variants"), help="Where the runs go."
    )
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[42], help="The seeds of each variant."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    parser.add_argument(
        "variants", nargs="+", help="Flags of 'bert4rec train', in one string for each variant."
    )
    return parser.parse_args(words)


def figures_of(data: Path, config: Path, flags: str, runs: Path) -> dict[str, Any]:
    """The figures of one run: the best validation epoch, its cost, and the whole history."""
    name = re.sub(r"[^a-z0-9.]+", "-", f"{config.stem} {flags}".lower()).strip("-")
    figures = train(data, config, runs / name, shlex.split(flags))
    best = figures["history"][figures["best_epoch"] - 1]["validation"]
    return {**{metric: best[metric] for metric in SHOWN}, **figures}


def summary(runs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of each variant the means over its seeds, and by how much NDCG@10 is above that of the first, for each seed."""
    first = runs[0]["flags"]
    by_seed = {(run["flags"], run["seed"]): run["ndcg@10"] for run in runs}
    return [
        {
            "flags": flags,
            **{
                name: mean(run[name] for run in runs if run["flags"] == flags)
                for name in (*SHOWN, "seconds")
            },
            "differences": [
                value - by_seed[first, seed] for (of, seed), value in by_seed.items() if of == flags
            ],
        }
        for flags in dict.fromkeys(run["flags"] for run in runs)
    ]


if __name__ == "__main__":
    main()
