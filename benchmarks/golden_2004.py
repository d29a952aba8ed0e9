"""The machine of 2004 against what its owner measured: totals of a benchmark, moving times, locks, and predictions.

``python -m benchmarks.golden_2004`` prints every reported figure beside the simulator's, and says which of them served
to fit a constant; ``--json`` prints the same for programs. ``fit`` repeats the fit.
The figures are from the thread "Migrate pages from a ccNUMA node to another" on linux-ia64, March and April 2004.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from numamig.backends.base import UNWRITTEN
from numamig.backends.simulator.chance import draws
from numamig.backends.simulator.machine import Machine
from numamig.backends.simulator.page_counters import CounterSettings, PageCounters
from numamig.backends.simulator.remap import remap
from numamig.backends.simulator.remap_costs import RemapCosts
from numamig.backends.simulator.remap_settings import RemapSettings
from numamig.backends.simulator.remap_victims import Victims
from numamig.backends.simulator.scenario import ScenarioFile, build_machine
from numamig.model.workings import LockFigures
from numamig.resources import find_scenario
from numamig.yamlfile import read_yaml

__all__ = [
    "CASES",
    "MOVED_PAGES",
    "Figure",
    "Moving",
    "Run",
    "fit",
    "golden_machine",
    "main",
    "moving",
    "report",
    "total",
]

HOLD, RESCAN = "ia64-2004-hold-lock", "ia64-2004-rescan"
BY_HAND, FREE, BUILT = "ia64-2004-by-hand", "ia64-2004-free-counters", "ia64-2004-as-built"
CASES = (BY_HAND, HOLD, FREE, BUILT, RESCAN)
"""Shipped scenarios."""
PID = 2004
MOVED_PAGES = 750_000_000 // 16384
"""750 MB."""
BY_HAND_S, RANDOM_S, FREE_S, BUILT_S = 86.0, 121.0, 92.0, 106.0
_LOCAL_NS, _RANDOM_NS = 200.0, 0.25 * 200 + 0.75 * 450
_STEP_NS = 1_000_000_000
_CHOICE_STREAM = 2006


@dataclass(frozen=True, slots=True)
class Run:
    """The benchmark from its start to its end."""

    total_s: float
    local: float
    """Part of its accesses at the end."""
    moved_bytes: int
    moving_s: float
    deciding_s: float
    lock: LockFigures


@dataclass(frozen=True, slots=True)
class Moving:
    """So many pages moved, list by list, with the benchmark at work."""

    pages: int
    seconds: float
    phases_s: dict[str, float]
    lock: LockFigures


@dataclass(frozen=True, slots=True)
class Figure:
    """A reported figure, and the simulator's."""

    name: str
    low: float
    high: float
    """As reported; the same twice where it is one number."""
    model: float
    unit: str
    fitted: bool
    """Whether it served to fit a constant."""

    @property
    def residual(self) -> float:
        """Relative to what was reported; 0 within a range."""
        nearest = min(max(self.model, self.low), self.high)
        return self.model / nearest - 1


def golden_machine(scenario: str = HOLD, size: float = 1.0) -> Machine:
    """The machine of a shipped scenario.

    :param size: of the benchmark's data and of its work, in relation to 1 GB
    """
    read = read_yaml(find_scenario(scenario)).validate(ScenarioFile)
    (process,) = read.processes
    data, *others = process.regions
    work = process.workload
    assert work is not None and work.accesses is not None
    regions = [data.model_copy(update={"size": round(data.size * size)}), *others]
    changed = {"regions": regions, "workload": work.model_copy(update={"accesses": work.accesses * size})}
    return build_machine(read.model_copy(update={"processes": [process.model_copy(update=changed)]}))


def total(machine: Machine, counters: PageCounters | None = None) -> Run:
    """Let the benchmark run to its end.

    :param counters: to begin with it; None: those of the machine's scenario, if it has any
    """
    (workload,) = machine.workloads
    if counters is not None:
        counters.start(machine)
    else:
        counters = next((actor for actor in machine.actors if isinstance(actor, PageCounters)), None)
    while workload.running:
        machine.timeline.advance_to(machine.timeline.now_ns + _STEP_NS)
        workload.catch_up()
    assert workload.finished_ns is not None
    now = machine.workings()
    return Run(
        workload.finished_ns / 1e9,
        now.workloads[0].local,
        sum(now.moving.pages.values()) * machine.page_bytes,
        counters.moving_ns / 1e9 if counters else 0.0,
        counters.deciding_ns / 1e9 if counters else 0.0,
        now.lock,
    )


def moving(scenario: str, size: float = 1.0, costs: RemapCosts | None = None) -> Moving:
    """750 MB (times ``size``) of pages that are used from afar, chosen by chance, pulled node by node."""
    machine = golden_machine(scenario, size)
    if costs is not None:
        machine.remapping.settings = RemapSettings(costs=costs)
    process, (workload,) = machine.processes[PID], machine.workloads
    region = process.regions[0]
    every = np.arange(region.pages)
    _, thread, _ = workload.touch_parts(region.backing, every)
    home = workload.thread_nodes[thread]
    far = np.flatnonzero(region.backing.node != home)
    order = np.argsort(draws(machine.seed, _CHOICE_STREAM, far), kind="stable")
    chosen = np.sort(far[order][: round(MOVED_PAGES * size)])
    began_ns = machine.timeline.now_ns
    for node in machine.nodes:
        mine = chosen[home[chosen] == node]
        addresses = np.uint64(region.start) + mine.astype(np.uint64) * np.uint64(machine.page_bytes)
        victims = Victims(addresses, np.full(len(mine), node, np.int32))
        status = np.full(len(mine), UNWRITTEN, np.int32)
        failed = machine.timeline.run(machine.timeline.process(remap(machine, process, victims, status)))
        assert failed == 0 and (status == node).all()
    seconds = (machine.timeline.now_ns - began_ns) / 1e9
    now = machine.workings()
    return Moving(len(chosen), seconds, {phase: ns / 1e9 for phase, ns in now.moving.phases_ns.items()}, now.lock)


def report() -> list[Figure]:
    """Every reported figure."""
    by_hand, anywhere, free, built = (total(golden_machine(case)) for case in (BY_HAND, HOLD, FREE, BUILT))
    sound = total(golden_machine(), PageCounters(replace(CounterSettings(), missed=0.0)))
    hold, rescan = moving(HOLD), moving(RESCAN)
    return [
        Figure("placed by hand, all local", BY_HAND_S, BY_HAND_S, by_hand.total_s, "s", True),
        Figure("placed by chance, no migration", RANDOM_S, RANDOM_S, anywhere.total_s, "s", True),
        Figure("migration at zero cost", FREE_S, FREE_S, free.total_s, "s", True),
        Figure("migration as built", BUILT_S, BUILT_S, built.total_s, "s", True),
        Figure("of it deciding", 1, 2, built.deciding_s, "s", True),
        Figure("of it lost to faulty counters", 10, 10, built.total_s - sound.total_s, "s", False),
        Figure("of it moving", 2, 3, built.moving_s, "s", False),
        Figure("moved as built", 750, 750, built.moved_bytes / 1e6, "MB", False),
        Figure("local at the end, zero cost", 0.95, 1, free.local, "1", False),
        Figure("750 MB, lock held", 2, 3, hold.seconds, "s", False),
        Figure("750 MB, lock released, re-scanned", 10, 12, rescan.seconds, "s", False),
        Figure("slower by re-scanning", 4, 5, rescan.seconds / hold.seconds, "times", False),
    ]


def predictions() -> dict[str, dict[str, float]]:
    """What nobody measured: half and double the size, and what hangs on the cost of looking at an entry."""
    told: dict[str, dict[str, float]] = {}
    for size in (0.5, 1.0, 2.0):
        hold, rescan = moving(HOLD, size), moving(RESCAN, size)
        told[f"size {size:g}"] = {
            "by_hand_s": total(golden_machine(BY_HAND, size)).total_s,
            "by_chance_s": total(golden_machine(size=size)).total_s,
            "zero_cost_s": total(golden_machine(FREE, size)).total_s,
            "built_s": total(golden_machine(BUILT, size)).total_s,
            "built_rescan_s": total(golden_machine(RESCAN, size), PageCounters()).total_s,
            "hold_moving_s": hold.seconds,
            "rescan_moving_s": rescan.seconds,
            "slower": rescan.seconds / hold.seconds,
        }
    for cycles in (6.0, 7.0):
        costs = RemapCosts(entry_cycles=cycles)
        hold, rescan = moving(HOLD, costs=costs), moving(RESCAN, costs=costs)
        told[f"{cycles:g} cycles an entry"] = {
            "hold_moving_s": hold.seconds,
            "rescan_moving_s": rescan.seconds,
            "slower": rescan.seconds / hold.seconds,
        }
    return told


def fit() -> dict[str, float]:
    """The constants that are fitted, from the figures that they are fitted to."""
    accesses = (RANDOM_S - BY_HAND_S) * 1e9 / (_RANDOM_NS - _LOCAL_NS)
    compute_ns = BY_HAND_S * 1e9 / accesses - _LOCAL_NS

    def free(sample: float) -> float:
        counters = PageCounters(replace(CounterSettings(), accesses_per_sample=sample), free=True)
        return total(golden_machine(), counters).total_s

    sample = _where(free, FREE_S, 2_000.0, 20_000.0)

    def built(missed: float) -> Run:
        settings = replace(CounterSettings(), accesses_per_sample=sample, missed=missed, decide_ns=0.0)
        run = total(golden_machine(), PageCounters(settings))
        return replace(run, total_s=run.total_s + _DECIDING_S)  # that comes on top, whoever it is for

    missed = _where(lambda part: built(part).total_s, BUILT_S, 0.0, 0.95)
    decide_ns = _DECIDING_S * 1e9 / (built(missed).moved_bytes / 16384)
    return {
        "accesses": accesses,
        "compute_ns": compute_ns,
        "accesses_per_sample": sample,
        "missed": missed,
        "decide_ns": decide_ns,
    }


_DECIDING_S = 1.5


def _where(rising: Callable[[float], float], wanted: float, low: float, high: float) -> float:
    """Where a rising function has a value; by halving."""
    while high - low > 1e-3 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < wanted else (low, middle)
    return (low + high) / 2


def _print(figures: Sequence[Figure]) -> None:
    print(f"{'':36}{'reported':>12}{'simulated':>12}{'off by':>9}")
    for each in figures:
        reported = f"{each.low:g}" if each.low == each.high else f"{each.low:g}-{each.high:g}"
        fitted = "  fitted" if each.fitted else ""
        print(f"{each.name:36}{reported:>12}{each.model:>12.2f}{each.residual:>+9.1%}  {each.unit}{fitted}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print figures, predictions and locks; or the fit."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.golden_2004", description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="?", choices=["report", "fit"], default="report")
    parser.add_argument("--json", action="store_true", help="for programs")
    chosen = parser.parse_args(arguments)
    if chosen.what == "fit":
        constants = fit()
        print(json.dumps(constants) if chosen.json else "\n".join(f"{k:24}{v:>16.6g}" for k, v in constants.items()))
        return 0
    figures, others = report(), predictions()
    locks = {name: moving(name) for name in (HOLD, RESCAN)}
    if chosen.json:
        rows = [asdict(each) | {"residual": each.residual} for each in figures]
        told = {"figures": rows, "predictions": others, "moving": {k: asdict(v) for k, v in locks.items()}}
        print(json.dumps(told))
        return 0
    _print(figures)
    for name, values in others.items():
        print(f"\n{name}: " + ", ".join(f"{key} {value:.2f}" for key, value in values.items()))
    for name, it in locks.items():
        lock = it.lock
        print(f"\n{name}: {it.pages:,} pages in {it.seconds:.2f} s")
        print("  phases  " + ", ".join(f"{phase} {spent:.3f} s" for phase, spent in it.phases_s.items()))
        print(
            f"  lock    {lock.holds:,} holds, longest {lock.longest_hold_ns / 1e6:.3f} ms; {lock.waits:,} waits,"
            f" {lock.waited_ns / 1e9:.3f} s in all, longest {lock.longest_wait_ns / 1e6:.3f} ms"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
