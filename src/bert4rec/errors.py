"""Every error a user can meet, and when.

    Bert4RecError
    ├── UsageError              a wrong request: a flag, a setting, an argument         (exit code 2)
    │   └── ConfigError         a setting that is unknown, ill-typed or contradictory
    └── DataError               what was given to work on cannot be used                (exit code 1)
        ├── SourceError         a raw file: names the file and, where there are any, row and field
        ├── PreparedDataError   a prepared folder that is absent, incomplete or from another version
        ├── ArtefactError       a model folder that is absent, truncated, mixed up or newer
        ├── Diverged            a network that scores NaN
        ├── UnknownUser         a user id without a stored history
        └── UnknownItem         item ids that the model does not know

A message is one line: what is wrong, where, and what to do. The command line prints it and leaves with
the exit code of its branch; `--debug` adds the traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class Bert4RecError(Exception):
    """The root: every error raised on purpose."""

    exit_code = 1


class UsageError(Bert4RecError):
    """The request itself is wrong."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting is unknown, ill-typed, out of range, or contradicts another."""


class DataError(Bert4RecError):
    """What was given to work on cannot be used."""


class SourceError(DataError):
    """A raw file is missing, truncated or holds something unusable.

    `row` is the 1-based line of the file, as an editor shows it.
    """

    def __init__(
        self, what: str, file: str | Path, row: int | None = None, field: str | None = None
    ) -> None:
        where = str(file)
        if row is not None:
            where += f", row {row}"
        if field is not None:
            where += f", field {field!r}"
        super().__init__(f"{where}: {what}")


class PreparedDataError(DataError):
    """A prepared folder is absent, incomplete or written by another format version."""


class ArtefactError(DataError):
    """A model folder is absent, incomplete, mixed up with another, or written by a newer version."""


class Diverged(DataError):
    """A network scored NaN: its training has diverged."""


class UnknownUser(DataError):
    """No history is stored for this user, and none was passed."""

    def __init__(self, user_id: object) -> None:
        super().__init__(
            f"unknown user_id {user_id!r}: pass an item_sequence to answer for a new user, or check the id"
        )
        self.user_id = user_id


class UnknownItem(DataError):
    """Item ids that the model does not know."""

    def __init__(self, item_ids: Sequence[object]) -> None:
        shown = ", ".join(repr(item_id) for item_id in item_ids[:5])
        more = f" and {len(item_ids) - 5} more" if len(item_ids) > 5 else ""
        super().__init__(
            f"unknown item_id {shown}{more}: the model does not know it; check the id or leave it out"
        )
        self.item_ids = list(item_ids)
