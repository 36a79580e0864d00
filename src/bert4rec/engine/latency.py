"""Latency of recommendations: time of one request, and users per second in batches.

A larger catalogue is the model's own with made-up items behind it. Their vectors resemble those of
real items, so they cost what real ones would. Item embeddings are computed before the first
request.

Legend: B users of a batch, V item rows, D width, X made-up items.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bert4rec.data.dataset import PreparedDataset
from bert4rec.data.histories import Histories
from bert4rec.ids import FIRST_ITEM, FIRST_USER
from bert4rec.model.scorer import NetworkScorer
from bert4rec.retrieval.recommend import recommend

PERCENTILES = (50, 95, 99)
WARM_UP_REQUESTS = 10
SCORES_AT_ONCE = 2**26
"""Most scores of a batch, 256 MiB; larger batches are not measured."""
BATCH_SECONDS = 2.0
"""Time for which each batch size is measured; two batches at least."""


@dataclass(frozen=True)
class Latency:
    """Latency and throughput for one size of the catalogue."""

    items: int
    milliseconds: dict[str, float]
    """Time of one user's request: `p50`, `p95`, `p99`."""
    users_per_second: dict[int, float]
    """Throughput by batch size; sizes that would not fit are left out."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "items": self.items,
            "milliseconds": self.milliseconds,
            "users_per_second": {str(size): rate for size, rate in self.users_per_second.items()},
        }


def measure_latency(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    requests: int,
    batch_sizes: Sequence[int],
    k: int = 10,
    seed: int = 0,
) -> Latency:
    """Latency of top-k recommendations for known users, drawn at random."""
    random = np.random.default_rng(seed)
    items = len(scorer.output_VD) - FIRST_ITEM

    def seconds(users: int) -> float:
        histories = _random_histories(dataset, users, random)
        started = time.perf_counter()
        recommend(scorer, histories, k, seen=histories)
        return time.perf_counter() - started

    # The first requests compute the item embeddings and fill caches; they are not measured.
    for _ in range(WARM_UP_REQUESTS):
        seconds(1)
    singles = np.array([seconds(1) for _ in range(requests)])
    values = np.percentile(singles * 1000, PERCENTILES).tolist()
    milliseconds = dict(zip([f"p{q}" for q in PERCENTILES], values, strict=True))
    rates = {}
    for size in batch_sizes:
        if size * (FIRST_ITEM + items) > SCORES_AT_ONCE:
            continue
        spent: list[float] = []
        # The median of two batches at least: one may be interrupted.
        while sum(spent) < BATCH_SECONDS or len(spent) < 2:
            spent.append(seconds(size))
        rates[size] = size / float(np.median(spent))
    return Latency(items, milliseconds, rates)


def _random_histories(
    dataset: PreparedDataset, users: int, random: np.random.Generator
) -> Histories:
    """Stored histories of random users."""
    user_B = random.integers(FIRST_USER, dataset.users.rows, users)
    return dataset.histories(user_B, np.asarray(dataset.start_U1)[user_B + 1])


@torch.no_grad()
def with_made_up_items(scorer: NetworkScorer, items: int, seed: int = 0) -> NetworkScorer:
    """Scorer of a catalogue of so many items, made-up ones behind its own."""
    count = items - (len(scorer.item_VD) - FIRST_ITEM)
    generator = torch.Generator().manual_seed(seed)
    larger = NetworkScorer(
        deepcopy(scorer.network), scorer.config, f"{scorer.name}, {items:,} items"
    )
    larger.item_VD = _extended(scorer.item_VD, count, generator)
    if scorer.score_offset_V is None:
        larger.score_offset_V = None
    else:
        offset_V1 = scorer.score_offset_V[:, None]
        larger.score_offset_V = _extended(offset_V1, count, generator)[:, 0]
    return larger


def _extended(value_VD: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Table with more rows, whose columns hold values of random real items."""
    shape = (count, value_VD.shape[1])
    row_XD = torch.randint(FIRST_ITEM, len(value_VD), shape, generator=generator)
    return torch.cat([value_VD, value_VD.gather(0, row_XD)])
