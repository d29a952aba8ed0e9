"""Where an errno of /proc becomes an error of numamig: nowhere else in this backend."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from numamig.errors import BackendError, NumamigError, RefusedError, TargetGone

__all__ = ["as_error", "gone", "reading_process", "refused"]

_GONE = frozenset({errno.ENOENT, errno.ESRCH, errno.ENOTDIR})
_REFUSED = frozenset({errno.EPERM, errno.EACCES})


def gone(pid: int, why: str = "") -> TargetGone:
    """The process ended, or is no longer the one that was meant."""
    message = f"process {pid} {why}" if why else f"no process with pid {pid}"
    return TargetGone(message, pid=pid, errno=errno.ESRCH)


def refused(pid: int, number: int) -> RefusedError:
    """The kernel does not let this caller look into the process."""
    return RefusedError(
        f"not allowed to look into process {pid}",
        # pagemap belongs to its owner with mode 0400, so the right to trace alone does not open it.
        hint="run as its owner, or with sudo: CAP_SYS_PTRACE (and CAP_DAC_READ_SEARCH for /proc/PID/pagemap)",
        pid=pid,
        errno=number,
    )


def as_error(pid: int, error: OSError) -> NumamigError:
    """What an ``OSError`` of a file of process ``pid`` means."""
    if error.errno in _GONE:
        return gone(pid)
    if error.errno in _REFUSED:
        return refused(pid, error.errno or errno.EPERM)
    return BackendError(f"reading process {pid}: {error}", pid=pid, errno=error.errno)


@contextmanager
def reading_process(pid: int) -> Iterator[None]:
    """Turn an ``OSError`` of the body into ``TargetGone``, ``RefusedError`` or ``BackendError``."""
    try:
        yield
    except OSError as error:
        raise as_error(pid, error) from error
