"""How fast a model answers on this machine: one request, and many users, with its own catalogue and larger ones."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, at_least_one, settings_of
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import bar, console, show_json, show_table
from bert4rec.errors import UsageError

if TYPE_CHECKING:
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.engine.latency import Latency

CATALOGUES = [10_000, 100_000, 1_000_000]
BATCH_SIZES = [1, 16, 64, 256, 1024]


def add_flags(parser: ArgumentParser) -> None:
    """The flags of `bench`."""
    add_settings(parser, ModelFlags)
    parser.add_argument(
        "--catalogues",
        type=int,
        nargs="*",
        default=CATALOGUES,
        help="Numbers of items of larger, made-up catalogues.",
    )
    parser.add_argument(
        "--batch_sizes", type=int, nargs="+", default=BATCH_SIZES, help="Users at once."
    )
    parser.add_argument(
        "--requests", type=int, default=300, help="How many users are asked for one at a time."
    )
    parser.add_argument("--k", type=int, default=10, help="How many items a list has.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Measures."""
    import torch

    for name in ("requests", "k"):
        at_least_one(args, name)
    if min(args.batch_sizes) < 1:
        raise UsageError(f"batch_sizes is {args.batch_sizes}: each must be 1 or more")
    engine = settings_of(ModelFlags, args).engine()
    known = engine.dataset.num_items
    for size in args.catalogues:
        if size < known and args.catalogues != CATALOGUES:
            raise UsageError(
                f"catalogues holds {size}, but the model knows {known:,} items: name larger ones"
            )
    started = time.perf_counter()
    engine.scorer.output_VD  # noqa: B018 -- computed once, and kept
    item_side = time.perf_counter() - started
    sizes = [known, *(size for size in args.catalogues if size > known)]
    found = list(bar(measured(engine, sizes, args), "asking", len(sizes)))
    document = {
        "model": engine.scorer.name,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in engine.scorer.network.parameters()),
        "seq_length": engine.scorer.seq_length,
        "item_side_seconds": item_side,
        "catalogues": [one.to_dict() for one in found],
    }
    if args.json:
        show_json(document)
        return
    show_table(
        f"one request: milliseconds for the list of one user, {args.requests} users",
        ["items", *found[0].milliseconds],
        [
            [f"{one.items:,}", *(f"{value:.2f}" for value in one.milliseconds.values())]
            for one in found
        ],
    )
    print()
    show_table(
        "users per second, by users at once",
        ["items", *(f"{size:,}" for size in args.batch_sizes)],
        [
            [
                f"{one.items:,}",
                *(_rate(one.users_per_second.get(size)) for size in args.batch_sizes),
            ]
            for one in found
        ],
    )
    console().print(
        f"\nlists of {args.k}; histories of at most {engine.scorer.seq_length} events; {document['parameters']:,} "
        f"parameters; {document['threads']} threads. The items' side was computed once, in {item_side * 1000:.0f} ms. "
        f"Catalogues above {known:,} have made-up items. –: more than 256 MiB of scores.",
        style="dim",
    )


def measured(engine: RecommendationEngine, sizes: list[int], args: Namespace) -> Iterator[Latency]:
    """A catalogue after the other."""
    from bert4rec.engine.latency import measure_latency, with_made_up_items

    for size in sizes:
        scorer = (
            engine.scorer
            if size == engine.dataset.num_items
            else with_made_up_items(engine.scorer, size)
        )
        yield measure_latency(scorer, engine.dataset, args.requests, args.batch_sizes, args.k)


def _rate(users_per_second: float | None) -> str:
    return "–" if users_per_second is None else f"{users_per_second:,.0f}"
