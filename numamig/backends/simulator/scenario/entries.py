"""All actors that a scenario may have."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, SerializeAsAny

from numamig.backends.simulator.scenario.acting import BalancingEntry, DemotionEntry, SecondToolEntry
from numamig.backends.simulator.scenario.actors import ActorEntry
from numamig.backends.simulator.scenario.fields import Fault, report
from numamig.backends.simulator.scenario.remapping import PageCountersEntry

__all__ = ["ENTRIES", "AnyActor"]

ENTRIES: tuple[type[ActorEntry], ...] = (BalancingEntry, DemotionEntry, PageCountersEntry, SecondToolEntry)
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
