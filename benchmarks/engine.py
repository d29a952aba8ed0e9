"""What the engine costs: beside the calls that it makes, in pages per second, and in memory.

    python -m benchmarks.engine --json

The first part boots the laboratory and runs there: a job with its queue, journal and account takes turns with the bare
calls for the same pages. The others are on the simulated machine, each in a process of its own: pages per second
where calls cost nothing, and memory beside the machine while a job moves a process of 1 TiB, in 4,096-page batches.
Every journal is a file. A measure is a function of the options that returns figures by name; those of ``MEASURES`` are
what there is.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.pairs import arguments, print_result
from numamig.errors import LabError
from numamig.migrate.destination import Node
from numamig.units import parse_size

if TYPE_CHECKING:
    from numamig.backends.simulator.backend import SimulatorBackend

__all__ = ["main"]

Figures = Mapping[str, Any]
_PAGE = 4096
_BATCH = 4096
_SOURCES = 4
"""Nodes among which scattered pages lie."""
_PID = 1000


def overhead(options: argparse.Namespace) -> Figures:
    """The engine against the bare calls, in the laboratory."""
    from numamig.lab.boot import run
    from numamig.lab.kernels import fetch_kernel
    from numamig.lab.machine import DEFAULT_MACHINE, MemoryNode
    from numamig.lab.packages import install_missing_packages

    asked = ["--rounds", str(options.rounds), "--moved", str(options.moved), *(["--parts"] if options.parts else [])]
    command = [sys.executable, "-m", "benchmarks.engine", "--in-guest", "--json", *asked]
    install_missing_packages(_narrate)
    kernel = fetch_kernel(options.kernel, narrate=_narrate)
    # Room on every node for what is moved, for the reserve, and on the first one for everything else.
    size_mib = 512 + 2 * (options.moved >> 20)
    machine = replace(DEFAULT_MACHINE, nodes=tuple(MemoryNode(size_mib, node.cpus) for node in DEFAULT_MACHINE.nodes))
    with tempfile.TemporaryFile() as said:
        status = run(command, kernel, machine, working_directory=Path(__file__).parents[1], stdout=said)
        said.seek(0)
        words = said.read().decode("utf-8", "replace")
    if status:
        raise LabError(f"the benchmark ended with status {status} in the laboratory:\n{words}")
    found: dict[str, Any] = json.loads(words[words.index("{") :])
    return found


def in_guest(options: argparse.Namespace) -> Figures:
    """``overhead``, on the machine that this is."""
    from benchmarks.memory import Area, hold
    from benchmarks.overhead import measure
    from numamig.backends.linux.backend import LinuxBackend

    backend = LinuxBackend()
    nodes = backend.topology().memory_nodes
    with hold(Area("small", options.moved)) as held:
        found = measure(backend, held.pid, held.ranges[0], nodes, rounds=options.rounds, parts=options.parts)
    return {"kernel": backend.capabilities.kernel, **found}


def pages(options: argparse.Namespace) -> Figures:
    """Pages that jobs move per second of real time where calls take no time of the simulated machine."""
    return {"pages_per_second": _rate(options.rate_size, scattered=False)}


def pages_scattered(options: argparse.Namespace) -> Figures:
    """The same where every page lies on a node drawn by chance."""
    return {"pages_per_second_scattered": _rate(options.rate_size, scattered=True)}


def memory(options: argparse.Namespace) -> Figures:
    """Memory beside the machine and the plan, while a job moves all of a large process that lies on one node."""
    peak, written = _grown(options.size, scattered=False)
    return {"peak_bytes_above_idle_contiguous": peak, "journal_bytes_per_gib": written}


def memory_scattered(options: argparse.Namespace) -> Figures:
    """The same where every page lies on a node drawn by chance."""
    peak, written = _grown(options.size, scattered=True)
    return {"peak_bytes_above_idle_scattered": peak, "journal_bytes_per_gib_scattered": written}


MEASURES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "overhead": overhead,
    "pages": pages,
    "pages-scattered": pages_scattered,
    "memory": memory,
    "memory-scattered": memory_scattered,
}
_ONCE = ("overhead", "memory", "memory-scattered")
"""Takes turns by itself, or hardly differs from one process to the next."""


def _backend(size_bytes: int, *, scattered: bool) -> SimulatorBackend:
    """A process of that size, and room for all of it on the last node. Calls take no time there."""
    from numamig.backends.simulator.backend import SimulatorBackend
    from numamig.backends.simulator.costs import CostModel
    from numamig.backends.simulator.scenario import ScenarioFile, build_machine

    sources = _SOURCES if scattered else 1
    region = {"size": size_bytes, "nodes": dict.fromkeys(range(sources), 1), "pattern": "random"}
    machine = build_machine(
        ScenarioFile.model_validate(
            {
                "scenario": 1,
                "title": "benchmark",
                "kernel": "linux-6.12",
                "nodes": [
                    {"id": node, "cpus": f"{node}", "memory": size_bytes // 4 * 5 + (1 << 30)}
                    for node in range(sources + 1)
                ],
                "processes": [{"name": "work", "pid": _PID, "regions": [region]}],
            }
        )
    )
    nothing = dict.fromkeys(
        ("drain_ns", "drain_cpu_ns", "run_ns", "flush_ns", "ipi_ns", "folio_ns", "pte_ns", "far_pte_ns"), 0.0
    )
    nothing |= dict.fromkeys(("settling_ns", "query_ns", "query_page_ns", "look_page_ns"), 0.0)
    machine.costs = CostModel(**nothing, copy_bytes_per_ns=math.inf, copy_ceiling_bytes_per_ns=math.inf)  # type: ignore[arg-type]
    return SimulatorBackend(machine)


def _rate(size_bytes: int, *, scattered: bool) -> float:
    """Of jobs to a node and, where all pages came from one, back; the first of those is not timed."""
    from benchmarks.overhead import recorder_in, run_queued
    from numamig.migrate.plan import plan_request
    from numamig.migrate.queue import JobQueue
    from numamig.migrate.request import Request

    backend = _backend(size_bytes, scattered=scattered)
    targets = [_SOURCES] if scattered else [1, 0, 1, 0, 1]
    moved, seconds = 0, 0.0
    with tempfile.TemporaryDirectory() as folder:
        recorder = recorder_in(Path(folder), backend)
        for target in targets:
            queue = JobQueue(backend, recorder, verifies=False)
            plan = plan_request(backend, Request(_PID, Node(target), batch_pages=_BATCH, most_calls=None))
            began = time.perf_counter()
            number = queue.add(plan)
            run_queued(queue, number)
            took = time.perf_counter() - began
            _demand_moved(queue, number)
            if scattered or queue.snapshot(number).number > 1:
                moved, seconds = moved + plan.pages, seconds + took
        recorder.close()
    return moved / seconds


def _grown(size_bytes: int, *, scattered: bool) -> tuple[int, float]:
    """Bytes of memory above those before a job, at most; bytes that the journal grew by for each GiB moved."""
    from benchmarks.overhead import recorder_in, run_queued
    from numamig.migrate.plan import plan_request
    from numamig.migrate.queue import JobQueue
    from numamig.migrate.request import Request

    backend = _backend(size_bytes, scattered=scattered)
    request = Request(_PID, Node(_SOURCES if scattered else 1), batch_pages=_BATCH, most_calls=None)
    plan = plan_request(backend, request)
    with tempfile.TemporaryDirectory() as folder:
        recorder_in(Path(folder), backend).close()
        before = _size_of(Path(folder))
        recorder = recorder_in(Path(folder), backend)
        queue = JobQueue(backend, recorder, verifies=False)
        number = queue.add(plan)
        _touch(backend)
        _let_go()
        idle = _status_bytes("VmRSS")
        run_queued(queue, number)
        peak = _status_bytes("VmHWM") - idle
        _demand_moved(queue, number)
        recorder.close()
        written = _size_of(Path(folder)) - before
    return max(0, peak), written / (size_bytes / (1 << 30))


def _demand_moved(queue: Any, number: int) -> None:
    from numamig.model.outcome import Outcome

    done = queue.snapshot(number)
    assert done.outcomes.total == done.outcomes[Outcome.MOVED] == done.plan.pages, "a page did not move"


def _size_of(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir() if each.is_file())


def _touch(backend: SimulatorBackend) -> None:
    """Have all of the machine's page tables in memory: what was all zeros so far would be counted as the job's."""
    for process in backend.machine.processes.values():
        for region in process.regions:
            region.backing.flags |= 0
            region.backing.node |= 0


def _let_go() -> None:
    """Give back what is not in use any more, and have the largest size so far forgotten (proc_pid_clear_refs(5))."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    Path("/proc/self/clear_refs").write_text("5")


def _status_bytes(key: str) -> int:
    """``VmRSS``, or ``VmHWM``: the most that it was."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) << 10
    raise OSError(f"this kernel does not tell {key}")


def _in_children(name: str, rounds: int, passed_on: Sequence[str]) -> dict[str, Any]:
    """Median of each figure of a measure over processes that do nothing else."""
    command = [sys.executable, "-m", "benchmarks.engine", "--only", name, "--json", *passed_on]
    told = [json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout) for _ in range(rounds)]
    return {key: statistics.median(each[key] for each in told) for key in told[0]} if rounds > 1 else told[0]


def _narrate(line: str) -> None:
    print(f"lab: {line}", file=sys.stderr, flush=True)


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--kernel", default="6.12", help="of the laboratory (%(default)s)")
    parser.add_argument("--moved", type=parse_size, default=256 << 20, help="moved in the laboratory (256MiB)")
    parser.add_argument("--rate-size", type=parse_size, default=16 << 30, help="moved for pages per second (16GiB)")
    parser.add_argument("--size", type=parse_size, default=1 << 40, help="of the process for memory (1TiB)")
    parser.add_argument("--parts", action="store_true", help="also where the time of a job in the laboratory goes")
    parser.add_argument("--only", choices=list(MEASURES), help="one measure, once, in this process")
    parser.add_argument("--in-guest", action="store_true", help="overhead on this machine, which needs two nodes")
    options = parser.parse_args(argv)
    if options.in_guest:
        figures: dict[str, Any] = dict(in_guest(options))
    elif options.only is not None:
        figures = dict(MEASURES[options.only](options))
    else:
        given = {"rounds": options.rounds, "kernel": options.kernel, "moved": options.moved, "size": options.size}
        passed_on = [word for name, value in given.items() for word in (f"--{name}", str(value))]
        passed_on += ["--rate-size", str(options.rate_size), *(["--parts"] if options.parts else [])]
        figures = {}
        for name in MEASURES:
            figures |= _in_children(name, 1 if name in _ONCE else 3, passed_on)
        peaks = [value for key, value in figures.items() if key.startswith("peak_bytes_above_idle_")]
        figures["peak_bytes_above_idle"] = max(peaks)
    print_result(figures, as_json=options.json)


if __name__ == "__main__":
    main()
