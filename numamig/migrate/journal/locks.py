"""One writer for each process: who moves its pages holds a lock that no other numamig gets.

A lock is a file of which an open file description lock is held (fcntl(2), F_OFD_SETLK): it ends with the process that
holds it, however that ends; and whoever only asks whether it is held need not take it, and so is in nobody's way.

Other users, and other state directories, have other files. Therefore a socket in the abstract namespace is bound as
well: a name that one process of a network namespace can have, whoever it is, and that ends with it too. Who listens
there can be asked for (unix(7), "Abstract sockets", SO_PEERCRED).
"""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import struct
import threading
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from numamig.errors import JournalError, RefusedError
from numamig.migrate.journal.place import make_private_directory, open_private
from numamig.model.process import MemoryImage

__all__ = ["WriterLocks"]

_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` of 64-bit Linux: type, whence, start, length (0: to the end), pid."""
_PEER = struct.Struct("iII")
"""``struct ucred``: pid (0: of another pid namespace), user id, group id."""


class _Held(NamedTuple):
    """What a lock is made of, and how many times it was taken."""

    descriptor: int = -1
    name: socket.socket | None = None
    times: int = 0


class WriterLocks:
    """The locks of one journal; several jobs of this process may share one.

    :param directory: None where no other process can reach the machine
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._held: dict[str, _Held] = {}
        """By name."""
        self._lock = threading.Lock()

    def take(self, image: MemoryImage) -> None:
        """
        :raises RefusedError: another numamig moves pages of this process.
        """
        name = _name(image)
        with self._lock:
            held = self._held.get(name, _Held())
            if not held.times and self._directory is not None:
                held = self._take(self._directory, name, image)
            self._held[name] = held._replace(times=held.times + 1)

    def give_back(self, image: MemoryImage) -> None:
        """As often as it was taken."""
        name = _name(image)
        with self._lock:
            held = self._held.pop(name)
            if held.times > 1:
                self._held[name] = held._replace(times=held.times - 1)
            elif self._directory is not None:
                _let_go(self._directory / name, held.descriptor)
                if held.name is not None:
                    held.name.close()

    def holder(self, image: MemoryImage) -> int | None:
        """Pid of who moves pages of a process now and writes to the same journal; 0 where it does not say, None where
        nobody does.
        """
        name = _name(image)
        with self._lock:
            if name in self._held:
                return os.getpid()
        if self._directory is None:
            return None
        try:
            make_private_directory(self._directory, create=False)
            descriptor = open_private(self._directory / name, os.O_RDONLY)
        except JournalError as error:
            if error.errno != errno.ENOENT:
                raise
            return None
        try:
            return _pid_in(descriptor) if _is_locked(descriptor) else None
        finally:
            os.close(descriptor)

    @staticmethod
    def _take(directory: Path, name: str, image: MemoryImage) -> _Held:
        make_private_directory(directory)
        path = directory / name
        while True:
            descriptor = open_private(path)
            if not _lock(descriptor):
                holder = _pid_in(descriptor)
                os.close(descriptor)
                raise _taken(image, f" (pid {holder})" if holder else "")
            if _is(path, descriptor):
                break
            os.close(descriptor)  # its last holder took the file away
        try:
            bound = _bind(image)
        except BaseException:
            _let_go(path, descriptor)
            raise
        with suppress(OSError):  # a full disk: then it is only not known who holds it
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        return _Held(descriptor, bound)


def _name(image: MemoryImage) -> str:
    return f"{image.boot}-{image.pid}-{image.start_time}.lock"


def _let_go(path: Path, descriptor: int) -> None:
    path.unlink(missing_ok=True)  # while it is held: nobody waits for an old file
    os.close(descriptor)


def _bind(image: MemoryImage) -> socket.socket | None:
    """The name of a process moved, of which there is one for all users; None where no boot tells machines apart.

    :raises RefusedError: somebody else has it.
    :raises JournalError: there are no such names here.
    """
    if not image.boot:
        return None
    address = f"\0numamig-{image.boot}-{image.pid}-{image.start_time}".encode()
    try:
        bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    except OSError as error:
        raise _no_name(error) from None
    try:
        bound.bind(address)
        bound.listen(socket.SOMAXCONN)  # nobody is answered; whoever asks may see who it is
    except OSError as error:
        bound.close()
        if error.errno != errno.EADDRINUSE:
            raise _no_name(error) from None
        raise _taken(image, _listener(address)) from None
    return bound


def _listener(address: bytes) -> str:
    """Who has a name, as the kernel tells; "" where that is not known."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as asking:
        try:
            asking.connect(address)
            pid, uid, _ = _PEER.unpack(asking.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        except OSError:  # it has just ended, or too many have asked
            return ""
    return f" (pid {pid} of user id {uid})" if pid else f" (of user id {uid})"


def _taken(image: MemoryImage, by: str) -> RefusedError:
    return RefusedError(
        f"another numamig{by} is moving pages of pid {image.pid}",
        hint="wait until it is done, or cancel it there",
        pid=image.pid,
    )


def _no_name(error: OSError) -> JournalError:
    hint = "nothing is moved without a lock that other users see: allow unix sockets (RestrictAddressFamilies=AF_UNIX)"
    return JournalError(f"no unix socket can be bound: {error.strerror}", hint=hint, errno=error.errno)


def _lock(descriptor: int) -> bool:
    """Whether the lock is ours now."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):  # EAGAIN or EACCES, as fcntl(2) says
        return False
    return True


def _is_locked(descriptor: int) -> bool:
    found = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    return bool(_FLOCK.unpack(found)[0] != fcntl.F_UNLCK)


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _pid_in(descriptor: int) -> int:
    said = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return int(said) if said.isdecimal() else 0
