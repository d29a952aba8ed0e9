"""Actors in a scenario: whoever acts on the machine on his own, told apart by ``kind``.

To add one: subclass ``ActorEntry`` beside what it starts, with its keys as fields, and name the class in ``ENTRIES``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import BeforeValidator, SerializeAsAny

from numamig.backends.simulator.scenario.fields import Fault, Strict, report

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.scenario.schema import ScenarioFile

__all__ = ["ENTRIES", "Actor", "ActorEntry", "AnyActor"]


class Actor(Protocol):
    """Acts on a machine on its own."""

    def start(self, machine: Machine) -> object:
        """Begin, now."""


class ActorEntry(Strict):
    """What all entries of actors have; a subclass narrows ``kind`` to a ``Literal`` with that default."""

    kind: str

    def actor(self) -> Actor:
        """The actor that the entry describes."""
        raise NotImplementedError

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        """What does not fit the rest of the scenario; locations begin at the entry's own keys."""
        return ()


ENTRIES: tuple[type[ActorEntry], ...] = ()
"""All that a scenario may have."""


def _by_kind(value: object) -> object:
    if not isinstance(value, dict):
        return value
    kinds = {str(entry.model_fields["kind"].default): entry for entry in ENTRIES}
    entry = kinds.get(str(value.get("kind")))
    if entry is None:
        known = ", ".join(kinds) or "none"
        words = f"{value['kind']!r} is not known" if "kind" in value else "is missing"
        report([Fault(("kind",), f"{words}; actors are: {known}")])
        return value
    return entry.model_validate(value)


AnyActor = Annotated[SerializeAsAny[ActorEntry], BeforeValidator(_by_kind)]
"""One of ``ENTRIES``, by its ``kind``."""
