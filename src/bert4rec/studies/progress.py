"""Progress of a study's steps, which the command line shows as a bar."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol, TypeVar

Step = TypeVar("Step")


class Progress(Protocol):
    """Wrapper around the steps of a study, told how many there are."""

    def __call__(self, steps: Iterator[Step], total: int) -> Iterator[Step]:
        """Steps as they come."""


def no_progress(steps: Iterator[Step], total: int) -> Iterator[Step]:
    """Steps as they come, nothing shown."""
    return steps
