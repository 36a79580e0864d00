"""Stopwatch for both systems of a training comparison: the same steps count for each.

Needs nothing but Python, since it is imported in the peers' environment too.
"""

from __future__ import annotations

import time

WARMING_STEPS = 2
"""First steps of a run, which fill caches and allocate; they are not timed."""


class Stopwatch:
    """Timer of training steps until they fill the budget.

    A step lasts from the end of the step before to its own end. It includes the batch, forward,
    backward, the optimiser and the loop around them.
    """

    def __init__(self, seconds: float) -> None:
        self.budget = seconds
        self.steps: list[tuple[int, float]] = []
        """Events and seconds of each timed step."""
        self.warmed = 0
        self.last = time.perf_counter()

    def step(self, events: int) -> bool:
        """Record the end of a step with its events; True once the budget is spent."""
        now = time.perf_counter()
        if self.warmed < WARMING_STEPS:
            self.warmed += 1
        else:
            self.steps.append((events, now - self.last))
        self.last = now
        return sum(seconds for _, seconds in self.steps) >= self.budget
