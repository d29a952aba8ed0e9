"""The census: who is there, and on which nodes each has its memory, kept fresh within a share of one CPU.

There are two kinds of work: to list all processes, and to look at the placement of one. Each takes half of the budget:
what took long comes due later. Rows in view get their turn sooner than others. Only the first round over all processes
takes what it needs, and shows what it has found after each.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from numamig.backends.base import Backend
from numamig.errors import RefusedError, TargetGone
from numamig.model.process import Process
from numamig.model.topology import Topology
from numamig.observe.placement import Placement, placement_of_process

__all__ = ["Census", "CensusTaker", "Identity", "ProcessSeen", "Standing"]

Identity = tuple[int, int]
"""Pid and start time."""

DEFAULT_BUDGET: Final = 0.02
_LIST_AGAIN_NS: Final = 10**9
_PLACE_AGAIN_NS: Final = 5 * 10**6
_KEEP_GONE_NS: Final = 10 * 10**9
_HOME_NS: Final = 10 * 10**9
_IN_VIEW: Final = 4.0
"""How many times more often a row in view is looked at."""


class Standing(StrEnum):
    """How it stands with a process that is looked at."""

    HERE = "here"
    LOCKED = "locked"
    """The caller may not look."""
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """A row of the process table."""

    process: Process
    home: tuple[int, ...]
    """Nodes that its threads ran on lately; empty where it runs everywhere, or that is not known."""
    runs_everywhere: bool
    placement: Placement | None
    """None until it was looked at; it says whether it is estimated, and with what error."""
    standing: Standing = Standing.HERE
    placed_ns: int = field(default=0, compare=False)
    """When the placement was seen, on the clock of the census."""

    @property
    def identity(self) -> Identity:
        return self.process.identity

    @property
    def remote_bytes(self) -> int | None:
        return None if self.placement is None else self.placement.remote_bytes(self.home)


@dataclass(frozen=True, slots=True)
class Census:
    """All processes, ascending by pid."""

    rows: tuple[ProcessSeen, ...]
    taken_s: float
    complete: bool
    """Every process has been looked at once."""

    def find(self, identity: Identity | None) -> ProcessSeen | None:
        return next((row for row in self.rows if row.identity == identity), None)


class CensusTaker:
    """Takes the census, one small look at a time. One thread looks; any thread reads ``latest``.

    :param now_ns: the clock by which looks come due
    :param spent_ns: CPU time of the thread that looks
    :param budget: share of one CPU
    """

    def __init__(
        self,
        backend: Backend,
        now_ns: Callable[[], int],
        spent_ns: Callable[[], int],
        *,
        budget: float = DEFAULT_BUDGET,
    ) -> None:
        self.backend = backend
        self.latest: Census | None = None
        self._now_ns = now_ns
        self._spent_ns = spent_ns
        self._share = budget / 2
        self._list_due = self._place_due = 0
        self._processes: dict[Identity, Process] = {}
        self._placements: dict[Identity, tuple[Placement, int]] = {}
        self._locked: set[Identity] = set()
        self._gone: dict[Identity, int] = {}
        self._asked: dict[Identity, int] = {}
        self._ran_on: dict[Identity, dict[int, int]] = {}
        self._rows: dict[Identity, ProcessSeen] = {}
        """As they were published, ascending by pid."""
        self._topology: Topology | None = None

    def due_ns(self) -> int:
        """When ``look`` has something to do."""
        return min(self._list_due, self._place_due) if self._processes else self._list_due

    def look(self, topology: Topology, in_view: Collection[Identity] = (), keep: Identity | None = None) -> None:
        """What is due most: list all processes, or look at one.

        :param in_view: rows that the operator sees
        :param keep: stays in the census for as long as it is the one, also when it has ended
        """
        self._topology = topology
        listing = not self._processes or self._list_due <= self._place_due
        began = self._spent_ns()
        try:
            if listing:
                self._list(keep)
            else:
                self._look_at_one(in_view)
        finally:
            wait = round((self._spent_ns() - began) / self._share)
            now = self._now_ns()
            if listing:
                self._list_due = now + max(_LIST_AGAIN_NS, wait)
            elif self.latest is None or self.latest.complete:
                # Where there is nobody left to look at, a look costs nothing.
                self._place_due = now + max(_PLACE_AGAIN_NS, wait)
            else:
                self._place_due = now

    def hurry(self) -> None:
        """All are listed and looked at anew, as in the first round."""
        self._list_due = self._place_due = 0
        self._asked.clear()

    def adopt(self, identity: Identity, placement: Placement) -> None:
        """Somebody else counted this process: its row need not wait for its turn."""
        if identity in self._processes:
            self._asked[identity] = now = self._now_ns()
            changed = self._placement(identity) != placement
            self._placements[identity] = placement, now
            if changed:
                self._publish(identity)

    def _placement(self, identity: Identity) -> Placement | None:
        found = self._placements.get(identity)
        return None if found is None else found[0]

    def _list(self, keep: Identity | None) -> None:
        present = {p.identity: p for p in self.backend.processes() if not p.kernel_thread and not p.zombie}
        now = self._now_ns()
        for identity in self._processes.keys() - present.keys():
            self._gone.setdefault(identity, now)
        for identity in [i for i, since in self._gone.items() if now - since > _KEEP_GONE_NS and i != keep]:
            for kept in (self._gone, self._processes, self._placements, self._asked, self._ran_on):
                kept.pop(identity, None)
            self._locked.discard(identity)
        for identity in present:
            self._gone.pop(identity, None)
        self._processes.update(present)
        for identity, process in present.items():
            ran = self._ran_on.setdefault(identity, {})
            ran.update(dict.fromkeys(process.cpu_nodes, now))
            self._ran_on[identity] = {node: at for node, at in ran.items() if now - at <= _HOME_NS}
        self._rows.clear()
        self._publish(*sorted(self._processes))

    def _look_at_one(self, in_view: Collection[Identity]) -> None:
        """Never asked before asked long ago, in view before out of view."""
        here = [identity for identity in self._processes if identity not in self._gone]
        if not here:
            return
        now, seen = self._now_ns(), set(in_view)

        def urgency(identity: Identity) -> tuple[bool, float, int]:
            asked = self._asked.get(identity)
            weight = _IN_VIEW if identity in seen else 1.0
            waited = weight - 1.0 if asked is None else (now - asked) * weight
            return asked is None, waited, self._processes[identity].resident_bytes

        identity = max(here, key=urgency)
        before = self._state(identity)
        page_size = self._topology.page_size if self._topology is not None else 4096
        try:
            placement = placement_of_process(self.backend, self._processes[identity], page_size)
            self._placements[identity] = placement, self._now_ns()
            self._locked.discard(identity)
        except RefusedError:
            self._locked.add(identity)
        except TargetGone:
            self._gone.setdefault(identity, now)
        finally:
            self._asked[identity] = self._now_ns()
        if before != self._state(identity):
            self._publish(identity)

    def _state(self, identity: Identity) -> tuple[object, ...]:
        return (
            self._placement(identity),
            identity in self._locked,
            identity in self._gone,
            identity in self._asked,
        )

    def _publish(self, *changed: Identity) -> None:
        """A new census; rows of others stay the same objects, so that one look costs the same beside any number."""
        with_cpus = {n.id for n in self._topology.nodes if n.cpus} if self._topology is not None else set()
        for identity in changed:
            self._rows[identity] = self._row(identity, with_cpus)
        complete = bool(self._rows) and not self._rows.keys() - self._asked.keys() - self._gone.keys()
        self.latest = Census(tuple(self._rows.values()), self._now_ns() / 1e9, complete)

    def _row(self, identity: Identity, with_cpus: AbstractSet[int]) -> ProcessSeen:
        ran = self._ran_on.get(identity, {}).keys()
        everywhere = len(with_cpus) > 1 and ran >= with_cpus
        standing = Standing.LOCKED if identity in self._locked else Standing.HERE
        placement, placed_ns = self._placements.get(identity, (None, 0))
        return ProcessSeen(
            process=self._processes[identity],
            home=() if everywhere else tuple(sorted(ran)),
            runs_everywhere=everywhere,
            placement=placement,
            standing=Standing.GONE if identity in self._gone else standing,
            placed_ns=placed_ns,
        )
