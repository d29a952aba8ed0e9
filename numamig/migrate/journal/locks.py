"""One writer for each process: who moves its pages holds a lock that no other numamig gets.

A lock is a file of which an open file description lock is held (fcntl(2), F_OFD_SETLK): it ends with the process that
holds it, however that ends; and whoever only asks whether it is held need not take it, and so is in nobody's way.
"""

from __future__ import annotations

import errno
import fcntl
import os
import struct
import threading
from contextlib import suppress
from pathlib import Path

from numamig.errors import JournalError, RefusedError
from numamig.migrate.journal.place import make_private_directory, open_private
from numamig.model.process import MemoryImage

__all__ = ["WriterLocks"]

_FLOCK = struct.Struct("hhqqi4x")
"""``struct flock`` of 64-bit Linux: type, whence, start, length (0: to the end), pid."""


class WriterLocks:
    """The locks of one journal; several jobs of this process may share one.

    :param directory: None where no other process can reach the machine
    """

    def __init__(self, directory: Path | None) -> None:
        self._directory = directory
        self._held: dict[str, tuple[int, int]] = {}
        """Name → (descriptor, how many times it was taken)."""
        self._lock = threading.Lock()

    def take(self, image: MemoryImage) -> None:
        """
        :raises RefusedError: another numamig moves pages of this process.
        """
        name = _name(image)
        with self._lock:
            descriptor, times = self._held.get(name, (-1, 0))
            if not times and self._directory is not None:
                descriptor = self._take(self._directory, name, image)
            self._held[name] = (descriptor, times + 1)

    def give_back(self, image: MemoryImage) -> None:
        """As often as it was taken."""
        name = _name(image)
        with self._lock:
            descriptor, times = self._held.pop(name)
            if times > 1:
                self._held[name] = (descriptor, times - 1)
            elif self._directory is not None:
                (self._directory / name).unlink(missing_ok=True)  # while it is held: nobody waits for an old file
                os.close(descriptor)

    def holder(self, image: MemoryImage) -> int | None:
        """Pid of who moves pages of a process now; 0 where it does not say, None where nobody does."""
        name = _name(image)
        with self._lock:
            if name in self._held:
                return os.getpid()
        if self._directory is None:
            return None
        try:
            make_private_directory(self._directory, create=False)
            descriptor = open_private(self._directory / name, os.O_RDWR)
        except JournalError as error:
            if error.errno != errno.ENOENT:
                raise
            return None
        try:
            return _pid_in(descriptor) if _is_locked(descriptor) else None
        finally:
            os.close(descriptor)

    @staticmethod
    def _take(directory: Path, name: str, image: MemoryImage) -> int:
        make_private_directory(directory)
        path = directory / name
        while True:
            descriptor = open_private(path)
            if not _lock(descriptor):
                holder = _pid_in(descriptor)
                os.close(descriptor)
                by = f" (pid {holder})" if holder else ""
                raise RefusedError(
                    f"another numamig{by} is moving pages of pid {image.pid}",
                    hint="wait until it is done, or cancel it there",
                    pid=image.pid,
                )
            if _is(path, descriptor):
                with suppress(OSError):  # a full disk: then it is only not known who holds it
                    os.ftruncate(descriptor, 0)
                    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
            os.close(descriptor)  # its last holder took the file away


def _name(image: MemoryImage) -> str:
    return f"{image.boot}-{image.pid}-{image.start_time}.lock"


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
