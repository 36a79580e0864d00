"""Prepares raw ratings: a MovieLens release by name, or your own tables by a schema.

The schema is described in docs/schema.md.
"""

from __future__ import annotations

from jsonargparse import ArgumentParser, Namespace

from bert4rec.cli.flags import add_settings, settings_of
from bert4rec.cli.output import notes
from bert4rec.config import PrepareConfig


def add_flags(parser: ArgumentParser) -> None:
    """Add the flags of `prepare`."""
    add_settings(parser, PrepareConfig)


def run(args: Namespace) -> None:
    """Prepare, and log the use of each column."""
    config = settings_of(PrepareConfig, args)
    from bert4rec.ingest.prepare import prepare_dataset

    prepare_dataset(config, notes())
