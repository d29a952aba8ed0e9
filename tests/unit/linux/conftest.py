"""In the laboratory the machine is ours, so it gets what the tests can use; elsewhere it stays as it is."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

# A pool of huge pages; and nobody who marks pages while two readers are compared.
WANTED = {Path("/proc/sys/vm/nr_hugepages"): "8", Path("/proc/sys/kernel/numa_balancing"): "0"}


@pytest.fixture(scope="session", autouse=True)
def settings_of_the_laboratory() -> Iterator[None]:
    before = {path: path.read_text() for path in WANTED} if "NUMAMIG_LAB" in os.environ else {}
    for path in before:
        path.write_text(WANTED[path])
    yield
    for path, value in before.items():
        path.write_text(value)
