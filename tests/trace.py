"""A trace: all that happens on a busy machine during two jobs, as text; the same bytes wherever it is made.

``python -m tests.trace`` prints it, ``--hash`` its SHA-256; a kernel may be named, else it is 6.1. It
needs no more than the simulator does (numpy, simpy, pydantic, PyYAML), so that any interpreter that has these can be
compared.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from numamig.backends.simulator.backend import SimulatorBackend
from numamig.backends.simulator.kernels import KERNELS, Locking
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.model.outcome import OutcomeCounts
from numamig.yamlfile import read_yaml

__all__ = ["trace"]

_HERE = Path(__file__).parent
SCENARIO, SCENARIO_2004 = _HERE / "trace.yaml", _HERE / "trace-2004.yaml"
_MS = 10**6


def trace(kernel: str = "linux-6.1") -> str:
    """Events of the jobs as they come, and the whole machine after every so many of them."""
    today = KERNELS[kernel].locking is Locking.PER_TABLE
    scenario = read_yaml(SCENARIO if today else SCENARIO_2004).validate(ScenarioFile)
    backend = SimulatorBackend(build_machine(scenario.model_copy(update={"kernel": kernel})))
    lines = [_state(backend)]
    backend.clock.sleep_ns(150 * _MS)
    lines.append(_state(backend))
    requests = (
        Request(10, Node(0), batch_pages=256),
        Request(20, Node(2), sources=(0, 1), rate=400 << 20, batch_pages=300, threads=2),
    )
    for number, request in enumerate(requests, start=1):
        job = Job(number, backend, plan_request(backend, request))
        for count, event in enumerate(run_job(job, backend)):
            lines.append(f"{type(event).__name__} {_said(asdict(event))}")
            if count % 20 == 0:
                lines.append(_state(backend))
        backend.clock.sleep_ns(200 * _MS)
        lines.append(_state(backend))
    backend.clock.sleep_ns(3000 * _MS)
    lines.append(_state(backend))
    return "\n".join(lines) + "\n"


def _state(backend: SimulatorBackend) -> str:
    """The workings, what is counted, and hashes of the page tables."""
    machine, workings = backend.machine, backend.workings()
    tables = hashlib.sha256()
    for _, process in sorted(machine.processes.items()):
        for region in process.regions:
            tables.update(region.backing.node.tobytes() + region.backing.flags.tobytes())
    lines = [
        f"at {workings.time_ns} page tables {tables.hexdigest()}",
        f"  free {_said({node.id: node.free_pages for node in machine.nodes.values()})}",
        f"  vmstat {_said(backend.node_counters().vmstat)}",
        f"  moving {_said(asdict(workings.moving))}",
        f"  lock {_said(asdict(workings.lock))}",
    ]
    lines += [f"  work {_said(asdict(workload))}" for workload in workings.workloads]
    return "\n".join(lines)


def _said(value: Any) -> str:
    """Every digit of every number, and mappings in an order of their own."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_said(k)}: {_said(v)}" for k, v in _sorted(value.items())) + "}"
    if isinstance(value, OutcomeCounts | np.ndarray):
        return repr([int(count) for count in getattr(value, "counts", value)])
    if isinstance(value, list | tuple):
        return "(" + ", ".join(_said(each) for each in value) + ")"
    return repr(value)


def _sorted(items: Any) -> Iterator[tuple[Any, Any]]:
    return iter(sorted(items, key=lambda item: repr(item[0])))


if __name__ == "__main__":
    made = trace(*(word for word in sys.argv[1:] if word != "--hash"))
    sys.stdout.write(hashlib.sha256(made.encode()).hexdigest() + "\n" if "--hash" in sys.argv else made)
