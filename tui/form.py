"""The plan dialog's fields as values: what can be chosen, what is chosen, and the requests that it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from numamig.migrate.request import DEFAULT_BATCH_PAGES, Request, Retry, RetryMode
from numamig.model.topology import Topology
from tui.choice import Target, preset_node
from tui.present import duration_text, retry_text, short_size
from tui.ramps import digit

T = TypeVar("T")

__all__ = ["BATCHES", "BUDGETS", "FIELDS", "HOME", "RATES", "Form", "beside", "budget_text", "first_form", "rate_text"]

FIELDS = ("To", "From", "Batch", "Budget", "Rate", "Retry", "Shared")
HOME = -1
"""As a target: each process's own home."""
BATCHES = tuple(1 << power for power in range(6, 17))
BUDGETS: tuple[int | None, ...] = (*(times * 100_000 for times in (5, 10, 20, 50, 100, 200, 500, 1000)), None)
"""Of a call, in ns; None: none is wanted."""
RATES: tuple[int | None, ...] = (*(1 << power for power in range(23, 33)), None)
"""Bytes per second; None: no limit."""
DEFAULT_RETRY = Retry()
RETRIES = (Retry(RetryMode.NEVER), *(Retry(RetryMode.BOUNDED, passes) for passes in (2, 3, 5)))


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
    shared: bool = False
    field: int = 0
    """Under the cursor."""

    def with_field(self, way: int) -> Form:
        return replace(self, field=(self.field + way) % len(FIELDS))

    def with_value(self, way: int) -> Form:
        """The next or previous value of the field under the cursor; the ends do not meet."""
        if self.field == 0:
            return self.with_target(_next(self._targets, self.to, way))
        if self.field == 1:
            return replace(self, source=_next(self._sources, self.source, way))
        if self.field == 2:
            return replace(self, batch_pages=_next(BATCHES, self.batch_pages, way))
        if self.field == 3:
            return replace(self, budget_ns=_next(BUDGETS, self.budget_ns, way))
        if self.field == 4:
            return replace(self, rate=_next(RATES, self.rate, way))
        if self.field == 5:
            return replace(self, retry=_next(RETRIES, self.retry, way))
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
        return (None, *(node for node in self.nodes if node != self.to))

    def value(self, field: int) -> str:
        """As it is written in the dialog."""
        if field == 0:
            return "home of each" if self.to == HOME else f"node {digit(self.to)}"
        if field == 1:
            return "all others" if self.source is None else f"node {digit(self.source)}"
        if field == 2:
            return f"{self.batch_pages} pages = {short_size(self.batch_pages * self.page_size)}"
        if field == 3:
            return budget_text(self.budget_ns)
        if field == 4:
            return rate_text(self.rate)
        if field == 5:
            return retry_text(self.retry)
        return "move, with all who map them" if self.shared else "leave"

    def ends(self, field: int) -> tuple[bool, bool]:
        """Whether there are values before, and after."""
        before, after = replace(self, field=field).with_value(-1), replace(self, field=field).with_value(1)
        return before.value(field) != self.value(field), after.value(field) != self.value(field)

    def requests(self) -> tuple[Request, ...]:
        """One for each target; what it is asked to come from is never where it goes."""
        requests = []
        for target, preset in zip(self.targets, self.presets, strict=True):
            to = preset if self.to == HOME else self.to
            requests.append(
                Request(
                    pid=target.seen.process.pid,
                    target=to,
                    sources=None if self.source is None or self.source == to else (self.source,),
                    within=target.within,
                    shared=self.shared,
                    batch_pages=self.batch_pages,
                    budget_ns=self.budget_ns,
                    rate=self.rate,
                    retry=self.retry,
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


def first_form(targets: tuple[Target, ...], topology: Topology) -> Form:
    """The dialog as it opens."""
    memory = topology.memory_nodes
    presets = tuple(node for node in (preset_node(target.seen, topology) for target in targets) if node is not None)
    same = len(set(presets)) == 1
    return Form(
        targets=targets, nodes=memory, presets=presets, page_size=topology.page_size, to=presets[0] if same else HOME
    )
