"""Whether a bootstrap interval of `rating_ece` would hold the true error: worlds whose truth is known, of ML-1M's size.

    python benchmarks/calibration_intervals.py

In each world 6,040 users have a distribution over 5 levels and a rating drawn from it; the model states a sharper one.
The truth is the error in the same bins without chance, over many users.

Legend: C cases, R levels, B bins of all levels.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import numpy as np

from bert4rec.cli.output import show_table
from bert4rec.data.arrays import Floats
from bert4rec.evaluation.calibration import BINS, calibration_metrics, count_in_bins, reliability_of
from records import machine, results_file, write

CASES, LEVELS, MANY, RESAMPLES = 6_040, 5, 400_000, 200
CENTRE_R, SPREAD_R = np.array([-1.6, -0.9, 0.1, 0.5, 0.0]), np.array([1.1, 0.8, 0.4, 0.3, 0.9])
"""Of the logits: about the shares of ML-1M's levels, and how sure rating heads are of them."""
SHARPER = (0.0, 0.3, 0.6)
"""By how much the model's logits are too large."""


@dataclass(frozen=True)
class Found:
    """What a number of worlds gave."""

    sharper: float
    truth: float
    mean_ece: float
    mean_chance: float
    percentile: float
    """The share of worlds whose 95 % percentile interval holds the truth."""
    basic: float
    """The same of the basic interval, which mirrors it at the estimate."""


def main(words: Sequence[str] | None = None) -> None:
    """Simulates, prints a table and writes the JSON file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--worlds", type=int, default=60, help="For each line (default: %(default)s)."
    )
    parser.add_argument(
        "--output", type=Path, help="The JSON file; default: in benchmarks/results/."
    )
    args = parser.parse_args(words)
    found = [asdict(simulate(sharper, args.worlds)) for sharper in SHARPER]
    show_table(
        f"{CASES:,} cases, {args.worlds} worlds",
        list(found[0]),
        [list(row.values()) for row in found],
    )
    document = {
        "benchmark": "calibration_intervals",
        "date": date.today().isoformat(),
        "machine": machine(),
    }
    sizes = {"cases": CASES, "levels": LEVELS, "worlds": args.worlds, "resamples": RESAMPLES}
    write(
        {**document, **sizes, "found": found}, args.output or results_file("calibration_intervals")
    )


def simulate(sharper: float, worlds: int) -> Found:
    """All worlds of one kind."""
    random = np.random.default_rng(0)
    stated_CR, true_CR = people(random, MANY, sharper)
    truth = binned_error(stated_CR, true_CR - stated_CR)
    estimates, chances, held = [], [], []
    for _ in range(worlds):
        stated_CR, true_CR = people(random, CASES, sharper)
        rating_C = 1 + (true_CR.cumsum(1)[:, :-1] < random.random((CASES, 1))).sum(1)
        metrics = calibration_metrics(
            reliability_of(count_in_bins(stated_CR, rating_C), np.arange(1.0, LEVELS + 1))
        )
        residual_CR = (rating_C[:, None] == np.arange(1, LEVELS + 1)) - stated_CR
        count_SC = random.multinomial(CASES, np.full(CASES, 1 / CASES), RESAMPLES)
        resampled = [
            binned_error(stated_CR, residual_CR * count_C[:, None]) for count_C in count_SC
        ]
        low, high = np.quantile(resampled, [0.025, 0.975])
        ece = metrics["rating_ece"]
        held.append((low <= truth <= high, 2 * ece - high <= truth <= 2 * ece - low))
        estimates.append(ece)
        chances.append(metrics["rating_ece_chance"])
    percentile, basic = np.mean(held, axis=0).tolist()
    return Found(
        sharper, truth, float(np.mean(estimates)), float(np.mean(chances)), percentile, basic
    )


def people(random: np.random.Generator, cases: int, sharper: float) -> tuple[Floats, Floats]:
    """What the model states and what is true, `[C, R]` both."""
    logit_CR = random.normal(CENTRE_R, SPREAD_R, (cases, LEVELS))
    stated_CR, true_CR = np.exp(logit_CR * (1 + sharper)), np.exp(logit_CR)
    return stated_CR / stated_CR.sum(1, keepdims=True), true_CR / true_CR.sum(1, keepdims=True)


def binned_error(stated_CR: Floats, residual_CR: Floats) -> float:
    """The class-wise error of residuals (what came minus what was stated)."""
    place_CR = np.minimum((stated_CR * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(LEVELS)
    sum_B = np.bincount(place_CR.ravel(), residual_CR.ravel(), minlength=LEVELS * BINS)
    return float(np.abs(sum_B).sum() / residual_CR.size)


if __name__ == "__main__":
    main()
