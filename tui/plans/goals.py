"""Where pages are to go, as the dialogs offer it: in steps from node to node and on to the rest, and typed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from numamig.errors import UsageError
from numamig.migrate.destination import (
    Destination,
    FollowCpus,
    Interleave,
    Node,
    NodeMap,
    interleave,
    parse_node_map,
    parse_weights,
)
from numamig.model.nodeset import format_nodeset, parse_nodeset

if TYPE_CHECKING:
    from tui.plans.form import Form

__all__ = ["HOME", "Goal", "Home", "goal_text", "goals", "parse_goal", "tier_weights"]

_HINT = "1, 0-2, weights 0:3,1:1, map 0:2,1:3, follow"


@dataclass(frozen=True, slots=True)
class Home:
    """Each process's own home: of several that are planned together."""


HOME = Home()
Goal = Destination | Home


def goals(form: Form) -> tuple[Goal, ...]:
    """One after the other. What was typed is there in the place of what is usual of its kind."""
    usual: tuple[Goal, ...] = tuple(Node(node) for node in form.nodes)
    if len(form.targets) > 1:
        usual = (HOME, *usual)
    if len(form.nodes) > 1:
        ends = min(form.nodes), max(form.nodes)
        usual += (
            Interleave(form.nodes),
            form.by_tier,
            NodeMap(form.swap or ((ends[0], ends[1]), (ends[1], ends[0]))),
            FollowCpus(),
        )
    return tuple(form.to if not isinstance(each, Node) and _kind(each) == _kind(form.to) else each for each in usual)


def _kind(goal: Goal) -> str:
    if isinstance(goal, Interleave):
        return "weights" if goal.weights else "interleave"
    return type(goal).__name__


def goal_text(_: Form, goal: Goal) -> str:
    """``node 1``, ``interleave 0-2``, ``map 0→1, 1→0``."""
    if isinstance(goal, Home):
        return "home of each"
    if isinstance(goal, Node):
        return f"node {goal}"
    if isinstance(goal, Interleave):
        if goal.weights:
            return f"weights {','.join(f'{n}:{w}' for n, w in zip(goal.nodes, goal.weights, strict=True))}"
        return f"interleave {format_nodeset(goal.nodes)}"
    return f"map {goal}" if isinstance(goal, NodeMap) else "follow its CPUs"


def parse_goal(form: Form, text: str) -> Goal:
    """A node or several, pairs, or a word and what belongs to it.

    :raises UsageError: it does not parse, or there is no such node.
    """
    word, _, rest = text.partition(" ")
    said = rest.strip().replace("→", ":").replace(">", ":")
    if word in ("follow", "follow-cpus", "cpus"):
        return FollowCpus()
    if word == "home" and len(form.targets) > 1:
        return HOME
    if word in ("node", "interleave", "to"):
        return _nodes(form, rest)
    if word in ("weights", "weight"):
        return _there(form, parse_weights(said))
    if word == "map":
        return _there(form, parse_node_map(said))
    if ">" in text or "→" in text:
        return _there(form, parse_node_map(text.replace("→", ":").replace(">", ":").replace(" ", "")))
    if ":" in text:
        return _pairs(form, text)
    return _nodes(form, text)


def _nodes(form: Form, text: str) -> Goal:
    if not text or (text[0].isalpha() and text != "all"):
        raise UsageError(f"{text!r} is nowhere", hint=_HINT)
    nodes = parse_nodeset(text, form.nodes)
    return Interleave(nodes) if len(nodes) > 1 else Node(nodes[0])


def _pairs(form: Form, text: str) -> Goal:
    """Pairs alone may be weights or a map: what only one of both can be is that, else what the field is at."""
    found: dict[str, Goal] = {}
    wrong: list[UsageError] = []
    for kind, parse in (("weights", parse_weights), ("map", parse_node_map)):
        try:
            found[kind] = _there(form, parse(text))
        except UsageError as error:
            wrong.append(error)
    if len(found) == 2:
        at = "map" if isinstance(form.to, NodeMap) else _kind(form.to)
        if at not in found:
            raise UsageError("is that weights, or a map?", hint=f"weights {text}, or map {text}")
        return found[at]
    if not found:
        raise wrong[isinstance(form.to, NodeMap)]
    return next(iter(found.values()))


def _there(form: Form, goal: Interleave | NodeMap) -> Goal:
    """
    :raises UsageError: it names a node that has no memory here.
    """
    sources = [source for source, _ in goal.pairs] if isinstance(goal, NodeMap) else []
    for node in (*goal.nodes, *sources):
        if node not in form.nodes:
            raise UsageError(f"node {node} does not exist or has no memory", hint=f"{format_nodeset(form.nodes)} have")
    return goal


def tier_weights(nodes: tuple[int, ...], with_cpus: tuple[int, ...], preset: int | None) -> Interleave:
    """Three to nodes that have CPUs and one to those that have none; where all are alike, three to the one preset."""
    near = [node for node in nodes if node in with_cpus]
    if len(near) in (0, len(nodes)):
        near = [nodes[0] if preset is None else preset]
    return interleave({node: 3 if node in near else 1 for node in nodes})
