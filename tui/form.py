"""The plan dialog's fields as values: what can be chosen, what is chosen, and the requests that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from numamig.migrate.destination import Node
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Request, Retry, RetryMode
from numamig.model.nodeset import format_nodeset
from numamig.model.topology import Topology
from tui.choice import Target, preset_node
from tui.present import duration_text, retry_text, short_size
from tui.ramps import digit

T = TypeVar("T")

__all__ = [
    "ADVANCED",
    "BATCHES",
    "BUDGETS",
    "FIELDS",
    "HOME",
    "RATES",
    "Form",
    "beside",
    "budget_text",
    "first_form",
    "rate_text",
]

FIELDS = ("To", "From", "Batch", "Budget", "Rate", "Retry", "Shared")
ADVANCED = ("Critical", "Reserve", "Calls", "Threads")
"""Shown in the place of the others: a small terminal has no room for both."""
HOME = -1
"""As a target: each process's own home."""
BATCHES = tuple(1 << power for power in range(6, 17))
BUDGETS: tuple[int | None, ...] = (*(times * 100_000 for times in (5, 10, 20, 50, 100, 200, 500, 1000)), None)
"""Of a call, in ns; None: none is wanted."""
RATES: tuple[int | None, ...] = (*(1 << power for power in range(18, 33)), None)
"""Bytes per second; None: no limit."""
DEFAULT_RETRY = Retry()
RETRIES = (
    Retry(RetryMode.NEVER),
    *(Retry(RetryMode.BOUNDED, passes) for passes in (2, 3, 5)),
    Retry(RetryMode.UNTIL),
)
DEADLINES = tuple(seconds * 10**9 for seconds in (5, 10, 30, 60, 120, 300, 600, 1800, 3600))
"""Of a retry until, in ns."""
RESERVES: tuple[int | None, ...] = (None, 0, *(1 << power for power in range(26, 35)))
"""Bytes to leave free on the target; None: its watermark and a part of it."""
CALLS: tuple[int | None, ...] = (10, 20, 50, 100, MOST_CALLS, 500, 1000, None)
"""Per second, at most; None: no limit."""
THREADS = (1, 2, 4, 8, 16)


@dataclass(frozen=True, slots=True)
class Form:
    """A filled-in dialog. Every change gives another."""

    targets: tuple[Target, ...]
    nodes: tuple[int, ...]
    """That have memory."""
    presets: tuple[int, ...]
    """Of each target."""
    page_size: int
    to: int
    source: int | None = None
    """None: all others."""
    batch_pages: int = DEFAULT_BATCH_PAGES
    budget_ns: int | None = None
    rate: int | None = None
    retry: Retry = DEFAULT_RETRY
    deadline_ns: int = DEFAULT_RETRY.deadline_ns
    shared: bool = False
    critical: bool = False
    reserve_bytes: int | None = None
    most_calls: int | None = MOST_CALLS
    threads: int = 1
    advanced: bool = False
    """Whether those fields are shown that are seldom needed."""
    field: int = 0
    """Under the cursor."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Those that are shown."""
        if self.advanced:
            return ADVANCED
        if self.retry.mode is not RetryMode.UNTIL:
            return FIELDS
        return (*FIELDS[:-1], "Deadline", FIELDS[-1])

    @property
    def advanced_set(self) -> int:
        """How many of the fields that are seldom needed are not as they were."""
        values = self.critical, self.reserve_bytes, self.most_calls, self.threads
        return sum(value != default for value, default in zip(values, (False, None, MOST_CALLS, 1), strict=True))

    def turned(self) -> Form:
        """With the other fields."""
        return replace(self, advanced=not self.advanced, field=0)

    def with_field(self, way: int) -> Form:
        return replace(self, field=(self.field + way) % len(self.fields))

    def with_value(self, way: int) -> Form:
        """The next or previous value of the field under the cursor; the ends do not meet."""
        return self._stepped(self.fields[self.field], way)

    def _stepped(self, name: str, way: int) -> Form:
        match name:
            case "To":
                return self.with_target(_next(self._targets, self.to, way))
            case "From":
                return replace(self, source=_next(self._sources, self.source, way))
            case "Batch":
                return replace(self, batch_pages=_next(BATCHES, self.batch_pages, way))
            case "Budget":
                return replace(self, budget_ns=_next(BUDGETS, self.budget_ns, way))
            case "Rate":
                return replace(self, rate=_next(RATES, self.rate, way))
            case "Retry":
                return replace(self, retry=_next(RETRIES, self.retry, way))
            case "Deadline":
                return replace(self, deadline_ns=_next(DEADLINES, self.deadline_ns, way))
            case "Critical":
                return replace(self, critical=_next((False, True), self.critical, way))
            case "Reserve":
                return replace(self, reserve_bytes=_next(RESERVES, self.reserve_bytes, way))
            case "Calls":
                return replace(self, most_calls=_next(CALLS, self.most_calls, way))
            case "Threads":
                return replace(self, threads=_next(THREADS, self.threads, way))
        return replace(self, shared=_next((False, True), self.shared, way))

    def with_target(self, node: int) -> Form:
        """A target that exists; pages do not come from where they go."""
        if node not in self._targets:
            return self
        return replace(self, to=node, source=None if self.source == node else self.source)

    @property
    def _targets(self) -> tuple[int, ...]:
        return (HOME, *self.nodes) if len(self.targets) > 1 else self.nodes

    @property
    def _sources(self) -> tuple[int | None, ...]:
        return (None, *(node for node in self._meant_nodes or self.nodes if node != self.to))

    @property
    def _meant_nodes(self) -> tuple[int, ...]:
        """Where the pages are that are meant; empty where that is not said."""
        return self.targets[0].only.sources or () if len(self.targets) == 1 else ()

    def value(self, name: str) -> str:
        """As it is written in the dialog."""
        match name:
            case "To":
                return "home of each" if self.to == HOME else f"node {digit(self.to)}"
            case "From":
                if self.source is None and self._meant_nodes:
                    return f"node {format_nodeset(self._meant_nodes)}"
                return "all others" if self.source is None else f"node {digit(self.source)}"
            case "Batch":
                return f"{self.batch_pages} pages = {short_size(self.batch_pages * self.page_size)}"
            case "Budget":
                return budget_text(self.budget_ns)
            case "Rate":
                return rate_text(self.rate)
            case "Retry":
                return "until none is busy" if self.retry.mode is RetryMode.UNTIL else retry_text(self.retry)
            case "Deadline":
                return f"{duration_text(self.deadline_ns)} after its first step"
            case "Critical":
                return "also init, own shells, real-time, guests" if self.critical else "leave such processes alone"
            case "Reserve":
                return reserve_text(self.reserve_bytes)
            case "Calls":
                return "no limit" if self.most_calls is None else f"{self.most_calls} a second at most"
            case "Threads":
                return f"{self.threads} calls at the same time" if self.threads > 1 else "one call at a time"
        return "move, with all who map them" if self.shared else "leave"

    def ends(self, name: str) -> tuple[bool, bool]:
        """Whether there are values before, and after."""
        before, after = self._stepped(name, -1), self._stepped(name, 1)
        return before.value(name) != self.value(name), after.value(name) != self.value(name)

    def requests(self) -> tuple[Request, ...]:
        """One for each target; what it is asked to come from is never where it goes."""
        until = self.retry.mode is RetryMode.UNTIL
        retry = replace(self.retry, deadline_ns=self.deadline_ns) if until else self.retry
        requests = []
        for target, preset in zip(self.targets, self.presets, strict=True):
            to = preset if self.to == HOME else self.to
            requests.append(
                Request(
                    pid=target.seen.process.pid,
                    to=Node(to),
                    sources=target.only.sources if self.source is None or self.source == to else (self.source,),
                    kinds=target.only.kinds,
                    within=target.within,
                    paths=target.only.paths,
                    huge=target.only.huge,
                    mapped=target.only.mapped,
                    shared=self.shared,
                    batch_pages=self.batch_pages,
                    budget_ns=self.budget_ns,
                    rate=self.rate,
                    retry=retry,
                    most_calls=self.most_calls,
                    reserve_bytes=self.reserve_bytes,
                    critical=self.critical,
                    threads=self.threads,
                )
            )
        return tuple(requests)


def _next(values: Sequence[T], value: T, way: int) -> T:
    at = values.index(value) + way
    return values[max(0, min(len(values) - 1, at))]


def beside(values: Sequence[int | None], value: int | None, way: int) -> int | None:
    """The next larger or smaller of some values, also from one that is not among them; None is beyond all others."""

    def order(each: int | None) -> float:
        return float("inf") if each is None else each

    found = [each for each in values if (order(each) > order(value) if way > 0 else order(each) < order(value))]
    return (found[0] if way > 0 else found[-1]) if found else value


def budget_text(budget_ns: int | None) -> str:
    """``5.0 ms a call``."""
    return "none" if budget_ns is None else f"{duration_text(budget_ns)} a call"


def rate_text(rate: int | None) -> str:
    """``64M/s``."""
    return "no limit" if rate is None else f"{short_size(rate)}/s at most"


def reserve_text(reserve_bytes: int | None) -> str:
    """``256M free on the target``."""
    if reserve_bytes is None:
        return "its high watermark, and 5% or 256M"
    return f"{short_size(reserve_bytes)} free on the target" if reserve_bytes else "nothing: fill the target"


def first_form(targets: tuple[Target, ...], topology: Topology) -> Form:
    """The dialog as it opens."""
    memory = topology.memory_nodes
    found = (preset_node(target.seen, topology, target.only.sources or ()) for target in targets)
    presets = tuple(node for node in found if node is not None)
    same = len(set(presets)) == 1
    return Form(
        targets=targets, nodes=memory, presets=presets, page_size=topology.page_size, to=presets[0] if same else HOME
    )
