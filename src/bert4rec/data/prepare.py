"""Raw tables to a prepared folder."""

from __future__ import annotations

from collections.abc import Callable

from bert4rec.config import PrepareConfig
from bert4rec.data.prepared import PreparedDataset


def prepare_dataset(config: PrepareConfig, report: Callable[[str], None] = print) -> PreparedDataset:
    """The prepared dataset of a release or a schema."""
    raise NotImplementedError
