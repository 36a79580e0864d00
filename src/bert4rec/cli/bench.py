"""Measures latency and throughput of a model, for its own catalogue and larger ones."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_json, add_settings, at_least_one, settings_of
from bert4rec.cli.model_flags import ModelFlags
from bert4rec.cli.output import bar, show_json, show_tables
from bert4rec.errors import UsageError
from bert4rec.result_tables import Table

if TYPE_CHECKING:
    from bert4rec.engine.engine import RecommendationEngine
    from bert4rec.engine.latency import Latency

CATALOGUES = [10_000, 100_000, 1_000_000]
BATCH_SIZES = [1, 16, 64, 256, 1024]


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `bench`."""
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
    parser.add_argument("--requests", type=int, default=300, help="Requests of one user each.")
    parser.add_argument("--k", type=int, default=10, help="Items of a list.")
    add_json(parser)


def run(args: Namespace) -> None:
    """Measure and print."""
    for name in ("requests", "k"):
        at_least_one(args, name)
    if min(args.batch_sizes) < 1:
        raise UsageError(f"batch_sizes is {args.batch_sizes}: each must be 1 or more")
    engine = settings_of(ModelFlags, args).engine()
    sizes = _catalogue_sizes(args.catalogues, engine.dataset.num_items)
    started = time.perf_counter()
    engine.scorer.output_VD  # noqa: B018 -- computed once, and kept
    item_side = time.perf_counter() - started
    measured = list(bar(_measure(engine, sizes, args), "measuring", len(sizes)))
    document = _document(engine, measured, item_side)
    if args.json:
        show_json(document)
    else:
        show_tables(_tables(measured, document, args))


def _catalogue_sizes(larger: Sequence[int], own: int) -> list[int]:
    """Size of the model's own catalogue, then those of the larger ones.

    Raises UsageError for a smaller one that the user names.
    """
    for size in larger:
        if size < own and larger != CATALOGUES:
            raise UsageError(
                f"catalogues holds {size}, but the model knows {own:,} items: name larger ones"
            )
    return [own, *(size for size in larger if size > own)]


def _measure(
    engine: RecommendationEngine, sizes: Sequence[int], args: Namespace
) -> Iterator[Latency]:
    """Latency for one catalogue after the other."""
    from bert4rec.engine.latency import measure_latency, with_made_up_items

    for size in sizes:
        scorer = engine.scorer
        if size != engine.dataset.num_items:
            scorer = with_made_up_items(scorer, size)
        yield measure_latency(scorer, engine.dataset, args.requests, args.batch_sizes, args.k)


def _document(
    engine: RecommendationEngine, measured: Sequence[Latency], item_side: float
) -> dict[str, Any]:
    """Plain values for JSON."""
    import torch

    weights = engine.scorer.network.parameters()
    return {
        "model": engine.scorer.name,
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
        "threads": torch.get_num_threads(),
        "parameters": sum(weight.numel() for weight in weights),
        "seq_length": engine.scorer.seq_length,
        "item_side_seconds": item_side,
        "catalogues": [catalogue.to_dict() for catalogue in measured],
    }


def _tables(measured: Sequence[Latency], document: dict[str, Any], args: Namespace) -> list[Table]:
    """Latency of one request, and throughput by batch size."""
    own = measured[0].items
    note = (
        f"lists of {args.k}; histories of at most {document['seq_length']} events; "
        f"{document['parameters']:,} parameters; {document['threads']} threads. "
        f"The item side was computed once, in {document['item_side_seconds'] * 1000:.0f} ms. "
        f"Catalogues above {own:,} have made-up items. –: more than 256 MiB of scores."
    )
    latencies = [_row(catalogue.items, _latencies(catalogue)) for catalogue in measured]
    rates = [_row(catalogue.items, _rates(catalogue, args.batch_sizes)) for catalogue in measured]
    title = f"one request: milliseconds for the list of one user, {args.requests} users"
    columns = ["items", *(f"{size:,}" for size in args.batch_sizes)]
    return [
        Table(title, ["items", *measured[0].milliseconds], latencies),
        Table("users per second, by users at once", columns, rates, note=note),
    ]


def _row(items: int, values: Sequence[str | None]) -> list[str | None]:
    return [f"{items:,}", *values]


def _latencies(catalogue: Latency) -> list[str]:
    return [f"{value:.2f}" for value in catalogue.milliseconds.values()]


def _rates(catalogue: Latency, batch_sizes: Sequence[int]) -> list[str | None]:
    """Users per second; None for a batch size that does not fit."""
    rates = [catalogue.users_per_second.get(size) for size in batch_sizes]
    return [None if rate is None else f"{rate:,.0f}" for rate in rates]
