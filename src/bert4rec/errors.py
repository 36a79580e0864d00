"""All errors that a user can meet, and their causes.

    Bert4RecError
    ├── UsageError              a wrong request: flag, setting or argument      (exit code 2)
    │   └── ConfigError         an unknown, ill-typed or contradictory setting
    └── DataError               data that cannot be used                        (exit code 1)
        ├── SourceError         a raw file; names the file, row and field
        ├── PreparedDataError   a prepared folder: absent, incomplete or of another version
        ├── ArtefactError       a model folder: absent, truncated, mixed up or newer
        ├── Diverged            a network whose scores are not finite
        ├── UnknownUser         a user id without a stored history
        └── UnknownItem         item ids that the model does not know

A message is one line: what is wrong, where, and what to do. The command line prints it and exits
with the code of its branch; `--debug` adds the traceback.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


class Bert4RecError(Exception):
    """Root of all errors that are raised on purpose."""

    exit_code = 1


class UsageError(Bert4RecError):
    """A wrong request."""

    exit_code = 2


class ConfigError(UsageError):
    """A setting that is unknown, ill-typed, out of range, or contradicts another."""


class DataError(Bert4RecError):
    """Data that cannot be used."""


class SourceError(DataError):
    """A raw file that is missing or truncated, or holds something unusable.

    Args:
        what: Problem and remedy.
        file: The raw file.
        row: Line of the file, from 1, as an editor shows it.
        field: Column or setting of the file.
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
    """A prepared folder that is absent, incomplete or of another format version."""


class ArtefactError(DataError):
    """A model folder that is absent, incomplete, mixed up with another, or newer."""


class Diverged(DataError):
    """A network whose scores are not finite, because its training has diverged."""


class UnknownUser(DataError):
    """A user without a stored history, for whom no history was passed."""

    def __init__(self, user_id: object) -> None:
        super().__init__(
            f"unknown user_id {user_id!r}: "
            "pass an item_sequence to recommend for a cold-start user, or check the id"
        )
        self.user_id = user_id


_MOST_SHOWN = 5


class UnknownItem(DataError):
    """Item ids that the model does not know."""

    def __init__(self, item_ids: Sequence[object]) -> None:
        shown = ", ".join(map(repr, item_ids[:_MOST_SHOWN]))
        hidden = len(item_ids) - _MOST_SHOWN
        more = f" and {hidden} more" if hidden > 0 else ""
        super().__init__(
            f"unknown item_id {shown}{more}: the model does not know it; "
            "check the id or leave it out"
        )
        self.item_ids = list(item_ids)


class Terminated(BaseException):
    """The process was asked to end (SIGTERM). Like KeyboardInterrupt, no error: clean-up runs."""
