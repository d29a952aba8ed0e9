"""A simulated machine whose state lies in a file: one program after another acts on it, one at a time.

What a call did is in the file when the call is done, whatever becomes of the program after that (``kept``). What the
file cannot hold (what workloads have done so far, the inner state of actors, calls in progress) begins anew.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path

from numamig.backends.simulator.kept import KeptMemory
from numamig.backends.simulator.keptfile import Header
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.scenario.build import machine_of
from numamig.errors import BackendError, FileError, RefusedError, UsageError
from numamig.resources import DEFAULT_SCENARIO, find_scenario
from numamig.yamlfile import parse_yaml, read_text

__all__ = ["open_machine"]


def open_machine(path: Path | str, scenario: Path | str | None = None) -> Machine:
    """The machine in a file, which is made where there is none. ``close`` it, or use it in a ``with`` statement.

    A child that is forked while it is open must not use it; the file is locked as long as the opener has it.

    :param scenario: that it is made from, or must have been made from; None: the shipped default, or whichever it was
    :raises FileError: a file cannot be read or written, or is not what it should be.
    :raises RefusedError: another process has it open, or this one does.
    :raises UsageError: it was made from another scenario.
    """
    path = Path(path)
    try:
        while True:
            try:
                lock = _Lock(path)
            except FileNotFoundError:
                made = _make(path, find_scenario(DEFAULT_SCENARIO) if scenario is None else Path(scenario))
                if made is not None:
                    return made
            else:
                return _open(path, lock, None if scenario is None else Path(scenario))
    except OSError as error:
        raise FileError(str(path), [(0, error.strerror or str(error))]) from error


class _Lock:
    """Holds a file for this process alone, until it is closed or the process ends, however that comes.

    :raises RefusedError: somebody else has it.
    """

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self.fd = -1
        while self.fd < 0:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0), 0o666)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_at(path, fd):  # and has not been renamed or replaced meanwhile
                    self.fd = fd
            except BlockingIOError:
                raise _in_use(path, fd) from None
            finally:
                if self.fd < 0:
                    os.close(fd)
        _HELD.add(self.fd)

    def close(self) -> None:
        if self.fd in _HELD:
            _HELD.discard(self.fd)
            os.close(self.fd)
        self.fd = -1


def _is_at(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), path.stat())
    except FileNotFoundError:
        return False


_HELD: set[int] = set()


def _let_go() -> None:
    """A child has no part in its parent's locks: else they would outlive the parent."""
    for fd in _HELD:
        os.close(fd)
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go)


def _in_use(path: Path, fd: int) -> RefusedError:
    holder = _holder(os.fstat(fd).st_ino)
    if holder == os.getpid():
        return RefusedError(f"{path} is open in this program already", hint="close it first", pid=holder)
    whom = "another process" if holder is None else f"process {holder}"
    return RefusedError(f"{path} is in use by {whom}", hint="one at a time: wait until it ends", pid=holder)


def _holder(inode: int) -> int | None:
    """Who has locked a file; None where that is not to be known."""
    try:
        locks = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    # 1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
    found = [line.split() for line in locks if " FLOCK " in line]
    return next((int(words[4]) for words in found if words[5].endswith(f":{inode}")), None)


def _make(path: Path, scenario: Path) -> Machine | None:
    """A machine under another name, which gets its own when it is whole; None where somebody else was quicker."""
    text = read_text(scenario)
    document = parse_yaml(str(scenario), text)
    making = path.with_name(f"{path.name}.making")
    lock = _Lock(making, create=True)
    try:
        if path.exists():
            making.unlink()
            lock.close()
            return None
        os.ftruncate(lock.fd, 0)
        with open(making, "r+b") as file:
            kept = KeptMemory(file.fileno(), lock.close)
            machine = machine_of(document, kept)
            kept.keep(machine)
            Header(machine.seed, machine.boot_id, str(scenario), text, kept.end).write(file.fileno())
            making.rename(path)
    except BaseException:
        making.unlink(missing_ok=True)
        lock.close()
        raise
    return machine


def _open(path: Path, lock: _Lock, scenario: Path | None) -> Machine:
    try:
        with open(path, "r+b") as file:
            header = Header.read(file.fileno(), str(path))
            if scenario is not None and hashlib.sha256(read_text(scenario)).digest() != header.digest:
                raise UsageError(
                    f"{path} was made from another scenario than {scenario}: from {header.scenario}, as it was then",
                    hint="without a scenario it goes on as it is; a machine of that one needs a file of its own",
                )
            kept = KeptMemory(file.fileno(), lock.close, header)
            try:
                machine = machine_of(parse_yaml(str(path), header.text), kept)
            except BackendError:
                raise FileError(
                    str(path), [(0, "was made by another numamig: its memory is laid out differently")]
                ) from None
            machine.boot_id, machine.scenario = header.boot_id, header.scenario
            kept.keep(machine)
    except BaseException:
        lock.close()
        raise
    return machine
