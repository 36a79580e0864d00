"""One clock for both sides of a training comparison: what an event is and which steps count is the same for all.

Needs nothing but Python: it is read in the peers' environment as well as in ours.
"""

from __future__ import annotations

import time

WARMING_STEPS = 2
"""The first steps of a run fill caches and allocate; they are not timed."""


class Stopwatch:
    """Times training steps until they fill the budget; a step lasts from the end of the one before to its own.

    So a step's time holds all that training does: the batch, forward, backward, the optimiser, the loop around them.
    """

    def __init__(self, seconds: float) -> None:
        self.budget = seconds
        self.steps: list[tuple[int, float]] = []
        """Events and seconds of each timed step."""
        self.warmed = 0
        self.last = time.perf_counter()

    def step(self, events: int) -> bool:
        """Notes that a step has ended which trained on so many events; true once the budget is spent."""
        now = time.perf_counter()
        if self.warmed < WARMING_STEPS:
            self.warmed += 1
        else:
            self.steps.append((events, now - self.last))
        self.last = now
        return sum(seconds for _, seconds in self.steps) >= self.budget
