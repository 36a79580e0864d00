"""`Source`: the files of one preparation, their schema and their origin."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bert4rec.ingest.schema import EventTable, Schema, SideTable


@dataclass(frozen=True)
class Source:
    """Files to prepare."""

    folder: Path
    schema: Schema
    origin: str
    """Name and checksum for the manifest."""
    scratch: Path
    """Folder for temporary files, deleted once the files are read."""
    published_rows: int | None = None
    """Number of events that the published files hold, if known."""

    def path_of(self, table: EventTable | SideTable) -> Path:
        """File of a table."""
        return self.folder / table.file
