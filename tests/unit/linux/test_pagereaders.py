"""Both page readers on a real process: this one, with memory of which we know what was touched."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from numamig.backends.base import MovePagesReturn
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.keys import ABSENT
from numamig.backends.linux.maps import parse_spans, read_maps
from numamig.backends.linux.ownpages import OwnPages, private_pages
from numamig.backends.linux.pagemap import EXCLUSIVE, Pagemap
from numamig.backends.linux.pagereaders import KeyReader, ask_nodes, read_runs
from numamig.errors import BackendError, RefusedError, TargetGone
from numamig.model.pages import UNKNOWN_NODE, PageRuns, Ranges
from numamig.model.process import Region, RegionKind

PAGE = os.sysconf("SC_PAGESIZE")
HUGE_PAGE = LinuxBackend().topology().huge_page_size
ME = os.getpid()
EVERYTHING = [(0, 1 << 62)]


@pytest.fixture(scope="module")
def backend() -> LinuxBackend:
    return LinuxBackend(reader_threads=2)


@pytest.fixture(params=["frames", "query"])
def reader(request: pytest.FixtureRequest, backend: LinuxBackend) -> KeyReader:
    if request.param == "query":
        return backend.readers.query_reader
    if backend.readers.frame_reader is None:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")
    return backend.readers.frame_reader


def look(backend: LinuxBackend, reader: KeyReader, ranges: Ranges, pid: int = ME, threads: int = 1) -> PageRuns:
    spans = parse_spans(read_maps(backend.proc_root, pid), backend._sizes(), PAGE)
    return PageRuns.concatenate(
        read_runs(
            reader,
            partial(Pagemap, backend.proc_root, pid, PAGE),
            spans,
            ranges,
            page_size=PAGE,
            huge_page_size=HUGE_PAGE,
            threads=threads,
        )
    )


def whole(own: OwnPages) -> list[tuple[int, int]]:
    return [(own.address, own.address + len(own.bytes_))]


def pages_of(runs: PageRuns, own: OwnPages) -> list[int]:
    """Which pages of ``own`` are in the runs."""
    address, size, _ = runs.folios()
    return [
        (int(a) - own.address) // PAGE + n
        for a, s in zip(address.tolist(), size.tolist(), strict=True)
        for n in range(s // PAGE)
    ]


def knows_huge_pages(backend: LinuxBackend, reader: KeyReader) -> bool:
    """By frames always, without them only on kernels that can scan."""
    with Pagemap(backend.proc_root, ME, PAGE) as pagemap:
        return pagemap.scans or reader is not backend.readers.query_reader


@pytest.fixture
def small() -> Iterator[OwnPages]:
    """64 pages of which every third was written, and 30 to 39 read only."""
    with private_pages(64 * PAGE, advice=mmap.MADV_NOHUGEPAGE) as own:
        own.bytes_[:: 3 * PAGE] = 1
        own.bytes_[30 * PAGE : 40 * PAGE : PAGE].max()
        yield own


@pytest.fixture
def huge() -> Iterator[OwnPages]:
    """Four huge pages: one of them written, one only read, two never touched."""
    if "[never]" in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text():
        pytest.skip("missing: huge_pages (transparent huge pages are off)")
    with private_pages(4 * HUGE_PAGE, HUGE_PAGE, advice=mmap.MADV_HUGEPAGE) as own:
        own.bytes_[0] = 1
        own.bytes_[HUGE_PAGE].max()
        text = Path("/proc/self/smaps").read_text()
        areas = re.findall(r"^([0-9a-f]+)-([0-9a-f]+) .*?^AnonHugePages:\s+(\d+) kB", text, re.MULTILINE | re.DOTALL)
        if not any(int(a, 16) <= own.address < int(b, 16) and int(kib) for a, b, kib in areas):
            pytest.skip("missing: huge_pages (no free memory in one piece)")
        yield own


def test_what_was_written_is_there_and_nothing_else(backend: LinuxBackend, reader: KeyReader, small: OwnPages) -> None:
    runs = look(backend, reader, whole(small))
    assert pages_of(runs, small) == list(range(0, 64, 3))
    assert set(runs.page_size.tolist()) == {PAGE}
    assert set(runs.node.tolist()) <= set(backend.topology().memory_nodes)


def test_nodes_are_those_that_move_pages_tells(backend: LinuxBackend, reader: KeyReader, small: OwnPages) -> None:
    address, _, node = look(backend, reader, whole(small)).folios()
    status = backend.move_pages(ME, address, None).status
    # Pages may be marked, or moved, by NUMA balancing in between; most are not.
    assert (node == status).sum() >= len(node) // 2


def test_parts_of_it(backend: LinuxBackend, reader: KeyReader, small: OwnPages) -> None:
    at = small.address
    ranges = [(at + PAGE, at + 4 * PAGE), (at + 6 * PAGE, at + 6 * PAGE + 1), (at + 7 * PAGE, at + 12 * PAGE)]
    assert pages_of(look(backend, reader, ranges), small) == [3, 6, 9]


def test_many_threads_tell_the_same(backend: LinuxBackend, reader: KeyReader) -> None:
    with private_pages(400 << 20, advice=mmap.MADV_NOHUGEPAGE) as own:
        touched = [0, 1, 511, 512, 32767, 32768, 60000, 102399]
        own.bytes_[np.array(touched) * PAGE] = 1
        for threads in (1, 2, 5):
            assert pages_of(look(backend, reader, whole(own), threads=threads), own) == touched


def test_a_huge_page_is_one_folio(backend: LinuxBackend, reader: KeyReader, huge: OwnPages) -> None:
    runs = look(backend, reader, whole(huge))
    # Neither the huge zero page nor what was never touched.
    assert pages_of(runs, huge) == list(range(HUGE_PAGE // PAGE))
    if knows_huge_pages(backend, reader):
        assert runs.page_size.tolist() == [HUGE_PAGE]
        assert runs.count.tolist() == [1]


def test_a_huge_page_that_reaches_into_a_range_is_named_by_its_start(
    backend: LinuxBackend, reader: KeyReader, huge: OwnPages
) -> None:
    if not knows_huge_pages(backend, reader):
        pytest.skip("missing: PAGEMAP_SCAN, to see huge pages without their frames")
    middle = huge.address + 5 * PAGE
    runs = look(backend, reader, [(middle, middle + PAGE), (middle + 7 * PAGE, middle + 9 * PAGE)])
    assert (runs.address.tolist(), runs.page_size.tolist()) == ([huge.address], [HUGE_PAGE])


def test_a_huge_page_with_a_hole_is_small_pages(backend: LinuxBackend, reader: KeyReader, huge: OwnPages) -> None:
    # The array hides the madvise() of its mapping.
    tenth = ctypes.c_void_p(huge.address + 9 * PAGE)
    assert ctypes.CDLL(None).madvise(tenth, ctypes.c_size_t(PAGE), mmap.MADV_DONTNEED) == 0
    runs = look(backend, reader, whole(huge))
    assert pages_of(runs, huge) == [n for n in range(HUGE_PAGE // PAGE) if n != 9]
    assert set(runs.page_size.tolist()) == {PAGE}


def test_pages_of_a_file(backend: LinuxBackend, reader: KeyReader) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(bytes(8 * PAGE))
        file.flush()
        with mmap.mmap(file.fileno(), 8 * PAGE) as area:
            area[2 * PAGE] = 1
            bytes_ = np.frombuffer(area, np.uint8)
            own = OwnPages(int(bytes_.__array_interface__["data"][0]), bytes_)
            # The kernel maps neighbours of a touched page of a file along with it.
            assert 2 in pages_of(look(backend, reader, whole(own)), own)
            del own, bytes_


def test_terabytes_of_holes(backend: LinuxBackend) -> None:
    """Neither memory nor time for what is not there: 64 chunks of holes for each gigabyte would be millions."""
    no_reserve = 0x40 if os.uname().machine.startswith("ppc") else 0x4000
    flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | no_reserve
    with mmap.mmap(-1, 1 << 36, flags=flags) as area:
        area[60 << 30] = 1
        bytes_ = np.frombuffer(area, np.uint8)
        own = OwnPages(int(bytes_.__array_interface__["data"][0]), bytes_)
        assert (60 << 30) // PAGE in pages_of(PageRuns.concatenate(backend.page_runs(ME, whole(own))), own)
        del own, bytes_


def test_a_reader_may_be_left_half_way(backend: LinuxBackend) -> None:
    with private_pages(300 << 20, advice=mmap.MADV_NOHUGEPAGE) as own:
        own.bytes_[:: 1 << 20] = 1
        before = len(list(Path("/proc/self/fd").iterdir()))
        chunks = backend.page_runs(ME, whole(own))
        next(chunks)
        chunks.close()  # type: ignore[attr-defined]
        assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_ascending_and_without_overlaps(backend: LinuxBackend, reader: KeyReader) -> None:
    regions = [(region.start, region.end) for region in backend.regions(ME)]
    for ranges in (EVERYTHING, regions):
        runs = look(backend, reader, ranges, threads=2)
        assert (runs.address[1:] >= runs.end[:-1]).all()
        assert (runs.count > 0).all()


CHILD = """
import mmap, sys
area = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for at in range(0, 24 << 20, 4096): area[at] = 1
for at in range(24 << 20, 26 << 20, 4096): area[at]
shared = mmap.mmap(-1, 1 << 20)
shared[0] = 1
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits, with 24 MiB written, 2 MiB read and 6 MiB untouched."""
    with subprocess.Popen([sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        # It still runs on for a moment; stopped it stays as it is.
        process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
        yield process
        process.kill()


def bytes_by_node(backend: LinuxBackend, reader: KeyReader, pid: int, region: Region) -> dict[int, int]:
    return look(backend, reader, [(region.start, region.end)], pid).bytes_by_node()


def test_both_readers_tell_the_same(backend: LinuxBackend, child: subprocess.Popen[bytes]) -> None:
    if backend.readers.frame_reader is None:
        pytest.skip("missing: see_pfn (CAP_SYS_ADMIN)")
    if backend.capabilities.balancing:
        pytest.skip("missing: NUMA balancing off")
    by_frames, by_asking = (
        look(backend, reader, EVERYTHING, child.pid)
        for reader in (backend.readers.frame_reader, backend.readers.query_reader)
    )
    assert by_frames.bytes_by_node() == by_asking.bytes_by_node()
    assert int(by_frames.size_bytes.sum()) >= 24 << 20


def test_the_back_door_tells_the_same(backend: LinuxBackend, reader: KeyReader, child: subprocess.Popen[bytes]) -> None:
    try:
        back_door = numa_maps(child.pid)
    except FileNotFoundError:
        pytest.skip("missing: /proc/PID/numa_maps (CONFIG_NUMA)")
    if backend.capabilities.balancing:
        pytest.skip("missing: NUMA balancing off")
    for region in backend.regions(child.pid):
        if region.kind is not RegionKind.SPECIAL:
            seen = bytes_by_node(backend, reader, child.pid, region)
            assert seen == back_door.get(region.start, {}), region


def numa_maps(pid: int) -> dict[int, dict[int, int]]:
    """Start of each mapping → bytes by node. Source: numa(7)."""
    mappings: dict[int, dict[int, int]] = {}
    for line in Path(f"/proc/{pid}/numa_maps").read_text().splitlines():
        size = int(dict(re.findall(r"(kernelpagesize_kB)=(\d+)", line)).get("kernelpagesize_kB", PAGE >> 10)) << 10
        nodes = {int(node): int(pages) * size for node, pages in re.findall(r"\bN(\d+)=(\d+)", line)}
        mappings[int(line.split()[0], 16)] = nodes
    return mappings


def test_resident_size_tells_the_same(backend: LinuxBackend, reader: KeyReader, child: subprocess.Popen[bytes]) -> None:
    """On kernels without numa_maps too: Rss of the mappings that are not special."""
    smaps = Path(f"/proc/{child.pid}/smaps").read_text()
    found = re.findall(r"^([0-9a-f]+)-.*?^Rss:\s+(\d+) kB", smaps, re.MULTILINE | re.DOTALL)
    rss = {int(start, 16): int(kib) << 10 for start, kib in found}
    for region in backend.regions(child.pid):
        if region.kind is not RegionKind.SPECIAL:
            assert sum(bytes_by_node(backend, reader, child.pid, region).values()) == rss[region.start], region


def test_a_process_that_ends_while_being_looked_at(backend: LinuxBackend, child: subprocess.Popen[bytes]) -> None:
    chunks = backend.page_runs(child.pid, EVERYTHING)
    next(chunks)
    child.kill()
    child.wait()
    with pytest.raises(TargetGone) as caught:
        list(chunks)
    assert caught.value.pid == child.pid


def test_a_process_that_is_none_of_our_business() -> None:
    """A stranger asks about us, and about himself."""
    if os.geteuid() != 0:
        pytest.skip("missing: CAP_SETUID, to become a stranger")
    answer = subprocess.run([sys.executable, "-c", STRANGER, str(ME)], capture_output=True, text=True, check=True)
    refused, capabilities, himself = answer.stdout.splitlines()
    assert refused.startswith(f"{ME} ") and "CAP_SYS_PTRACE" in refused
    assert capabilities == "False False False"
    assert int(himself) > 1 << 20


STRANGER = """
import ctypes, os, sys
from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import RefusedError
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: who changed his user may not look at himself otherwise
backend = LinuxBackend()
try:
    list(backend.page_runs(int(sys.argv[1]), [(0, 1 << 47)]))
except RefusedError as error:
    print(error.pid, error.hint)
able = backend.capabilities
print(able.see_pfn, able.move_others, able.move_shared)
print(sum(int(runs.size_bytes.sum()) for runs in backend.page_runs(os.getpid(), [(0, 1 << 47)])))
"""


def answering(*statuses: int, returned: int = 0, number: int = 0):  # type: ignore[no-untyped-def]
    return lambda pid, addresses: MovePagesReturn(returned, number, np.array(statuses, np.int32))


def test_marked_pages_are_there_and_zero_pages_are_not() -> None:
    private = np.uint64(1 << 63) | EXCLUSIVE
    shared = np.uint64(1 << 63)
    ask = answering(2, -errno.ENOENT, -errno.EFAULT, -errno.EFAULT)
    keys = ask_nodes(ask, 1, np.zeros(4, np.uint64), np.array([shared, shared, shared, private], np.uint64))
    assert keys.tolist() == [2, UNKNOWN_NODE, ABSENT, UNKNOWN_NODE]
    assert keys.dtype == np.int16


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ESRCH, TargetGone), (errno.EINVAL, TargetGone), (errno.EPERM, RefusedError), (errno.ENOMEM, BackendError)],
)
def test_questions_that_are_not_answered(number: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        ask_nodes(answering(-1, returned=-1, number=number), 7, np.zeros(1, np.uint64), np.zeros(1, np.uint64))
