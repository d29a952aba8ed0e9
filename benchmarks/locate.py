"""How fast pages are located, against a bare read of /proc/PID/pagemap and against asking the kernel for each page.

Every figure is a ratio of ways that take turns in one run. The bare read does nothing with what it reads, and uses the
size of buffer at which it is fastest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.memory import PAGE, Area, Held, available_bytes, hold
from benchmarks.pairs import Measure, arguments, medians, print_result, ratio, take_turns
from numamig.backends.linux import pagemap
from numamig.backends.linux.backend import LinuxBackend
from numamig.backends.linux.frame_reader import FrameReader
from numamig.backends.linux.frames import FrameTable, read_frame_table
from numamig.backends.linux.maps import parse_spans, read_maps
from numamig.backends.linux.ownpages import learn_zero_frames
from numamig.backends.linux.pagereaders import KeyReader, read_runs
from numamig.model.pages import PageRuns
from numamig.observe.pagemap import read_page_map
from numamig.observe.placement import count_ranges, movable
from numamig.observe.sampling import estimate_process, sample_page_map
from numamig.units import format_bytes, parse_size
from tui.pages.maplayout import fitting_bucket, lay_out_rows

_PROC, _SYS = Path("/proc"), Path("/sys")
_BUFFERS = tuple(1 << n for n in range(15, 20))
_QUESTION_PAGES = 16384
_ROWS, _CELLS = 24, 64


def timed(work: Callable[[], object]) -> Measure:
    """Seconds that it takes."""

    def measure() -> float:
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    return measure


def bare_read(pid: int, span: tuple[int, int], buffer_bytes: int) -> Callable[[], None]:
    """Read the pagemap of a range into one buffer, again and again."""
    buffer = bytearray(buffer_bytes)

    def read() -> None:
        at, end = span[0] // PAGE * 8, span[1] // PAGE * 8
        descriptor = os.open(f"/proc/{pid}/pagemap", os.O_RDONLY)
        try:
            while at < end:
                at += os.preadv(descriptor, [memoryview(buffer)[: end - at]], at)
        finally:
            os.close(descriptor)

    return read


def locate(backend: LinuxBackend, pid: int, span: tuple[int, int]) -> Callable[[], None]:
    """All pages of a range with their nodes, by the backend."""

    def read() -> None:
        for _ in backend.page_runs(pid, [span]):
            pass

    return read


def locate_by(reader: KeyReader, backend: LinuxBackend, held: Held, span: tuple[int, int]) -> Callable[[], PageRuns]:
    """The same by one reader, on one thread."""
    topology = backend.topology()

    def read() -> PageRuns:
        spans = parse_spans(read_maps(_PROC, held.pid), backend._sizes(), PAGE)  # noqa: SLF001
        opened = partial(pagemap.Pagemap, _PROC, held.pid, PAGE)
        return PageRuns.concatenate(
            read_runs(reader, opened, spans, [span], page_size=PAGE, huge_page_size=topology.huge_page_size)
        )

    return read


def question(backend: LinuxBackend, pid: int, span: tuple[int, int]) -> Callable[[], None]:
    """Ask move_pages about every page of a range."""
    pages = np.arange(span[0], span[1], PAGE, dtype=np.uint64)

    def ask() -> None:
        for at in range(0, len(pages), _QUESTION_PAGES):
            backend.move_pages(pid, pages[at : at + _QUESTION_PAGES], None)

    return ask


def many_nodes(backend: LinuxBackend) -> FrameReader:
    """A reader that takes this machine for one whose memory blocks belong to two nodes in turn: no block of pages is
    all on one, so that every entry has to be looked up."""
    true = read_frame_table(_SYS, _PROC, PAGE)
    nodes = (np.arange(len(true.nodes)) % 2).astype(np.int16)
    huge = backend.topology().huge_page_size
    flags = backend.readers.page_flags
    zero = learn_zero_frames(_PROC, huge)
    return FrameReader(FrameTable(true.shift, nodes), zero, flags, backend.readers.ask, huge)


@contextmanager
def without_scan() -> Iterator[None]:
    """As on a kernel before 6.7."""
    works = pagemap.scan_works
    setattr(pagemap, "scan_works", lambda _: False)  # noqa: B010
    try:
        yield
    finally:
        setattr(pagemap, "scan_works", works)  # noqa: B010


def unscanned(work: Callable[[], object]) -> Callable[[], None]:
    def do() -> None:
        with without_scan():
            work()

    return do


def against_bare_read(held: Held, span: tuple[int, int], rounds: int, name: str) -> dict[str, float]:
    """Ratios for small pages, on one thread and on two; and as if they were spread over two nodes."""
    one, two = LinuxBackend(reader_threads=1), LinuxBackend(reader_threads=2)
    buffers = {str(size): timed(bare_read(held.pid, span, size)) for size in _BUFFERS}
    fastest = medians(take_turns(buffers, max(3, rounds // 3)))
    buffer = int(min(fastest, key=lambda size: fastest[size]))
    bare = bare_read(held.pid, span, buffer)
    ways = {
        "bare": timed(bare),
        "one": timed(locate(one, held.pid, span)),
        "two": timed(locate(two, held.pid, span)),
        "many": timed(locate_by(many_nodes(one), one, held, span)),
    }
    found = take_turns(ways, rounds)
    pages = (span[1] - span[0]) // PAGE
    return {
        f"ratio_to_bare_read{name}": ratio(found["one"], found["bare"]),
        f"ratio_to_bare_read_two_threads{name}": ratio(found["two"], found["bare"]),
        f"ratio_to_bare_read_many_nodes{name}": ratio(found["many"], found["bare"]),
        f"bare_read_ns_per_page{name}": median(found["bare"]) / pages * 1e9,
        f"bare_read_buffer_bytes{name}": float(buffer),
    }


def against_query(held: Held, span: tuple[int, int], rounds: int, name: str = "") -> dict[str, float]:
    """How many times faster than asking about every page: as the backend comes, and on one thread."""
    usual, one = LinuxBackend(), LinuxBackend(reader_threads=1)
    ways = {
        "query": timed(question(usual, held.pid, span)),
        "usual": timed(locate(usual, held.pid, span)),
        "one": timed(locate(one, held.pid, span)),
    }
    found = take_turns(ways, rounds)
    pages = (span[1] - span[0]) // PAGE
    return {
        f"{name}speedup_over_query": ratio(found["query"], found["usual"]),
        f"{name}speedup_over_query_one_thread": ratio(found["query"], found["one"]),
        f"{name}query_ns_per_page": median(found["query"]) / pages * 1e9,
    }


def scanning(held: Held, sparse: tuple[int, int], huge: tuple[int, int], rounds: int) -> dict[str, float]:
    """What PAGEMAP_SCAN saves: in memory that is mostly holes, and where the query reader finds huge pages by it."""
    backend = LinuxBackend(reader_threads=1)
    query = locate_by(backend.readers.query_reader, backend, held, huge)
    holes = locate(backend, held.pid, sparse)
    found = take_turns(
        {
            "holes": timed(holes),
            "holes_unscanned": timed(unscanned(holes)),
            "huge": timed(query),
            "huge_unscanned": timed(unscanned(query)),
        },
        rounds,
    )
    return {
        "scan_speedup_holes": ratio(found["holes_unscanned"], found["holes"]),
        "scan_speedup_huge_query": ratio(found["huge_unscanned"], found["huge"]),
    }


def first_picture(held: Held, rounds: int) -> dict[str, float]:
    """From nothing but a pid to the page map and the placement of all of it, sampled; and counted, for comparison."""
    backend = LinuxBackend()
    nodes = backend.topology().memory_nodes
    errors: list[float] = []

    def sampled() -> None:
        regions = backend.regions(held.pid)
        grid = lay_out_rows(regions, fitting_bucket(regions, _CELLS, _ROWS, PAGE), _CELLS).grid(0, _ROWS)
        sample_page_map(backend, held.pid, grid, regions, nodes, PAGE)
        placement = estimate_process(backend, backend.process(held.pid), regions, PAGE)
        errors.append(placement.error)

    def counted() -> None:
        regions = backend.regions(held.pid)
        grid = lay_out_rows(regions, fitting_bucket(regions, _CELLS, _ROWS, PAGE), _CELLS).grid(0, _ROWS)
        read_page_map(backend, held.pid, grid, nodes, PAGE)
        count_ranges(backend, held.pid, movable(regions))

    found = take_turns({"sampled": timed(sampled), "counted": timed(counted)}, rounds)
    return {
        "first_picture_ms": median(found["sampled"]) * 1e3,
        "counted_picture_ms": median(found["counted"]) * 1e3,
        "first_picture_error": median(errors),
    }


def affordable(asked: int) -> int:
    """So much of it that half of the free memory is left alone."""
    size = asked
    while size > 1 << 20 and size > available_bytes() // 2:
        size //= 2
    return size


def main(arguments_: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__ or "", rounds=15)
    parser.add_argument("--size", type=parse_size, default=4 << 30, help="of the memory that is located (4GiB)")
    parser.add_argument("--space", type=parse_size, default=1 << 40, help="address space of the first picture (1TiB)")
    options = parser.parse_args(arguments_)
    size = affordable(options.size)
    rounds = options.rounds
    result: dict[str, object] = {"size_bytes": size, "rounds": rounds}
    if size < options.size:
        result["note"] = f"memory is short: {format_bytes(size)} instead of {format_bytes(options.size)}"
    with hold(Area("small", size)) as held:
        (span,) = held.ranges
        result |= against_bare_read(held, span, rounds, "")
        result |= against_query(held, span, max(3, rounds // 3))
    with hold(Area("scattered", size)) as held:
        result |= against_bare_read(held, held.ranges[0], max(3, rounds // 3), "_scattered")
    with hold(Area("sparse", options.space), Area("small", size // 2), Area("huge", size // 2)) as held:
        sparse, _, huge = held.ranges
        result |= against_query(held, huge, max(3, rounds // 3), "thp_")
        few = (sparse[0], sparse[0] + (sparse[1] - sparse[0]) // 16)
        result |= scanning(held, few, huge, max(3, rounds // 5))
        result |= first_picture(held, max(3, rounds // 3))
    print_result(result, as_json=options.json)


if __name__ == "__main__":
    main()
