"""The process whose memory is moved: makes its areas step by step, perhaps with a second one, and then sleeps."""

import ctypes
import os
import re
from pathlib import Path

from system import NUMBERS, PAGE, Iovec, become_nobody, bind, check, libc

BASE, APART = 0x6000_0000_0000, 1 << 30
SHARED, PRIVATE, ANONYMOUS, FIXED_NOREPLACE, HUGETLB = 0x01, 0x02, 0x20, 0x100000, 0x40000
NONE, READ_ONLY, READ_WRITE = 0, 1, 3
DONTNEED, HUGEPAGE, NOHUGEPAGE = 4, 14, 15
LONG = 64  # pages; a longer stretch is written in one go, all of it alike. No page of it stays zero: when 6.12 splits
# a huge page, it has the zero page take the place of those that are.
FOUND = {"text": r".* r-xp .*/libc[.-]", "vdso": r".*\[vdso\]", "vvar": r".*\[vvar\]"}
FOUND_PAGES = 32


def live(case, data_file, ready, orders):
    """All that the process does; never returns. ``ready`` is told "!", or what went wrong."""
    try:
        target = case["target"]
        if target["cpuset"]:
            low, high = target["cpuset"]
            Path(f"/sys/fs/cgroup/m{low}{high}/cgroup.procs").write_text("0")
        areas = [Area(number, spec, data_file) for number, spec in enumerate(case["areas"])]
        for area in areas:
            area.do("steps")
        if case["fork"]:
            second(areas, orders)
        for area in areas:
            area.do("after")
        bind([])
        if target["user"] == "nobody":
            become_nobody()
        os.write(ready, b"!")
        os.read(orders, 1)
    except BaseException as error:  # noqa: BLE001 - told to the executor, which tells the host
        os.write(ready, f"{type(error).__name__}: {error}".encode())
    finally:
        os._exit(0)


def second(areas, orders):
    """A second process that has all memory of the first, and does with it what ``child`` says."""
    done, tell = os.pipe()
    if os.fork() == 0:
        libc.prctl(1, 9, 0, 0, 0)  # it is killed when the first ends
        try:
            for area in areas:
                area.do("child")
            os.write(tell, b"!")
            os.read(orders, 1)
        except BaseException as error:  # noqa: BLE001 - told to the first
            os.write(tell, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    answer = os.read(done, 1000)
    if answer != b"!":
        raise RuntimeError(f"second process: {answer.decode()}")


class Area:
    def __init__(self, number, spec, data_file):
        self.spec, self.pages = spec, spec["pages"]
        self.start, self.file = BASE + number * APART, -1
        kind, size = spec["map"], spec["pages"] * PAGE
        if kind in FOUND:
            self.start, self.pages = found(kind)
            return
        flags = FIXED_NOREPLACE | (PRIVATE if kind in ("anon", "memfd_private", "file", "hugetlb") else SHARED)
        if kind in ("anon", "shared", "hugetlb", "hugetlb_shared"):
            flags |= ANONYMOUS | (HUGETLB if kind.startswith("hugetlb") else 0)
        elif kind == "file":
            self.file = os.open(data_file, os.O_RDONLY)
        else:
            self.file = check(libc.syscall(NUMBERS["memfd_create"], b"area", 0))
            os.ftruncate(self.file, size)
        check(libc.mmap(self.start, size, READ_WRITE, flags, self.file, 0))
        if not kind.startswith("hugetlb"):
            check(libc.madvise(self.start, size, HUGEPAGE if spec["huge"] else NOHUGEPAGE))

    def do(self, phase):
        for name, first, count, *rest in self.spec[phase]:
            getattr(self, name)(self.start + first * PAGE, count, *rest)

    def write(self, start, count, node):
        bind([node])
        if count > LONG:
            ctypes.memset(start, 7, count * PAGE)
            return
        for page in range(count):
            ctypes.memset(start + page * PAGE, 1 + (start // PAGE + page) % 250, 8)

    def read(self, start, count, node):
        bind([node])
        for page in range(count):
            ctypes.string_at(start + page * PAGE, 1)

    def fill(self, start, count, node):
        """The file is written to, not the mapping."""
        bind([node])
        for page in range(count):
            at = start - self.start + page * PAGE
            os.pwrite(self.file, bytes([1 + (at // PAGE) % 250]) * PAGE, at)

    def drop(self, start, count):
        check(libc.madvise(start, count * PAGE, DONTNEED))

    def protect(self, start, count):
        check(libc.mprotect(start, count * PAGE, NONE))

    def readonly(self, start, count):
        check(libc.mprotect(start, count * PAGE, READ_ONLY))

    def lock(self, start, count):
        check(libc.mlock(start, count * PAGE))

    def unmap(self, start, count):
        check(libc.munmap(start, count * PAGE))

    def pin(self, start, count):
        """A page that lies in a pipe is referenced by it."""
        for page in range(count):
            _, into = os.pipe()
            vector = Iovec(start + page * PAGE, PAGE)
            check(libc.vmsplice(into, ctypes.byref(vector), 1, 0))


def found(kind):
    """Start and pages of what every process has."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if re.match(FOUND[kind], line):
            low, high = (int(part, 16) for part in line.split()[0].split("-"))
            return low, min(FOUND_PAGES, (high - low) // PAGE)
    raise LookupError(f"no {kind} in this process")


def fork_area_process(case, data_file):
    """(pid, a file that tells when it is ready, one that keeps it alive until it is closed)"""
    told, ready = os.pipe()
    orders, keep = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(keep)
        os.close(told)
        live(case, data_file, ready, orders)
    os.close(ready)
    os.close(orders)
    return pid, told, keep
