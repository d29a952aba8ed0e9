"""A copy of the file that a simulated machine lies in: what is done to it is forgotten."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from numamig.errors import FileError

__all__ = ["copied"]

_PIECE_BYTES = 64 << 20


@contextmanager
def copied(path: Path | str) -> Iterator[Path]:
    """Where the copy lies, for as long as it is needed. Holes stay holes: most of such a file is one.

    :raises FileError: it cannot be read, or there is no room for a copy.
    """
    with tempfile.TemporaryDirectory(prefix="numamig-") as folder:
        copy = Path(folder, Path(path).name)
        try:
            with open(path, "rb", buffering=0) as source, open(copy, "wb", buffering=0) as target:
                _copy(source.fileno(), target.fileno())
        except OSError as error:
            raise FileError(str(path), [(0, f"cannot be copied to {folder}: {error.strerror}")]) from error
        yield copy


def _copy(source: int, target: int) -> None:
    size = os.fstat(source).st_size
    os.ftruncate(target, size)
    at = 0
    while at < size:
        try:
            at = os.lseek(source, at, os.SEEK_DATA)
        except OSError:  # nothing but a hole up to the end
            return
        end = os.lseek(source, at, os.SEEK_HOLE)
        os.lseek(target, at, os.SEEK_SET)
        while at < end:
            copied_bytes = os.sendfile(target, source, at, min(end - at, _PIECE_BYTES))
            if not copied_bytes:
                return
            at += copied_bytes
