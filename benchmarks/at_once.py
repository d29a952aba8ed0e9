"""Two jobs one after the other against both at once: what the queue gains by more than one thread.

    python -m numamig.lab --kernel 6.12 -- python -m benchmarks.at_once --json

On a machine with two memory nodes or more, as the laboratory's: two processes are moved to another node and back, by a
queue that steps one job at a time and by one that steps two; and two jobs of one process, each with half of its memory.
"""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.memory import Area, Held, hold
from benchmarks.overhead import recorder_in
from benchmarks.pairs import arguments, print_result, ratio, take_turns
from numamig.backends.base import Backend
from numamig.backends.linux.backend import LinuxBackend
from numamig.migrate.destination import Node
from numamig.migrate.journal.record import Recorder
from numamig.migrate.plan import plan_request
from numamig.migrate.queue import JobQueue
from numamig.migrate.request import Request
from numamig.model.outcome import Outcome
from numamig.units import parse_size

__all__ = ["main"]

_Part = tuple[int, tuple[int, int]]
"""(pid, range of addresses)."""


def main(argv: Sequence[str] | None = None) -> None:
    """Print the figures."""
    parser = arguments(__doc__ or "", rounds=5)
    parser.add_argument("--moved", type=parse_size, default=64 << 20, help="by each job (64MiB)")
    options = parser.parse_args(argv)
    backend = LinuxBackend()
    area = Area("small", options.moved)
    with hold(area) as one, hold(area) as other, hold(area, area) as both, tempfile.TemporaryDirectory() as folder:
        recorder = recorder_in(Path(folder), backend)
        apart = [_part(one, 0), _part(other, 0)]
        within = [_part(both, 0), _part(both, 1)]
        figures: dict[str, object] = {"kernel": backend.capabilities.kernel}
        for name, parts in (("processes", apart), ("ranges", within)):
            ways = {at_once: partial(_there_and_back, backend, recorder, parts, at_once) for at_once in (1, 2)}
            took = take_turns({str(n): way for n, way in ways.items()}, options.rounds)
            figures[f"speedup_two_{name}"] = ratio(took["1"], took["2"])
        recorder.close()
    print_result(figures, as_json=options.json)


def _part(held: Held, area: int) -> _Part:
    return held.pid, held.ranges[area]


def _there_and_back(backend: Backend, recorder: Recorder, parts: Sequence[_Part], at_once: int) -> float:
    return sum(_run(backend, recorder, parts, node, at_once) for node in backend.topology().memory_nodes[1::-1])


def _run(backend: Backend, recorder: Recorder, parts: Sequence[_Part], node: int, at_once: int) -> float:
    queue = JobQueue(backend, recorder, at_once, verifies=False)
    requests = [Request(pid, Node(node), within=[where], batch_pages=4096, most_calls=None) for pid, where in parts]
    numbers = [queue.add(plan_request(backend, request)) for request in requests]
    threads = [threading.Thread(target=_step, args=(queue,)) for _ in range(at_once)]
    for number in numbers:
        queue.run(number)
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.perf_counter() - began
    for number in numbers:
        job = queue.snapshot(number)
        if not job.state.ended or job.outcomes[Outcome.MOVED] != job.outcomes.total:
            raise SystemExit(f"not all moved: {job.outcomes}, {job.reason}")
    return took


def _step(queue: JobQueue) -> None:
    while (number := queue.claim()) is not None:
        queue.step(number)


if __name__ == "__main__":
    main()
