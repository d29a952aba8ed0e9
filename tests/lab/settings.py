"""Switches of the laboratory's kernel, set for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["POOLS", "written"]

POOLS = "/sys/devices/system/node/node{}/hugepages/hugepages-2048kB/nr_hugepages"


@contextmanager
def written(path: Path, text: str) -> Iterator[None]:
    before = path.read_text()
    path.write_text(text)
    try:
        yield
    finally:
        path.write_text(next((w[1:-1] for w in before.split() if w.startswith("[")), before))
