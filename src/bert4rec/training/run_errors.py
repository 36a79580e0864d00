"""Errors of a run as one line: disk, device, interrupt."""

from __future__ import annotations

import errno
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from lightning.fabric.utilities.exceptions import MisconfigurationException

from bert4rec.config import TrainingConfig
from bert4rec.errors import ArtefactError, Bert4RecError, ConfigError, Terminated
from bert4rec.training.run_directory import RunDirectory

DISK_ERRORS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO),
    *(errno.EROFS, errno.EACCES, errno.EPERM),
)
"""Errors of writing to an open file, which name no file; errors of opening it do."""


@contextmanager
def run_errors(directory: RunDirectory, training: TrainingConfig) -> Iterator[None]:
    """Turn errors of a run into errors of this package, which say if the run can be resumed."""
    on_interrupt = signal.getsignal(signal.SIGINT)
    try:
        yield
    except ArtefactError as problem:
        raise ArtefactError(f"{problem}{_resume_hint(directory)}") from problem
    except OSError as problem:
        raise _from_os_error(directory, problem) from problem
    except MisconfigurationException as problem:
        settings = (
            f"accelerator {training.accelerator!r}, devices {training.devices}, "
            f"precision {training.precision!r}"
        )
        raise ConfigError(f"{settings}: {_one_line(problem)}") from problem
    except Terminated as stopped:
        raise Terminated(f"terminated{_resume_hint(directory)}") from stopped
    except (KeyboardInterrupt, SystemExit) as stopped:
        # Lightning turns an interrupt into an exit.
        causes = (stopped, stopped.__context__)
        if not any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            raise
        signal.signal(signal.SIGINT, on_interrupt)
        raise KeyboardInterrupt(f"interrupted{_resume_hint(directory)}") from stopped


def _from_os_error(directory: RunDirectory, problem: OSError) -> Bert4RecError:
    """Error of the disk, or of something else, like the connection of a logger."""
    hint = _resume_hint(directory)
    if problem.filename or problem.errno in DISK_ERRORS:
        path, reason = problem.filename or directory.output, problem.strerror or problem
        return ArtefactError(f"{path}: cannot be written ({reason}){hint}")
    what = f"{type(problem).__name__}: {_one_line(problem)}"
    return Bert4RecError(f"{directory.output}: training was stopped by {what}{hint}")


def _resume_hint(directory: RunDirectory) -> str:
    if not directory.last.is_file():
        return ""
    return "; what was trained is kept, --resume goes on from it"


def _one_line(problem: Exception) -> str:
    return " ".join(str(problem).split())
