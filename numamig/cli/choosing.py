"""Which pages of a process, and where to: the options of ``numamig move``, and what they make of a request."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import click

from numamig.errors import UsageError
from numamig.migrate.order_mode import Heat, Order, OrderMode
from numamig.migrate.ranges import joined
from numamig.migrate.request import Mapped, Request
from numamig.model.nodeset import parse_nodeset
from numamig.model.process import RegionKind
from numamig.units import parse_address, parse_share, parse_size

if TYPE_CHECKING:
    from numamig.migrate.destination import Destination

__all__ = ["Choosing", "choosing_options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])
_WHERE = "where to is missing"
_WHERE_HINT = (
    "--to 1, --interleave 1,2, --weights 1:3,2:1, --map 0:2,1:3, --follow-cpus, or as of migratepages, PID FROM TO"
)


@dataclass(frozen=True, slots=True)
class Choosing:
    """The options as they were typed; None where nothing was said."""

    from_nodes: str | None = None
    to_nodes: str | None = None
    source: str | None = None
    target: str | None = None
    interleave: str | None = None
    weights: str | None = None
    node_map: str | None = None
    follow_cpus: bool = False
    addresses: tuple[str, ...] = ()
    kind: str | None = None
    path: tuple[str, ...] = ()
    at_least: str | None = None
    at_most: str | None = None
    huge: bool | None = None
    mapped: str | None = None
    hot: str | None = None
    cold: str | None = None
    most: str | None = None
    order: str | None = None
    seed: int | None = None
    move_shared: bool = False

    def request(self, pid: int, available: Sequence[int], page_size: int) -> Request:
        """What is asked for.

        :param available: nodes with memory
        :param page_size: bytes of a base page
        :raises UsageError: something does not parse, or does not go together.
        """
        source = self._one_of("--from", self.source, "FROM", self.from_nodes)
        sources = None if source in (None, "all") else parse_nodeset(source or "", available)
        return Request(
            pid=pid,
            to=self._destination(available),
            sources=sources,
            kinds=_kinds(self.kind),
            within=_within(self.addresses),
            shared=self.move_shared,
            paths=self.path,
            least_region_bytes=0 if self.at_least is None else parse_size(self.at_least),
            most_region_bytes=None if self.at_most is None else parse_size(self.at_most),
            huge=self.huge,
            mapped=Mapped.ANY if self.mapped is None else Mapped(self.mapped),
            heat=self._heat(),
            order=self._order(),
            most_pages=None if self.most is None else max(1, parse_size(self.most) // page_size),
        )

    def _destination(self, available: Sequence[int]) -> Destination:
        from numamig.migrate.destination import (
            FollowCpus,
            Interleave,
            Node,
            node_by_node,
            parse_node_map,
            parse_weights,
        )

        said = {
            "TO": self.to_nodes,
            "--to": self.target,
            "--interleave": self.interleave,
            "--weights": self.weights,
            "--map": self.node_map,
            "--follow-cpus": self.follow_cpus or None,
        }
        given = [name for name, value in said.items() if value is not None]
        if not given:
            raise UsageError(_WHERE, hint=_WHERE_HINT)
        if len(given) > 1:
            raise UsageError(f"{given[0]} and {given[1]} both say where to", hint="name one of them")
        if self.to_nodes is not None:
            return node_by_node(
                parse_nodeset(self.from_nodes or "all", available), parse_nodeset(self.to_nodes, available)
            )
        if self.interleave is not None:
            nodes = parse_nodeset(self.interleave, available)
            return Interleave(nodes) if len(nodes) > 1 else Node(nodes[0])
        if self.weights is not None:
            return parse_weights(self.weights)
        if self.node_map is not None:
            return parse_node_map(self.node_map)
        if self.follow_cpus:
            return FollowCpus()
        nodes = parse_nodeset(self.target or "", available)
        if len(nodes) != 1:
            raise UsageError(
                f"--to {self.target} names {len(nodes)} nodes", hint=f"name one node, or --interleave {self.target}"
            )
        return Node(nodes[0])

    def _heat(self) -> Heat | None:
        if self.hot is None and self.cold is None:
            return None
        heat = Heat(
            0.0 if self.hot is None else parse_share(self.hot), 1.0 if self.cold is None else parse_share(self.cold)
        )
        if heat.least > heat.most:
            raise UsageError(
                f"no page is touched both --hot {self.hot} and --cold {self.cold}", hint="--cold 20%, or --hot 80%"
            )
        return heat

    def _order(self) -> Order:
        mode = OrderMode.ADDRESS if self.order is None else OrderMode(self.order)
        if self.seed is not None and mode is not OrderMode.RANDOM:
            raise UsageError(f"--seed is for --order random, not for --order {mode.value}")
        return Order(mode, self.seed or 0)

    @staticmethod
    def _one_of(option: str, typed: str | None, argument: str, positional: str | None) -> str | None:
        if typed is not None and positional is not None:
            raise UsageError(f"{option} and {argument} both name nodes to empty", hint="name them once")
        return typed if positional is None else positional


def choosing_options(function: _Function) -> _Function:
    """``--from``, ``--to`` and the like; the command is handed a ``Choosing`` as ``choosing``."""
    kinds = ", ".join(kind.value for kind in RegionKind if kind is not RegionKind.SPECIAL)
    options = (
        click.argument("from_nodes", metavar="[FROM", required=False),
        click.argument("to_nodes", metavar="TO]", required=False),
        click.option("--from", "source", metavar="NODES", help="Nodes to empty: 0, 0,2-5, all, !1.  [default: all]"),
        click.option("--to", "target", metavar="NODE", help="All to this node."),
        click.option("--interleave", metavar="NODES", help="Over these nodes in turn, by address: 1,2."),
        click.option("--weights", metavar="NODE:N,...", help="The same, so many pages in a row: 1:3,2:1."),
        click.option("--map", "node_map", metavar="FROM:TO,...", help="From each node to another: 0:2,1:3."),
        click.option("--follow-cpus", is_flag=True, help="To the nearest node on which its threads run."),
        click.option(
            "--address", "addresses", metavar="0xSTART-0xEND", multiple=True, help="Only this range; may be repeated."
        ),
        click.option("--kind", metavar="KINDS", help=f"Only regions of these kinds: {kinds}."),
        click.option("--path", metavar="GLOB", multiple=True, help="Only regions of such files: '*/base/*'."),
        click.option("--at-least", metavar="SIZE", help="Only regions of this size and larger: 16MiB."),
        click.option("--at-most", metavar="SIZE", help="Only regions of this size and smaller."),
        click.option("--huge/--no-huge", default=None, help="Only huge pages, or only base pages."),
        click.option(
            "--mapped",
            type=click.Choice([Mapped.SHARED.value, Mapped.PRIVATE.value]),
            help="Only pages that other processes map too, or only those that none does.",
        ),
        click.option("--hot", metavar="SHARE", help="Only pages touched in so many of a few looks: 80%."),
        click.option("--cold", metavar="SHARE", help="Only pages touched in no more of them: 0%."),
        click.option("--most", metavar="SIZE", help="Stop when so much was chosen: 1GiB."),
        click.option(
            "--order",
            type=click.Choice([mode.value for mode in OrderMode]),
            help="What comes first.  [default: address]",
        ),
        click.option("--seed", type=click.IntRange(min=0), help="Of --order random.  [default: 0]"),
        click.option("--shared", "move_shared", is_flag=True, help="Move pages that other processes map too."),
    )

    @functools.wraps(function)
    def call(*arguments: Any, **values: Any) -> Any:
        said = {field.name: values.pop(field.name) for field in fields(Choosing)}
        return function(*arguments, choosing=Choosing(**said), **values)

    decorated: Any = call
    for option in reversed(options):
        decorated = option(decorated)
    return decorated  # type: ignore[no-any-return]


def _kinds(text: str | None) -> frozenset[RegionKind]:
    known = [kind.value for kind in RegionKind if kind is not RegionKind.SPECIAL]
    words = [] if text is None else [word.strip() for word in text.split(",")]
    for word in words:
        if word not in known:
            raise UsageError(f"there is no kind {word!r}", hint=f"kinds are {', '.join(known)}")
    return frozenset(RegionKind(word) for word in words)


def _within(addresses: tuple[str, ...]) -> list[tuple[int, int]] | None:
    """What any of the ranges has, ascending; those that overlap or touch are one."""
    return joined(map(parse_address, addresses)) or None
