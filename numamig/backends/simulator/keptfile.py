"""How a machine file is laid out: its header, the scenario's text, and counters that have names.

All numbers are those of the computer that wrote them: a machine file is not meant to be carried to another kind.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import struct
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from numamig.errors import BackendError, FileError

__all__ = [
    "CELL",
    "ENDED_AT",
    "MEMORY_AT",
    "MOST_PROCESSES",
    "MOVED_AT",
    "NODES_AT",
    "VALUES_AT",
    "VERSION",
    "Counters",
    "Header",
]

VERSION = 1
_MAGIC = b"numamig machine\n"
_HEADER = struct.Struct("<16sqqQ36s32sq255s")
"""Magic, version, bytes of the whole file, seed, boot id, SHA-256 and length of the scenario's text, its path."""
CELL = 4096
_NAMES_AT, _NAME_BYTES, _COUNTERS = CELL, 48, 256
VALUES_AT = _NAMES_AT + _NAME_BYTES * _COUNTERS
"""Of counters: int64, shape (256,)."""
NODES_AT = VALUES_AT + CELL
"""By node: page cache, free and all huge pages of its pool; int64, shape (256, 4)."""
MOVED_AT = NODES_AT + 256 * 4 * 8
"""``Machine.moved_pages``."""
ENDED_AT = MOVED_AT + 256 * 256 * 8
"""Which processes of the scenario have ended, a byte each."""
MOST_PROCESSES = 1 << 16
_TEXT_AT = ENDED_AT + MOST_PROCESSES
_MOST_TEXT_BYTES = 1 << 20
MEMORY_AT = -(-(_TEXT_AT + _MOST_TEXT_BYTES) // mmap.ALLOCATIONGRANULARITY) * mmap.ALLOCATIONGRANULARITY
"""Arrays of all memory in the order of the scenario: nodes, flags, sharers, worn folios, heat, each in whole cells."""


class Header(NamedTuple):
    """What a machine file says of itself."""

    seed: int
    boot_id: str
    scenario: str
    """Path of the scenario as it was given."""
    text: bytes
    """Of the scenario."""
    file_bytes: int = 0

    @property
    def digest(self) -> bytes:
        return hashlib.sha256(self.text).digest()

    def write(self, fd: int) -> None:
        """Last of all: what has no header is no machine."""
        boot, path = self.boot_id.encode(), self.scenario.encode(errors="replace")[:255]
        os.pwrite(fd, self.text, _TEXT_AT)
        fields = (self.file_bytes, self.seed, boot, self.digest, len(self.text), path)
        os.pwrite(fd, _HEADER.pack(_MAGIC, VERSION, *fields), 0)

    @classmethod
    def read(cls, fd: int, path: str) -> Header:
        """
        :raises FileError: it is no machine file, of another version, or not whole.
        """
        start = os.pread(fd, _HEADER.size, 0)
        if not start.startswith(_MAGIC):
            raise FileError(path, [(0, "is no machine file of numamig")])
        size = os.fstat(fd).st_size
        if len(start) < _HEADER.size:
            raise FileError(path, [(0, f"is cut short: {size:,} bytes are left of a machine")])
        _, version, file_bytes, seed, boot, digest, length, scenario = _HEADER.unpack(start)
        if version != VERSION:
            raise FileError(path, [(0, f"is a machine file of version {version}, this numamig reads {VERSION}")])
        if size < file_bytes:
            raise FileError(path, [(0, f"is cut short: {size:,} of its {file_bytes:,} bytes are there")])
        text = os.pread(fd, length, _TEXT_AT)
        if hashlib.sha256(text).digest() != digest:
            raise FileError(path, [(0, "is damaged: the scenario in it is not the one it was made from")])
        return cls(seed, boot.decode(), scenario.rstrip(b"\0").decode(errors="replace"), text, file_bytes)


class Counters:
    """Named numbers; a name stays in its place."""

    def __init__(self, head: mmap.mmap, first: int, most: int) -> None:
        self._head, self._first, self._most = head, first, most
        names: NDArray[np.bytes_] = np.frombuffer(head, f"S{_NAME_BYTES}", _COUNTERS, _NAMES_AT)
        self._names = names[first : first + most]
        self._named = 0
        self._values = struct.Struct("")

    def read(self) -> dict[str, int]:
        values: NDArray[np.int64] = np.frombuffer(self._head, np.int64, self._most, VALUES_AT + self._first * 8)
        return {name.decode(): int(value) for name, value in zip(self._names, values, strict=True) if name}

    def write(self, counts: Mapping[str, int]) -> None:
        """
        :param counts: new ones behind those that there were
        """
        if len(counts) != self._named:
            if len(counts) > self._most:
                raise BackendError(f"a machine file has no room for {len(counts)} counters")
            self._named = len(counts)
            self._values = struct.Struct(f"{self._named}q")
            self._values.pack_into(self._head, VALUES_AT + self._first * 8, *counts.values())
            self._names[: self._named] = [name.encode() for name in counts]
            return
        self._values.pack_into(self._head, VALUES_AT + self._first * 8, *counts.values())
