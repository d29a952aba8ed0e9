"""The virtual NUMA laboratory: boots a machine with several memory nodes and runs a command in it.

QEMU emulates the machine, the distribution's own kernel runs on it, and virtme-ng gives it the host's files.
Pages really move between nodes there, so outcomes are real; times are not.
"""

from __future__ import annotations

from numamig.lab.boot import run
from numamig.lab.kernels import KernelImage, default_cache_directory, fetch_kernel
from numamig.lab.machine import DEFAULT_MACHINE, Machine, MemoryNode
from numamig.lab.packages import install_missing_packages

__all__ = [
    "DEFAULT_MACHINE",
    "KernelImage",
    "Machine",
    "MemoryNode",
    "default_cache_directory",
    "fetch_kernel",
    "install_missing_packages",
    "run",
]
