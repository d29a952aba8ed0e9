"""One writer for each process: who moves its pages holds a lock that no other numamig gets.

A lock is a file that is held with flock(2): it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import threading
from pathlib import Path

from numamig.errors import JournalError, RefusedError
from numamig.migrate.journal.place import open_private
from numamig.model.process import MemoryImage

__all__ = ["WriterLocks"]


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
                descriptor = self._flock(self._directory, name, image)
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
        path = self._directory / name
        try:
            descriptor = open_private(path, os.O_RDWR)
        except JournalError:
            if path.is_symlink() or path.exists():
                raise
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return _pid_in(descriptor)
        else:
            return None
        finally:
            os.close(descriptor)

    @staticmethod
    def _flock(directory: Path, name: str, image: MemoryImage) -> int:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise JournalError(f"{directory}: {error.strerror}", hint="nothing is moved without a lock") from None
        path = directory / name
        while True:
            descriptor = open_private(path)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _pid_in(descriptor)
                os.close(descriptor)
                by = f" (pid {holder})" if holder else ""
                raise RefusedError(
                    f"another numamig{by} is moving pages of pid {image.pid}",
                    hint="wait until it is done, or cancel it there",
                    pid=image.pid,
                ) from None
            if _is(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
                return descriptor
            os.close(descriptor)  # its last holder took the file away


def _name(image: MemoryImage) -> str:
    return f"{image.boot}-{image.pid}-{image.start_time}.lock"


def _is(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _pid_in(descriptor: int) -> int:
    said = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
    return int(said) if said.isdecimal() else 0
