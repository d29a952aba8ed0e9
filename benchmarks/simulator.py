"""What the simulated machine costs the real one: building a machine of 1 TiB, and moving pages through the engine.

    python -m benchmarks.simulator --json

Every round of a measure runs in a process of its own, and each figure is the median over the rounds. A measure is a
function of the options that returns figures by name; those of ``MEASURES`` are what there is.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence

from numamig.migrate.destination import Node
from numamig.units import format_bytes, parse_size

__all__ = ["main"]

Figures = Mapping[str, float]
_NODES = 8
_PAGE = 4096
_MOVED_BYTES = 4 << 30


def build(options: argparse.Namespace) -> Figures:
    """A machine of ``--size`` in small pages, each on a node drawn by chance, from a scenario to the machine."""
    return _built(_scenario(options.size, options.processes), "build_seconds", "peak_bytes")


def build_full(options: argparse.Namespace) -> Figures:
    """The same where pages also differ in heat, and some are swapped out, pinned and under writeback."""
    states = {"heat": {"zipf": 1.1}, "swapped": "2%", "pinned": 0.0001, "writeback": "1%"}
    return _built(_scenario(options.size, options.processes, states), "build_full_seconds", "peak_full_bytes")


def build_quarter(options: argparse.Namespace) -> Figures:
    """A quarter of it: the cost grows linearly where four times this is about as much as the whole."""
    return _built(_scenario(options.size // 4, options.processes), "build_quarter_seconds", "peak_quarter_bytes")


def move(_: argparse.Namespace) -> Figures:
    """Pages that a job moves per second of real time, in large batches and in small: all of them on one node."""
    return {
        "pages_per_second": _moved(65_536, rounds=24, placed=(1,)),
        "pages_per_second_512": _moved(512, rounds=3, placed=(1,)),
    }


def move_scattered(_: argparse.Namespace) -> Figures:
    """The same where every page lies on a node drawn by chance, so that nothing can be moved as a slice."""
    return {
        "pages_per_second_scattered": _moved(65_536, rounds=1, placed=(1, 1, 1, 1)),
        "pages_per_second_scattered_512": _moved(512, rounds=1, placed=(1, 1, 1, 1)),
    }


MEASURES: dict[str, Callable[[argparse.Namespace], Figures]] = {
    "build": build,
    "build-full": build_full,
    "build-quarter": build_quarter,
    "move": move,
    "move-scattered": move_scattered,
}


def _scenario(size_bytes: int, processes: int, states: Mapping[str, object] | None = None) -> dict[str, object]:
    """As a YAML file would say it: an uneven share of every process on each of eight nodes."""
    pages = size_bytes // _PAGE
    held = [pages * (n + 1) // processes - pages * n // processes for n in range(processes)]
    region = {"pattern": "random", "nodes": {node: 8 + node % 3 for node in range(_NODES)}, **(states or {})}
    return {
        "scenario": 1,
        "title": "benchmark",
        "kernel": "linux-6.12",
        "nodes": [
            {"id": node, "cpus": f"{16 * node}-{16 * node + 15}", "memory": size_bytes // 6 + (1 << 30)}
            for node in range(_NODES)
        ],
        "processes": [
            {"name": f"work{n}", "pid": 1000 + n, "regions": [{"size": count * _PAGE, **region}]}
            for n, count in enumerate(held)
        ],
    }


def _moved(batch_pages: int, *, rounds: int, placed: Sequence[int]) -> float:
    """Pages per second of jobs that move 4 GiB there and back, after one that nobody times.

    :param placed: weights of the nodes where they lie at first
    """
    from numamig.backends.simulator.backend import SimulatorBackend
    from numamig.backends.simulator.scenario import ScenarioFile, build_machine
    from numamig.migrate.job import Job
    from numamig.migrate.plan import plan_request
    from numamig.migrate.request import Request
    from numamig.migrate.run import run_job
    from numamig.model.outcome import Outcome

    region = {"size": _MOVED_BYTES, "nodes": dict(enumerate(placed)), "pattern": "random"}
    nodes = [{"id": node, "cpus": f"{node}", "memory": 2 * _MOVED_BYTES} for node in range(max(2, len(placed)))]
    processes = [{"name": "work", "pid": 1000, "regions": [region]}]
    scenario = {"scenario": 1, "title": "benchmark", "nodes": nodes, "processes": processes}
    backend = SimulatorBackend(build_machine(ScenarioFile.model_validate(scenario)))
    pages, seconds, scattered = 0, 0.0, len(placed) > 1
    for number in range(rounds + (not scattered)):
        plan = plan_request(backend, Request(1000, Node(1 - number % 2), batch_pages=batch_pages, most_calls=None))
        job = Job(number + 1, backend, plan)
        began = time.perf_counter()
        for _ in run_job(job, backend):
            pass
        took = time.perf_counter() - began
        moved = job.snapshot().outcomes
        assert moved.total == moved[Outcome.MOVED] == plan.pages, "a page did not move"
        if scattered or number:
            pages, seconds = pages + plan.pages, seconds + took
    return pages / seconds


def _built(scenario: Mapping[str, object], seconds: str, peak: str) -> Figures:
    from numamig.backends.simulator.scenario import ScenarioFile, build_machine

    began = time.perf_counter()
    machine = build_machine(ScenarioFile.model_validate(scenario))
    took = time.perf_counter() - began
    placed = sum(node.total_pages - node.free_pages for node in machine.nodes.values())
    mapped = sum(region.pages for process in machine.processes.values() for region in process.regions)
    assert 0.9 * mapped <= placed <= mapped, "every page has a node, or is swapped out"
    return {seconds: took, peak: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def _in_children(name: str, rounds: int, arguments: Sequence[str]) -> dict[str, float]:
    """Median of each figure of a measure over processes that do nothing else."""
    command = [sys.executable, "-m", "benchmarks.simulator", "--only", name, "--json", *arguments]
    told = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(rounds)]
    return {key: statistics.median(each[key] for each in told) for key in told[0]}


def _print(figures: Figures) -> None:
    for name, figure in figures.items():
        shown = format_bytes(round(figure)) if name.endswith("_bytes") else f"{figure:,.3g}"
        print(f"{name:24} {shown:>10}")


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulator", description=__doc__)
    parser.add_argument("--json", action="store_true", help="figures as one JSON object")
    parser.add_argument("--rounds", type=int, default=3, help="processes for each measure (default 3)")
    parser.add_argument("--size", type=parse_size, default=1 << 40, help="memory of the machine (default 1TiB)")
    parser.add_argument("--processes", type=int, default=4, help="that have it (default 4)")
    parser.add_argument("--only", choices=list(MEASURES), help="one measure, once, in this process")
    options = parser.parse_args(argv)
    if options.only is not None:
        figures = dict(MEASURES[options.only](options))
    else:
        arguments = ["--size", str(options.size), "--processes", str(options.processes)]
        figures = {}
        for name in MEASURES:
            figures |= _in_children(name, options.rounds, arguments)
    if options.json:
        print(json.dumps(figures))
    else:
        _print(figures)


if __name__ == "__main__":
    main()
