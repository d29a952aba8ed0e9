"""The one error tree of numamig, and the exit codes that its branches map to.

NumamigError
├── UsageError            2   what was typed cannot be right: a node list, a size, an option
│   └── FileError         2   a profile or scenario is wrong; carries file, line and column
├── RefusedError          3   the kernel, the rights or preflight say no
│   └── JournalError      3   what is going to be moved cannot be written down: so it is not moved
├── TargetGone            4   the process is not there, or is no longer the one meant
├── BackendError         70   a backend answered something that it never should
└── LabError             70   the virtual NUMA machine could not be built or booted

Every error is one clear line (``message``) and, where there is one, a ``hint`` that tells the operator what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum
from typing import NamedTuple

__all__ = [
    "BackendError",
    "ExitCode",
    "Fault",
    "FileError",
    "JournalError",
    "LabError",
    "NumamigError",
    "RefusedError",
    "TargetGone",
    "UsageError",
]

_MOST_FAULTS = 100
"""Told, of one file: more are read by nobody."""


class ExitCode(IntEnum):
    """What every numamig command returns to the shell."""

    DONE = 0
    """All that was asked for was done."""
    PARTIAL = 1
    """Done in part: pages remain, or an ``expect`` of a profile failed."""
    USAGE = 2
    """Bad arguments, or a file that is wrong; nothing was moved."""
    REFUSED = 3
    """Refused by preflight or for lack of rights; nothing was moved."""
    TARGET_GONE = 4
    """The process does not exist, or ended."""
    INTERNAL = 70
    """A defect of numamig or of its surroundings."""
    INTERRUPTED = 130
    """Stopped by ctrl-c; what had moved stays moved."""

    @property
    def meaning(self) -> str:
        """In a few words, as help and the manual say it."""
        return _MEANINGS[self]


_MEANINGS = {
    ExitCode.DONE: "done",
    ExitCode.PARTIAL: "done in part: pages remain, or an expectation of a profile failed",
    ExitCode.USAGE: "bad arguments, or a file that is wrong; nothing was moved",
    ExitCode.REFUSED: "refused by preflight or for lack of rights; nothing was moved",
    ExitCode.TARGET_GONE: "the process does not exist, or ended",
    ExitCode.INTERNAL: "a defect of numamig or of its surroundings",
    ExitCode.INTERRUPTED: "stopped by ctrl-c; what had moved stays moved",
}


class NumamigError(Exception):
    """The root: one line for the operator, and a hint about what to do."""

    exit_code: ExitCode = ExitCode.INTERNAL

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        pid: int | None = None,
        node: int | None = None,
        errno: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.pid = pid
        self.node = node
        self.errno = errno

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class UsageError(NumamigError):
    """An argument that cannot be right on this machine."""

    exit_code = ExitCode.USAGE


class Fault(NamedTuple):
    """One thing that is wrong with a file, and where."""

    line: int
    """From 1; 0 where it has no place."""
    column: int
    """From 1; 0 where only the line is known."""
    message: str
    path: str = ""
    """The file that has it, where that is another than the one that was asked for."""


class FileError(UsageError):
    """A profile or scenario that is wrong; every fault is one ``file:line:column: message`` line."""

    def __init__(self, path: str, faults: Iterable[Fault | tuple[int, str]]) -> None:
        """
        :param faults: or pairs of a line (0: none) and what is wrong there
        """
        self.path = path
        whole = (each if isinstance(each, Fault) else Fault(each[0], 0, each[1]) for each in faults)
        named = {each._replace(path=each.path or path) for each in whole}
        self.faults = sorted(named, key=lambda each: (each.path != path, each.path, each))
        lines = [_line(fault) for fault in self.faults[:_MOST_FAULTS]]
        if len(self.faults) > _MOST_FAULTS:
            lines.append(f"{path}: and {len(self.faults) - _MOST_FAULTS:,} further faults")
        super().__init__("\n".join(lines))


def _line(fault: Fault) -> str:
    """As compilers write it: editors and terminals make links of it."""
    place = "".join(f":{number}" for number in (fault.line, fault.column) if number)
    return f"{fault.path}{place}: {fault.message}"


class RefusedError(NumamigError):
    """The kernel, the caller's rights, or preflight say no."""

    exit_code = ExitCode.REFUSED


class JournalError(RefusedError):
    """The journal cannot be written, or is not to be trusted. Nothing is moved without it."""


class TargetGone(NumamigError):
    """There is no such process, or not any more."""

    exit_code = ExitCode.TARGET_GONE


class BackendError(NumamigError):
    """A backend broke its contract."""


class LabError(NumamigError):
    """The virtual NUMA machine could not be built or booted."""
