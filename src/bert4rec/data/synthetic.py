"""A world with a known answer."""

from __future__ import annotations

from bert4rec.data.prepared import PreparedDataset


def synthetic_dataset(seed: int = 0, num_users: int = 200, num_items: int = 60, events_per_user: int = 30) -> PreparedDataset:
    """A dataset in memory whose answer is known."""
    raise NotImplementedError
