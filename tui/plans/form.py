"""The plan dialog as values: which fields there are, what is chosen in them, and the requests that it comes to."""

from __future__ import annotations

from dataclasses import dataclass, replace

from numamig.migrate.destination import Interleave, Node
from numamig.migrate.order_mode import Heat, Order
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Mapped, Request, Retry, RetryMode
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.topology import Topology
from tui.plans.choice import Target, preset_node
from tui.plans.fields import DEFAULT_DEADLINE_NS, FIELDS, Field
from tui.plans.goals import HOME, Goal, Home, tier_weights

__all__ = ["ADVANCED", "USUAL", "Form", "first_form"]

USUAL = ("To", "From", "Batch", "Budget", "Rate", "Retry", "Shared")
ADVANCED = ("Critical", "Reserve", "Calls", "Threads", "Order", "Limit", "Mapped", "Heat")
"""Shown in the place of the others: a small terminal has no room for both."""


_RETRY, _ORDER = Retry(), Order()
_NOWHERE = Interleave(())


@dataclass(frozen=True, slots=True)
class Form:
    """A filled-in dialog. Every change gives another."""

    targets: tuple[Target, ...]
    nodes: tuple[int, ...]
    """That have memory."""
    presets: tuple[int, ...]
    """Of each target."""
    page_size: int
    to: Goal
    by_tier: Interleave = _NOWHERE
    """The weights that are offered."""
    swap: tuple[tuple[int, int], ...] = ()
    """The map that is offered."""
    tells_heat: bool = False
    """Whether the machine can tell what is touched."""
    sources: tuple[int, ...] | None = None
    """None: all others."""
    batch_pages: int = DEFAULT_BATCH_PAGES
    budget_ns: int | None = None
    rate: int | None = None
    retry: Retry = _RETRY
    deadline_ns: int = DEFAULT_DEADLINE_NS
    shared: bool = False
    critical: bool = False
    reserve_bytes: int | None = None
    most_calls: int | None = MOST_CALLS
    threads: int = 1
    order: Order = _ORDER
    most_pages: int | None = None
    mapped: Mapped = Mapped.ANY
    heat: Heat | None = None
    usual: tuple[str, ...] = USUAL
    advanced: bool = False
    """Whether those fields are shown that are seldom needed."""
    field: int = 0
    """Under the cursor."""

    @property
    def fields(self) -> tuple[str, ...]:
        """Those that are shown."""
        if self.advanced:
            return ADVANCED if self.tells_heat else ADVANCED[:-1]
        if self.retry.mode is not RetryMode.UNTIL or "Retry" not in self.usual:
            return self.usual
        at = self.usual.index("Retry") + 1
        return (*self.usual[:at], "Deadline", *self.usual[at:])

    @property
    def filled(self) -> tuple[int, ...]:
        """The node that all goes to; none where pages go to several."""
        return (self.to.node,) if isinstance(self.to, Node) else ()

    @property
    def advanced_set(self) -> int:
        """How many of the fields that are seldom needed are not as they were."""
        usual = Form((), (), (), self.page_size, HOME)
        return sum(FIELDS[name].value(self) != FIELDS[name].value(usual) for name in ADVANCED)

    @property
    def here(self) -> Field:
        """The field under the cursor."""
        return FIELDS[self.fields[self.field]]

    def turned(self) -> Form:
        """With the other fields."""
        return replace(self, advanced=not self.advanced, field=0)

    def with_field(self, way: int) -> Form:
        return replace(self, field=(self.field + way) % len(self.fields))

    def at(self, name: str) -> Form:
        """With the cursor on a field, which is shown then."""
        form = replace(self, advanced=name in ADVANCED)
        return replace(form, field=form.fields.index(name))

    def with_value(self, way: int) -> Form:
        """The next or previous value of the field under the cursor; the ends do not meet."""
        return self._with(self.here, self.here.stepped(self, way))

    def typed(self, text: str) -> Form:
        """What was typed into the field under the cursor.

        :raises UsageError: it does not parse.
        """
        return self._with(self.here, self.here.parse(self, text.strip()), typed=True)

    def with_target(self, node: int) -> Form:
        """To a node that exists."""
        return self._with(FIELDS["To"], Node(node)) if node in self.nodes else self

    def _with(self, which: Field, value: object, *, typed: bool = False) -> Form:
        changed: Form = replace(self, **{which.attribute: value})  # type: ignore[arg-type]
        if which.name == "Retry" and changed.retry.mode is RetryMode.UNTIL and (typed or changed.retry != self.retry):
            changed = replace(changed, retry=Retry(RetryMode.UNTIL), deadline_ns=changed.retry.deadline_ns)
        if which.name == "To" and changed.sources is not None and set(changed.sources) <= set(changed.filled):
            changed = replace(changed, sources=None)  # pages do not come from where they go
        return replace(changed, field=min(changed.field, len(changed.fields) - 1))

    def value(self, name: str) -> str:
        """As it is written in the dialog."""
        return FIELDS[name].text(self)

    def ends(self, name: str) -> tuple[bool, bool]:
        """Whether there are values before, and after."""
        which = FIELDS[name]
        before, after = (which.stepped(self, way) != which.value(self) for way in (-1, 1))
        return before, after

    def requests(self) -> tuple[Request, ...]:
        """One for each target."""
        until = self.retry.mode is RetryMode.UNTIL
        retry = replace(self.retry, deadline_ns=self.deadline_ns) if until else self.retry
        requests = []
        for target, preset in zip(self.targets, self.presets, strict=True):
            to = self.to if not isinstance(self.to, Home) else Node(preset)
            requests.append(
                Request(
                    pid=target.seen.process.pid,
                    to=to,
                    sources=self.sources,
                    kinds=target.only.kinds,
                    within=target.within,
                    paths=target.only.paths,
                    huge=target.only.huge,
                    mapped=self.mapped,
                    shared=self.shared,
                    batch_pages=self.batch_pages,
                    budget_ns=self.budget_ns,
                    rate=self.rate,
                    retry=retry,
                    most_calls=self.most_calls,
                    reserve_bytes=self.reserve_bytes,
                    critical=self.critical,
                    threads=self.threads,
                    order=self.order,
                    most_pages=self.most_pages,
                    heat=self.heat,
                )
            )
        return tuple(requests)


def first_form(targets: tuple[Target, ...], topology: Topology, *, tells_heat: bool = False) -> Form:
    """The dialog as it opens."""
    memory = topology.memory_nodes
    found = (preset_node(target.seen, topology, target.only.sources or ()) for target in targets)
    presets = tuple(node for node in found if node is not None)
    same = len(set(presets)) == 1
    only = targets[0].only
    return Form(
        targets=targets,
        nodes=memory,
        presets=presets,
        page_size=topology.page_size,
        to=Node(presets[0]) if same else HOME,
        by_tier=tier_weights(memory, _with_cpus(topology), presets[0] if same else None),
        swap=_swap(targets, presets[0], memory) if same else (),
        tells_heat=tells_heat,
        sources=only.sources,
        mapped=only.mapped,
    )


def _with_cpus(topology: Topology) -> tuple[int, ...]:
    return tuple(node.id for node in topology.nodes if node.cpus)


def _swap(targets: tuple[Target, ...], home: int, memory: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """The preset node and, of the others, the one that has most of the pages change places."""
    parts: dict[int, int] = {}
    for target in targets:
        if target.seen.placement is not None:
            for node, count in target.seen.placement.bytes_by_node.items():
                if node not in (UNKNOWN_NODE, home):
                    parts[node] = parts.get(node, 0) + count
    other = max(parts, key=lambda node: parts[node], default=None)
    if other is None:
        other = next((node for node in memory if node != home), None)
    return () if other is None else tuple(sorted(((home, other), (other, home))))
