"""What a scenario may say of the kernels of 2004: how their moving call is set, and the actor that went with it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from numamig.backends.simulator.kernels import KernelProfile, Locking, Retry
from numamig.backends.simulator.page_counters import CounterSettings, PageCounters
from numamig.backends.simulator.remap_settings import Executor, RemapSettings, RetryPlan
from numamig.backends.simulator.scenario.actors import ActorEntry
from numamig.backends.simulator.scenario.fields import Count, Fault, Nanoseconds, Share, Strict, Switch

if TYPE_CHECKING:
    from numamig.backends.simulator.scenario.schema import ScenarioFile

__all__ = ["PageCountersEntry", "RemapEntry", "RetryEntry", "only_in_2004", "remap_faults"]

_PLAN, _COUNTERS = RetryPlan(), CounterSettings()


class RetryEntry(Strict):
    """What the moving call does about a page that is busy."""

    mode: Retry = _PLAN.mode
    """never: skip it; bounded: a few attempts; until: up to the deadline."""
    attempts: Count = _PLAN.attempts
    """In all, where they are bounded."""
    pause: Nanoseconds = float(_PLAN.pause_ns)
    """Between two attempts."""
    deadline: Nanoseconds = float(_PLAN.deadline_ns)
    """How long one page is tried at most, for until."""
    second_pass: Nanoseconds | None = float(_PLAN.second_pass_ns or 0)
    """After so long, what did not move is tried once more; null: it is not."""

    def plan(self) -> RetryPlan:
        second = None if self.second_pass is None else round(self.second_pass)
        return RetryPlan(self.mode, self.attempts, round(self.pause), round(self.deadline), second)


class RemapEntry(Strict):
    """How the moving call of the kernels of 2004 is set."""

    executor: Executor = Executor.PULL
    """pull: a CPU of the receiving node moves; push: one of the node that gives."""
    retry: RetryEntry = RetryEntry()

    def settings(self) -> RemapSettings:
        return RemapSettings(self.executor, self.retry.plan())


class PageCountersEntry(ActorEntry):
    """Counters of the hardware that find pages used from afar, which are pulled there."""

    kind: Literal["page-counters"] = "page-counters"
    accesses_per_sample: Annotated[float, Field(gt=0, allow_inf_nan=False)] = _COUNTERS.accesses_per_sample
    """One access from afar in so many is caught."""
    missed: Share = _COUNTERS.missed
    """Part of these that faulty counters lose."""
    decide: Nanoseconds = _COUNTERS.decide_ns
    """Of a CPU's time, for each page that is caught."""
    interval: Annotated[Nanoseconds, Field(ge=1e6)] = float(_COUNTERS.interval_ns)
    """Between two looks."""
    free: Switch = False
    """Deciding and moving take no time, and nothing is lost: what could be had at best."""

    def actor(self) -> PageCounters:
        settings = CounterSettings(self.accesses_per_sample, self.missed, self.decide, round(self.interval))
        return PageCounters(settings, free=self.free)

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        return only_in_2004(scenario.profile, ("kind",), "page-counters")


def remap_faults(entry: RemapEntry | None, kernel: KernelProfile) -> Iterator[Fault]:
    """Where it is set for a kernel that has no such call."""
    if entry is not None:
        yield from only_in_2004(kernel, ("remap",), "remap")


def only_in_2004(kernel: KernelProfile, location: tuple[str, ...], what: str) -> Iterator[Fault]:
    """Where a scenario for another kernel says it."""
    if kernel.locking is Locking.PER_TABLE:
        yield Fault(location, f"kernel {kernel.name} moves pages in batches: {what} is for the kernels of 2004")
