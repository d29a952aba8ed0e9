"""Where a profile moves pages to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, field_validator, model_validator

from numamig.errors import UsageError
from numamig.migrate.destination import Destination, FollowCpus, Interleave, Node, NodeMap, interleave
from numamig.model.nodeset import parse_nodeset
from numamig.replay.schema.fields import ONE_KEY, NodeId, NodeList, Strict
from numamig.yamlschema import Also

__all__ = ["FORMS", "AnyTarget", "NodePairs", "Target", "Weights", "one_form"]

Weights = Annotated[dict[NodeId, Annotated[int, Field(strict=True, ge=1, le=255)]], Field(min_length=1)]
"""Node → units in a row, as the weights of the kernel: 1 to 255."""
NodePairs = Annotated[dict[NodeId, NodeId], Field(min_length=1)]
"""From → to."""


def one_form(value: object) -> object:
    """A node alone is the short form of ``{node: 1}``."""
    if isinstance(value, dict | Target):
        return value
    if isinstance(value, int) and not isinstance(value, bool):
        return {"node": value}
    raise ValueError(
        "write a node like 1, or one of {interleave: [1, 2]}, {weights: {1: 3, 2: 1}}, {map: {0: 2}}, {follow: cpus}"
    )


class Target(Strict):
    """Where pages go: exactly one of these."""

    model_config = ONE_KEY

    node: NodeId | None = None
    """All to this node."""
    interleave: NodeList | None = None
    """Over these nodes in turn, by address."""
    weights: Weights | None = None
    """The same, so many in a row to each: {1: 3, 2: 1}."""
    map_: NodePairs | None = Field(default=None, alias="map")
    """From each node to another: {0: 2, 1: 3}; what is elsewhere stays."""
    follow: Literal["cpus"] | None = None
    """cpus: to where the threads of the process run, when its turn comes."""

    @field_validator("map_")
    @classmethod
    def _go_elsewhere(cls, value: dict[int, int] | None) -> dict[int, int] | None:
        for source, target in (value or {}).items():
            if source == target:
                raise ValueError(f"node {source} is mapped to itself: leave it out, and it stays")
        return value

    @model_validator(mode="after")
    def _one(self) -> Target:
        if sum(getattr(self, form) is not None for form in FORMS) != 1:
            raise ValueError("say one of node, interleave, weights, map, follow")
        return self

    def destination(self, memory_nodes: Sequence[int]) -> Destination:
        """As the engine takes it.

        :param memory_nodes: that there are
        :raises UsageError: a node is not among them.
        """
        if self.node is not None:
            return Node(*parse_nodeset(self.node, memory_nodes))
        if self.interleave is not None:
            nodes = parse_nodeset(self.interleave, memory_nodes)
            if len(nodes) == 1:
                raise UsageError(
                    f"there is nothing to take turns with: only node {nodes[0]}", hint=f"write to: {nodes[0]}"
                )
            return Interleave(nodes)
        if self.weights is not None:
            _there(self.weights, memory_nodes)
            return interleave(self.weights)
        if self.map_ is not None:
            _there(self.map_.values(), memory_nodes)
            _there(self.map_, memory_nodes)
            return NodeMap(tuple(sorted(self.map_.items())))
        return FollowCpus()


def _there(nodes: Iterable[int], memory_nodes: Sequence[int]) -> None:
    parse_nodeset(",".join(map(str, nodes)), memory_nodes)


FORMS = ("node", "interleave", "weights", "map_", "follow")
AnyTarget = Annotated[Target, BeforeValidator(one_form), Also({"type": "integer", "minimum": 0})]
