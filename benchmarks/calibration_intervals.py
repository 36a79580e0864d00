"""Coverage of bootstrap intervals of `rating_ece`, in synthetic worlds whose true error is known.

    python benchmarks/calibration_intervals.py

A world has the size of MovieLens 1M: 6,040 users, each with a distribution over 5 rating levels
and one rating drawn from it. The model states a sharper distribution. The true error is that of
the same bins without sampling noise, over many users.

Legend: C cases, R rating levels, Y bootstrap resamples, Z bins of all levels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from bert4rec.cli.output import show_table
from bert4rec.data.arrays import Floats
from bert4rec.evaluation.calibration import (
    BINS,
    calibration_metrics,
    count_in_bins,
    reliability_table,
)
from bert4rec.result_tables import Table
from records import add_output, head, make_parser, results_file, write

CASES, LEVELS, MANY, RESAMPLES = 6_040, 5, 400_000, 200
CENTRE_R, SPREAD_R = np.array([-1.6, -0.9, 0.1, 0.5, 0.0]), np.array([1.1, 0.8, 0.4, 0.3, 0.9])
"""Mean and deviation of the logits: about ML-1M's shares of levels, as sure as rating heads are."""
SHARPER = (0.0, 0.3, 0.6)
"""Shares by which the model's logits are too large."""


@dataclass(frozen=True)
class Coverage:
    """Errors and coverage of intervals over several worlds."""

    sharper: float
    truth: float
    mean_ece: float
    mean_chance: float
    percentile: float
    """Share of worlds whose 95 % percentile interval holds the true error."""
    basic: float
    """Share for the basic interval, which mirrors the percentile interval at the estimate."""


def main(words: Sequence[str] | None = None) -> None:
    """Simulate the worlds, print the table and write the record."""
    parser = make_parser(__doc__)
    parser.add_argument(
        "--worlds", type=int, default=60, help="Worlds for each row (default: %(default)s)."
    )
    add_output(parser)
    args = parser.parse_args(words)
    found = [asdict(simulate(sharper, args.worlds)) for sharper in SHARPER]
    title = f"{CASES:,} cases, {args.worlds} worlds"
    show_table(Table(title, list(found[0]), [list(row.values()) for row in found]))
    sizes = {"cases": CASES, "levels": LEVELS, "worlds": args.worlds, "resamples": RESAMPLES}
    record = {**head("calibration_intervals"), **sizes, "found": found}
    write(record, args.output or results_file("calibration_intervals"))


def simulate(sharper: float, worlds: int) -> Coverage:
    """Coverage over worlds whose model is too sure by the same share."""
    random = np.random.default_rng(0)
    stated_CR, true_CR = people(random, MANY, sharper)
    truth = binned_error(stated_CR, true_CR - stated_CR)
    estimates, chances, held = [], [], []
    for _ in range(worlds):
        stated_CR, true_CR = people(random, CASES, sharper)
        rating_C = 1 + (true_CR.cumsum(1)[:, :-1] < random.random((CASES, 1))).sum(1)
        counts = count_in_bins(stated_CR, rating_C)
        metrics = calibration_metrics(reliability_table(counts, np.arange(1.0, LEVELS + 1)))
        residual_CR = (rating_C[:, None] == np.arange(1, LEVELS + 1)) - stated_CR
        low, high = percentile_interval(random, stated_CR, residual_CR)
        ece = metrics["rating_ece"]
        held.append((low <= truth <= high, 2 * ece - high <= truth <= 2 * ece - low))
        estimates.append(ece)
        chances.append(metrics["rating_ece_chance"])
    percentile, basic = np.mean(held, axis=0).tolist()
    mean_ece, mean_chance = float(np.mean(estimates)), float(np.mean(chances))
    return Coverage(sharper, truth, mean_ece, mean_chance, percentile, basic)


def percentile_interval(
    random: np.random.Generator, stated_CR: Floats, residual_CR: Floats
) -> tuple[float, float]:
    """Edges of the 95 % percentile interval of the binned error over users."""
    count_YC = random.multinomial(CASES, np.full(CASES, 1 / CASES), RESAMPLES)
    resampled = [binned_error(stated_CR, residual_CR * count_C[:, None]) for count_C in count_YC]
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def people(random: np.random.Generator, cases: int, sharper: float) -> tuple[Floats, Floats]:
    """Stated and true distributions, `[C, R]` both."""
    logit_CR = random.normal(CENTRE_R, SPREAD_R, (cases, LEVELS))
    stated_CR, true_CR = np.exp(logit_CR * (1 + sharper)), np.exp(logit_CR)
    return stated_CR / stated_CR.sum(1, keepdims=True), true_CR / true_CR.sum(1, keepdims=True)


def binned_error(stated_CR: Floats, residual_CR: Floats) -> float:
    """Class-wise calibration error of residuals: outcome minus stated probability."""
    bin_CR = np.minimum((stated_CR * BINS).astype(np.int64), BINS - 1) + BINS * np.arange(LEVELS)
    sum_Z = np.bincount(bin_CR.ravel(), residual_CR.ravel(), minlength=LEVELS * BINS)
    return float(np.abs(sum_Z).sum() / residual_CR.size)


if __name__ == "__main__":
    main()
