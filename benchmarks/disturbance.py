"""Whether a process that faults and maps memory all the time is held up by a console that looks at it.

The console's own threads look, at their own cadence and with nobody to draw for: regions and page map of this process,
the census of all the others. Watched and alone take turns.
"""

from __future__ import annotations

import mmap
import os
import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.pairs import arguments, print_result, ratio, take_turns
from numamig.backends.linux.backend import LinuxBackend
from numamig.units import parse_size
from tui.pages.maplayout import fitting_bucket, lay_out_rows
from tui.threads.bridge import Bridge

_SOURCE = Path(__file__).with_name("faults.c")
_ROWS, _CELLS = 24, 64
_SETTLE_S = 0.5


@dataclass(frozen=True, slots=True)
class Victim:
    """A process that faults."""

    pid: int
    counter: mmap.mmap

    def pages(self) -> int:
        """Faulted since it began."""
        counted: int = struct.unpack_from("=Q", self.counter)[0]
        return counted


@contextmanager
def victim(resident_bytes: int) -> Iterator[Victim]:
    """A process that faults, as long as the context lasts."""
    with tempfile.TemporaryDirectory() as folder:
        program, file = Path(folder) / "faults", Path(folder) / "counter"
        compiler = shutil.which("cc") or shutil.which("gcc")
        if compiler is None:
            raise SystemExit("a C compiler is needed: cc or gcc")
        subprocess.run([compiler, "-O2", "-o", str(program), str(_SOURCE)], check=True)
        file.write_bytes(bytes(mmap.PAGESIZE))
        command = [str(program), str(file), str(resident_bytes >> 20)]
        with (
            file.open("r+b") as handle,
            mmap.mmap(handle.fileno(), mmap.PAGESIZE) as counter,
            subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,
        ):
            try:
                assert process.stdout is not None
                process.stdout.readline()
                yield Victim(process.pid, counter)
            finally:
                process.kill()


@contextmanager
def watched(backend: LinuxBackend, pid: int) -> Iterator[None]:
    """The console's threads look at this process."""
    bridge = Bridge(backend)
    regions = backend.regions(pid)
    rows = lay_out_rows(regions, fitting_bucket(regions, _CELLS, _ROWS, mmap.PAGESIZE), _CELLS)
    bridge.start()
    try:
        identity = backend.process(pid).identity
        bridge.watcher.watch(identity, (identity,))
        bridge.watcher.watch_map(rows.grid(0, _ROWS), None)
        yield
    finally:
        bridge.stop()


def main(arguments_: Sequence[str] | None = None) -> None:
    parser = arguments(__doc__ or "", rounds=9)
    parser.add_argument("--size", type=parse_size, default=1 << 30, help="resident memory of the process (1GiB)")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each way is measured (%(default)s)")
    options = parser.parse_args(arguments_)
    shares: list[float] = []
    backend = LinuxBackend()
    with victim(options.size) as process:

        def rate() -> float:
            began, pages = time.monotonic(), process.pages()
            time.sleep(options.seconds)
            return (process.pages() - pages) / (time.monotonic() - began)

        def alone() -> float:
            time.sleep(min(_SETTLE_S, options.seconds))
            return rate()

        def looked_at() -> float:
            with watched(backend, process.pid):
                time.sleep(min(_SETTLE_S, options.seconds))
                spent, began = time.process_time(), time.monotonic()
                found = rate()
                shares.append((time.process_time() - spent) / (time.monotonic() - began))
                return found

        found = take_turns({"watched": looked_at, "alone": alone}, options.rounds)
    print_result(
        {
            "rate_kept": ratio(found["watched"], found["alone"]),
            "pages_per_second_alone": median(found["alone"]),
            "looking_cpu_share": median(shares),
            "processes": len(backend.processes()),
            "cpus": len(os.sched_getaffinity(0)),
            "size_bytes": options.size,
            "rounds": options.rounds,
        },
        as_json=options.json,
    )


if __name__ == "__main__":
    main()
