"""Moving pages: numamig against a C program that makes the same calls, and against migratepages(8).

Needs two memory nodes and a C compiler; the laboratory has both: ``make bench-move``. Every way moves the same pages of
the same process between two nodes, to and fro. The C program has no look at the process, no account and no choice to
make: it is handed the addresses. A second part has the process use its memory meanwhile, and says how long its slowest
accesses took.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.pairs import arguments, print_result, ratio, take_turns
from numamig.backends.linux.backend import LinuxBackend
from numamig.errors import NumamigError, UsageError
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.outcome import Outcome

__all__ = ["main"]

PAGE = 4096
SOURCES = Path(__file__).parent


class Victim:
    """The process whose pages are moved."""

    def __init__(self, program: Path, pages: int, nodes: tuple[int, int]) -> None:
        self.pages = pages
        self._nodes = nodes
        self._at = 0
        self._child = subprocess.Popen(
            [program, str(pages), str(nodes[0])], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._child.pid
        self.start = int(self._line(), 16)

    def ways(self) -> tuple[int, int]:
        """From where to where its pages are to move next."""
        self._at = 1 - self._at
        return self._nodes[1 - self._at], self._nodes[self._at]

    def slowest_accesses_us(self, meanwhile: Callable[[], object]) -> float:
        """Latency in µs that 9,999 of 10,000 of its accesses stay below, while something is done to it."""
        self._tell("go\n")
        meanwhile()
        self._tell("stop\n")
        _count, _p50, _p99, _p999, p9999, _max = map(int, self._line().split())
        return p9999 / 1000

    def end(self) -> None:
        self._child.kill()
        self._child.communicate()

    def _tell(self, order: str) -> None:
        assert self._child.stdin is not None
        self._child.stdin.write(order)
        self._child.stdin.flush()

    def _line(self) -> str:
        assert self._child.stdout is not None
        return self._child.stdout.readline()


@dataclass(frozen=True, slots=True)
class Movers:
    """The ways to move all pages of the victim to the other node; each returns its duration in ns."""

    backend: LinuxBackend
    victim: Victim
    program: Path

    def numamig(self, batch: int, threads: int = 1) -> float:
        """A job as ``numamig move`` runs it: choosing, moving, accounting."""
        source, target = self.victim.ways()
        end = self.victim.start + self.victim.pages * PAGE
        request = Request(
            self.victim.pid,
            Node(target),
            sources=(source,),
            within=[(self.victim.start, end)],
            batch_pages=batch,
            threads=threads,
        )
        job = Job(1, self.backend, plan_request(self.backend, request))
        began = time.monotonic_ns()
        for _event in run_job(job, self.backend):
            pass
        took = time.monotonic_ns() - began
        if job.snapshot().outcomes[Outcome.MOVED] != self.victim.pages:
            raise SystemExit(f"not all pages moved: {job.snapshot().outcomes}")
        return took

    def c(self, batch: int, threads: int = 1) -> float:
        """The same calls from C."""
        _source, target = self.victim.ways()
        return self._run_program(
            "batches", self.victim.pid, self.victim.start, self.victim.pages, batch, target, threads
        )

    def migrate_pages(self) -> float:
        """What migratepages(8) calls, without the time that the command takes to start."""
        return self._run_program("process", self.victim.pid, *self.victim.ways())

    def migratepages(self) -> float:
        """The command, from start to end."""
        source, target = self.victim.ways()
        began = time.monotonic_ns()
        subprocess.run(["migratepages", str(self.victim.pid), str(source), str(target)], check=True)
        return time.monotonic_ns() - began

    def _run_program(self, *words: object) -> float:
        done = subprocess.run([self.program, *map(str, words)], stdout=subprocess.PIPE, text=True, check=False)
        # migrate_pages leaves pages of libraries, which are shared, and counts them.
        if done.returncode and words[0] != "process":
            raise SystemExit(f"{self.program.name}: exit status {done.returncode}")
        return int(done.stdout)


def build(name: str, folder: Path) -> Path:
    """Compile one of the C programs next to this file."""
    program = folder / name
    subprocess.run(["cc", "-O2", "-pthread", "-o", program, SOURCES / f"{name}.c"], check=True)
    return program


@contextmanager
def _without_balancing() -> Iterator[None]:
    """NUMA balancing would move the victim's pages as well, where it likes."""
    switch = Path("/proc/sys/kernel/numa_balancing")
    before = switch.read_text() if switch.exists() else "0"
    if before.strip() == "0":
        yield
        return
    switch.write_text("0")
    try:
        yield
    finally:
        switch.write_text(before)


def measure(pages: int, rounds: int) -> dict[str, object]:
    """All figures; see docs/performance.md."""
    backend = LinuxBackend()
    nodes = backend.topology().memory_nodes
    if len(nodes) < 2:
        raise UsageError(
            "this machine has one memory node: there is nowhere to move pages to",
            hint="make bench-move, which boots a machine with three",
        )
    with tempfile.TemporaryDirectory() as scratch, _without_balancing():
        victim = Victim(build("victim", Path(scratch)), pages, (nodes[0], nodes[1]))
        try:
            movers = Movers(backend, victim, build("mover", Path(scratch)))
            return {"kernel": backend.capabilities.kernel, "pages": pages, "rounds": rounds} | _figures(movers, rounds)
        finally:
            victim.end()


def _figures(movers: Movers, rounds: int) -> dict[str, object]:
    took = take_turns(
        {
            "numamig": lambda: movers.numamig(4096),
            "c": lambda: movers.c(4096),
            "migrate_pages": movers.migrate_pages,
            "two threads": lambda: movers.numamig(4096, threads=2),
            "c two threads": lambda: movers.c(4096, threads=2),
            "c one call": lambda: movers.c(movers.victim.pages),
            "c one call a thread": lambda: movers.c(movers.victim.pages, threads=2),
            "migratepages": movers.migratepages,
            "numamig 512": lambda: movers.numamig(512),
            "c 512": lambda: movers.c(512),
        },
        rounds,
    )
    slowest = take_turns(
        {
            name: lambda way=way: movers.victim.slowest_accesses_us(way)  # type: ignore[misc]
            for name, way in {
                "undisturbed": lambda: time.sleep(min(took["c"]) / 1e9),
                "numamig_4096": lambda: movers.numamig(4096),
                "numamig_512": lambda: movers.numamig(512),
                "numamig_64": lambda: movers.numamig(64),
                "c_4096": lambda: movers.c(4096),
                "migratepages": movers.migratepages,
            }.items()
        },
        max(3, rounds // 2),
        warm_up=0,
    )
    return {
        "ratio_to_c": ratio(took["c"], took["numamig"]),
        "ratio_to_c_512": ratio(took["c 512"], took["numamig 512"]),
        "ratio_to_c_two_threads": ratio(took["c two threads"], took["two threads"]),
        "ratio_to_migratepages": ratio(took["migratepages"], took["numamig"]),
        "ratio_to_migratepages_two_threads": ratio(took["migratepages"], took["two threads"]),
        "ratio_to_migrate_pages_call": ratio(took["migrate_pages"], took["numamig"]),
        "ratio_to_migrate_pages_call_two_threads": ratio(took["migrate_pages"], took["two threads"]),
        "c_ratio_to_migrate_pages_call": ratio(took["migrate_pages"], took["c"]),
        "c_speedup_two_threads": ratio(took["c"], took["c two threads"]),
        "c_speedup_two_threads_one_call": ratio(took["c one call"], took["c one call a thread"]),
        "victim_p9999_us": {name: sorted(figures)[len(figures) // 2] for name, figures in slowest.items()},
        "seconds": {name: [round(ns / 1e9, 3) for ns in figures] for name, figures in took.items()},
    }


def main() -> int:
    parser = arguments("Moving pages, against C and against migratepages.", rounds=7)
    parser.add_argument("--size-pages", type=int, default=32768, help="pages that move (%(default)s)")
    asked = parser.parse_args()
    try:
        print_result(measure(asked.size_pages, asked.rounds), as_json=asked.json)
    except NumamigError as error:
        print(f"benchmarks.move: {error}", file=sys.stderr)
        return 3
    return 0


if __name__ == "__main__":
    sys.exit(main())
