"""What a scenario may say of today's actors: NUMA balancing, demotion, and another program that moves pages."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from numamig.backends.simulator.actors.balancing import Balancing
from numamig.backends.simulator.actors.demotion import Demotion
from numamig.backends.simulator.actors.scanrate import ScanSettings
from numamig.backends.simulator.actors.second_tool import Naming, SecondTool
from numamig.backends.simulator.kernels import Locking
from numamig.backends.simulator.scenario.actors import ActorEntry
from numamig.backends.simulator.scenario.fields import Count, Fault, Nanoseconds, NodeId, SomeBytes, SomeTime
from numamig.backends.simulator.scenario.remapping import only_in_2004

if TYPE_CHECKING:
    from numamig.backends.simulator.scenario.schema import ScenarioFile

__all__ = ["BalancingEntry", "DemotionEntry", "SecondToolEntry"]

_SCAN = ScanSettings()


class BalancingEntry(ActorEntry):
    """kernel.numa_balancing=1: pages are marked, and come to whoever touches them."""

    kind: Literal["balancing"] = "balancing"
    scan_size: SomeBytes = _SCAN.size_bytes
    """Marked at a time."""
    scan_delay: SomeTime = float(_SCAN.delay_ns)
    """Before a process is scanned for the first time."""
    scan_period_min: SomeTime = float(_SCAN.period_min_ns)
    """Between two scans of a process that is not larger than ``scan_size``."""
    scan_period_max: SomeTime = float(_SCAN.period_max_ns)

    def actor(self) -> Balancing:
        return Balancing(
            ScanSettings(
                delay_ns=round(self.scan_delay),
                period_min_ns=round(self.scan_period_min),
                period_max_ns=round(self.scan_period_max),
                size_bytes=self.scan_size,
            )
        )

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        if self.scan_period_max < self.scan_period_min:
            yield Fault(("scan_period_max",), "is less than scan_period_min")
        yield from _not_in_2004(scenario, self.kind)


class DemotionEntry(ActorEntry):
    """demotion_enabled: the coldest pages of a node that runs short go to the next slower tier."""

    kind: Literal["demotion"] = "demotion"

    def actor(self) -> Demotion:
        return Demotion()

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        if len({node.tier for node in scenario.nodes if node.tier is not None}) < 2:
            yield Fault(("kind",), "demotion goes from tier to tier: give nodes of two tiers at least")
        yield from _not_in_2004(scenario, self.kind)


class SecondToolEntry(ActorEntry):
    """Another program that moves pages of a process, whoever else does."""

    kind: Literal["second-tool"] = "second-tool"
    pid: int
    to: NodeId
    source: Annotated[list[NodeId] | None, Field(alias="from")] = None
    """Nodes that it empties; left out: all others."""
    at: Nanoseconds = 0.0
    """When it begins."""
    every: SomeTime | None = None
    """And again each time so much later; left out: once."""
    pages: Count | None = None
    """That it moves each time, at most; left out: all."""
    call_pages: Count = 512
    """Pages in a call."""
    victims: Naming = Naming.LIST
    """How they are named: in lists, or, as only the kernels of 2004 take it, by range or all at once."""

    def actor(self) -> SecondTool:
        return SecondTool(
            self.pid,
            self.to,
            at_ns=round(self.at),
            every_ns=None if self.every is None else round(self.every),
            source=None if self.source is None else tuple(self.source),
            pages=self.pages,
            call_pages=self.call_pages,
            naming=self.victims,
        )

    def actor_from(self, now_ns: int) -> SecondTool | None:
        """What was due before is over, and not done again."""
        late_ns = now_ns - round(self.at)
        if late_ns <= 0:
            return self.model_copy(update={"at": -late_ns}).actor()
        if self.every is None:
            return None
        return self.model_copy(update={"at": -late_ns % max(1, round(self.every))}).actor()

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        if self.pid not in {process.pid for process in scenario.processes}:
            yield Fault(("pid",), f"there is no process with pid {self.pid}")
        nodes = {node.id for node in scenario.nodes}
        for key, named in (("to", [self.to]), ("from", self.source or [])):
            for node in named:
                if node not in nodes:
                    yield Fault((key,), f"there is no node {node}")
        if self.victims is not Naming.LIST:
            yield from only_in_2004(scenario.profile, ("victims",), f"victims: {self.victims}")
            for name, key in (("pages", "pages"), ("call_pages", "call_pages"), ("source", "from")):
                if name in self.model_fields_set:
                    yield Fault((key,), f"says nothing with victims: {self.victims}, which takes all that is there")


def _not_in_2004(scenario: ScenarioFile, what: str) -> Iterable[Fault]:
    if scenario.profile.locking is not Locking.PER_TABLE:
        yield Fault(("kind",), f"kernel {scenario.kernel} knows no {what}")
