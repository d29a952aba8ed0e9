"""Processes for tests on a real kernel, forked rather than started: to start Python takes emulated seconds.

What they have of ours is shared with us; what tests move are areas that each makes for itself, at an address of the
tests' choice, so that two processes can have theirs at the same.
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from numamig.backends.linux.backend import LinuxBackend
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import Plan, plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from tests.lab.back_door import pages_by_node, wait_until_asleep
from tests.lab.jobs import counts

__all__ = [
    "APART",
    "BIND",
    "DEFAULT",
    "INTERLEAVE",
    "PAGE",
    "PAGES",
    "PREFERRED",
    "PREFERRED_MANY",
    "START",
    "STATIC_NODES",
    "Child",
    "checked",
    "child_of",
    "finish",
    "forked",
    "libc",
    "make_area",
    "plan_area",
    "quiet",
    "set_policy",
]

PAGE = 4096
PAGES = 1024
START = 0x6000_0000_0000
APART = 1 << 30
PROT_READ_WRITE, MAP_PRIVATE_ANON_FIXED, MADV_NOHUGEPAGE = 3, 0x02 | 0x20 | 0x100000, 15
MBIND, SET_MEMPOLICY = (237, 238) if os.uname().machine == "x86_64" else (235, 237)
DEFAULT, PREFERRED, BIND, INTERLEAVE, LOCAL, PREFERRED_MANY = range(6)
STATIC_NODES = 1 << 15
BALANCING = Path("/proc/sys/kernel/numa_balancing")

libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]


def checked(result: int | None) -> None:
    if result in (-1, None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def make_area(number: int = 0, policy: int = BIND, nodes: tuple[int, ...] = (0,), pages: int = PAGES) -> None:
    """Private memory at a place that all areas of this number have in common, all of it written to."""
    start, size = START + number * APART, pages * PAGE
    checked(libc.mmap(start, size, PROT_READ_WRITE, MAP_PRIVATE_ANON_FIXED, -1, 0))
    checked(libc.madvise(start, size, MADV_NOHUGEPAGE))
    if policy != DEFAULT:
        where = ctypes.c_void_p(start)
        checked(libc.syscall(MBIND, where, ctypes.c_ulong(size), policy, *mask(nodes), 0))
    ctypes.memset(start, 7, size)


def set_policy(policy: int, nodes: tuple[int, ...]) -> None:
    """That of the process, for areas without one of their own."""
    checked(libc.syscall(SET_MEMPOLICY, policy, *mask(nodes)))


def mask(nodes: tuple[int, ...]) -> tuple[object, ctypes.c_ulong]:
    bits = (ctypes.c_ulong * 16)()
    bits[0] = sum(1 << node for node in nodes)
    return (bits if nodes else None), ctypes.c_ulong(1025 if nodes else 0)


@dataclass
class Child:
    pid: int
    orders: int
    answers: TextIO
    reaped: bool = False

    def tell(self, line: bytes = b"\n") -> None:
        os.write(self.orders, line)

    def area(self, number: int = 0, pages: int = PAGES) -> dict[int, int]:
        start = START + number * APART
        return pages_by_node(self.pid, start, start + pages * PAGE)

    def end(self) -> None:
        if not self.reaped:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.orders)
            self.answers.close()
            self.reaped = True


def child_of(work: Callable[[], object], then: Callable[[], None] = lambda: None) -> Child:
    """A forked process that has done ``work``, and does ``then`` when it is told a line."""
    ordered, orders = os.pipe()
    answered, answers = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(orders)
            work()
            os.write(answers, b"ready\n")
            os.read(ordered, 1)
            then()
            os.read(ordered, 1)
        finally:
            os._exit(1)
    for descriptor in (ordered, answers):
        os.close(descriptor)
    child = Child(pid, orders, open(answered))  # noqa: SIM115 - for as long as the child lives
    assert child.answers.readline() == "ready\n", "the child failed"
    wait_until_asleep(pid)
    return child


@contextmanager
def forked(work: Callable[[], object], then: Callable[[], None] = lambda: None) -> Iterator[Child]:
    child = child_of(work, then)
    try:
        yield child
    finally:
        child.end()


@contextmanager
def quiet() -> Iterator[None]:
    """Nobody marks pages meanwhile, or moves them back."""
    before = BALANCING.read_text()
    BALANCING.write_text("0")
    yield
    BALANCING.write_text(before)


def plan_area(backend: LinuxBackend, child: Child, to: int) -> Plan:
    """To move its first area, and nothing else of it."""
    within = [(START, START + PAGES * PAGE)]
    return plan_request(backend, Request(child.pid, Node(to), within=within, batch_pages=256))


def finish(job: Job, backend: LinuxBackend) -> dict[str, int]:
    """Pages by outcome, those without any left out."""
    for _ in run_job(job, backend):
        pass
    return counts(job.snapshot())
