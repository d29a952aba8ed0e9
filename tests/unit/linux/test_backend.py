"""The backend as the engine sees it, on the machine that runs the tests."""

from __future__ import annotations

import mmap
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import UNWRITTEN, Backend, MovePagesCall, MovePagesReturn
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.capabilities import SYS_NICE, SYS_PTRACE, has_right, probe, read_rights
from numamig.backends.linux.ownpages import ZeroFrames, learn_zero_frames, private_pages
from numamig.backends.linux.pagereaders import KeyReader
from numamig.clock import VirtualClock

PAGE = os.sysconf("SC_PAGESIZE")


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend()


def test_it_is_a_backend(backend: LinuxBackend) -> None:
    seam: Backend = backend  # held by mypy
    assert seam.name == "linux"
    assert seam.clock.now_ns() > 0


def test_capabilities_are_those_of_this_process(backend: LinuxBackend) -> None:
    able, rights = backend.capabilities, read_rights(Path("/proc"))
    assert (able.kernel, able.machine) == (os.uname().release, os.uname().nodename)
    assert not able.simulated
    assert able.move_others == has_right(rights, SYS_PTRACE)
    if not has_right(rights, SYS_NICE):
        assert not able.move_shared
    for name in ("move_others", "move_shared", "see_pfn", "huge_pages", "heat"):
        assert (name in able.missing) is not getattr(able, name)


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/status").write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    thp = tmp_path / "sys/kernel/mm/transparent_hugepage"
    thp.mkdir(parents=True)
    (thp / "enabled").write_text("always madvise [never]\n")
    able = probe(tmp_path / "proc", tmp_path / "sys", see_frames=False)
    assert not able.move_others and "CAP_SYS_PTRACE" in able.missing["move_others"]
    assert not able.see_pfn and "CAP_SYS_ADMIN" in able.missing["see_pfn"]
    assert not able.huge_pages and "switched off" in able.missing["huge_pages"]


def test_balancing_may_be_switched_off_meanwhile(tmp_path: Path) -> None:
    switch = tmp_path / "sys/kernel/numa_balancing"
    switch.parent.mkdir(parents=True)
    switch.write_text("1\n")
    backend = LinuxBackend(tmp_path, tmp_path)
    assert backend.capabilities.balancing
    switch.write_text("0\n")
    assert not backend.capabilities.balancing


def test_counters(backend: LinuxBackend) -> None:
    counters = backend.node_counters()
    assert set(counters.free_bytes) == {node.id for node in backend.topology().nodes}
    assert all(free >= 0 for free in counters.free_bytes.values())
    assert counters.vmstat["pgfault"] > 0


def test_calls_together_answer_in_order(backend: LinuxBackend) -> None:
    with private_pages(6 * PAGE) as own:
        own.bytes_[: 3 * PAGE : PAGE] = 1
        pages = own.address + np.arange(6, dtype=np.uint64) * PAGE
        calls = [MovePagesCall(os.getpid(), pages[n : n + 1], None, 0) for n in range(6)]
        answers = backend.move_pages_together(calls)
        assert [int(answer.status[0]) >= 0 for answer in answers] == [True] * 3 + [False] * 3
        assert backend.move_pages_together(calls[:1])[0].status.tolist() == answers[0].status.tolist()
    assert backend.move_pages_together([]) == []


def test_calls_together_are_made_at_the_same_time(backend: LinuxBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each waits for the others: one after the other they would wait for ever."""
    for size in (2, 9, 3):
        together = threading.Barrier(size, timeout=60)

        def meet(*_: object, barrier: threading.Barrier = together) -> MovePagesReturn:
            barrier.wait()
            return MovePagesReturn(0, 0, np.array([UNWRITTEN], np.int32))

        monkeypatch.setattr(backend, "move_pages", meet)
        call = MovePagesCall(0, np.zeros(1, np.uint64), None, 0)
        assert len(backend.move_pages_together([call] * size)) == size


def test_zero_frames_are_learned_and_stay(backend: LinuxBackend) -> None:
    if not backend.readers.sees_frames:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")
    zero = learn_zero_frames(Path("/proc"), backend.topology().huge_page_size)
    assert zero == learn_zero_frames(Path("/proc"), backend.topology().huge_page_size)
    first, count = zero.spans[0]
    assert zero.within(np.array([first, first + count], np.uint64)).tolist() == [True, False]
    assert not ZeroFrames().within(np.array([first], np.uint64)).any()


def test_memory_that_comes_later_is_looked_for_again(backend: LinuxBackend) -> None:
    if not backend.readers.sees_frames:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")
    clock = VirtualClock()
    later = LinuxBackend(clock=clock)
    first = later.readers.frame_reader
    assert first is not None
    assert later.readers.frame_reader is first
    clock.sleep_ns(3600 * 10**9)
    assert later.readers.frame_reader is first  # the same memory: nothing to learn again


def test_a_table_that_does_not_agree_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel whose answers differ from the table: then they are what counts."""
    liar = LinuxBackend()

    def elsewhere(pid: int, addresses: np.ndarray, nodes: object = None, flags: int = 0) -> MovePagesReturn:
        return MovePagesReturn(0, 0, np.full(len(addresses), 63, np.int32))

    monkeypatch.setattr(liar, "move_pages", elsewhere)
    reader: KeyReader = liar.readers.current()
    assert reader is liar.readers.query_reader
    assert not liar.capabilities.see_pfn


def test_hugetlb_pages_are_folios_of_their_size(backend: LinuxBackend) -> None:
    size = backend._sizes().default_bytes
    try:
        area = mmap.mmap(-1, 3 * size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000)
    except OSError:
        pytest.skip("missing: three free hugetlb pages (sysctl vm.nr_hugepages)")
    with area:
        area[0] = area[2 * size] = 1
        bytes_ = np.frombuffer(area, np.uint8)
        start = int(bytes_.__array_interface__["data"][0])
        del bytes_
        for asked in ((start, start + 3 * size), (start + 5, start + 2 * size + 6)):
            (runs,) = backend.page_runs(os.getpid(), [asked])
            assert runs.address.tolist() == [start, start + 2 * size]
            assert runs.page_size.tolist() == [size, size]
