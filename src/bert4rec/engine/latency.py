"""How fast lists are made: the time of one request, and users per second of many, for catalogues of any size.

A larger catalogue is the model's own with made-up items behind it: vectors like those of real items, which cost what
real ones would. The items' side of every score is computed once, before the first request.

Legend: B users at once, V item rows, D width.
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

QUANTILES = (50, 95, 99)
WARMING_REQUESTS = 10
SCORES_AT_ONCE = 2**26
"""Of a batch: 256 MiB. Larger batches are not tried."""
BATCH_SECONDS = 2.0
"""A batch size is asked for so long, at least once."""


@dataclass(frozen=True)
class Latency:
    """What one catalogue costs."""

    items: int
    milliseconds: dict[str, float]
    """Of one user's list: p50, p95, p99."""
    users_per_second: dict[int, float]
    """By the number of users at once; sizes that would not fit are left out."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "items": self.items,
            "milliseconds": self.milliseconds,
            "users_per_second": {str(size): rate for size, rate in self.users_per_second.items()},
        }


def latency(
    scorer: NetworkScorer,
    dataset: PreparedDataset,
    requests: int,
    batch_sizes: Sequence[int],
    k: int = 10,
    seed: int = 0,
) -> Latency:
    """Asks for the lists of stored users, drawn at random: first one at a time, then in batches."""
    random, items = np.random.default_rng(seed), len(scorer.output_VD) - FIRST_ITEM

    def some_users(count: int) -> Histories:
        user_B = random.integers(FIRST_USER, dataset.users.rows, count)
        return dataset.histories(user_B, np.asarray(dataset.start_U1)[user_B + 1])

    def seconds(histories: Histories) -> float:
        started = time.perf_counter()
        recommend(scorer, histories, k, seen=histories)
        return time.perf_counter() - started

    singles = [seconds(some_users(1)) for _ in range(WARMING_REQUESTS + requests)][
        WARMING_REQUESTS:
    ]
    rates = {}
    for size in batch_sizes:
        if size * (FIRST_ITEM + items) <= SCORES_AT_ONCE:
            spent: list[float] = []
            while sum(spent) < BATCH_SECONDS or len(spent) < 2:
                spent.append(seconds(some_users(size)))
            rates[size] = size / float(np.median(spent))
    quantiles = np.percentile(np.array(singles) * 1000, QUANTILES).tolist()
    return Latency(
        items, {f"p{q}": value for q, value in zip(QUANTILES, quantiles, strict=True)}, rates
    )


@torch.no_grad()
def grown(scorer: NetworkScorer, items: int, seed: int = 0) -> NetworkScorer:
    """The scorer with so many items: made-up ones behind its own, each with the numbers of some real items mixed."""
    network, more = deepcopy(scorer.network), items - (len(scorer.item_VD) - FIRST_ITEM)
    generator = torch.Generator().manual_seed(seed)
    other = NetworkScorer(network, scorer.run, f"{scorer.name}, {items:,} items")
    other.item_VD = _longer(scorer.item_VD, more, generator)
    other.score_offset_V = (
        None
        if scorer.score_offset_V is None
        else _longer(scorer.score_offset_V[:, None], more, generator)[:, 0]
    )
    return other


def _longer(value_VD: Tensor, more: int, generator: torch.Generator) -> Tensor:
    """With so many rows behind it, in each column values that occur there."""
    taken_VD = torch.randint(
        FIRST_ITEM, len(value_VD), (more, value_VD.shape[1]), generator=generator
    )
    return torch.cat([value_VD, value_VD.gather(0, taken_VD)])
