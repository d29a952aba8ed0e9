"""What an actor in a scenario is: whoever acts on the machine on his own, told apart by ``kind``.

To add one: subclass ``ActorEntry`` in a room of its own, with its keys as fields, and name the class in ``entries``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Protocol

from numamig.backends.simulator.scenario.fields import Fault, Strict

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine
    from numamig.backends.simulator.scenario.schema import ScenarioFile

__all__ = ["Actor", "ActorEntry"]


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

    def actor_from(self, now_ns: int) -> Actor | None:
        """The actor on a machine that has run for so long; None where there is nothing left for it to do."""
        return self.actor()

    def faults(self, scenario: ScenarioFile) -> Iterable[Fault]:
        """What does not fit the rest of the scenario; locations begin at the entry's own keys."""
        return ()
