"""All actors that a scenario may have."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, GetJsonSchemaHandler, SerializeAsAny
from pydantic_core import CoreSchema

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


class _AnyEntry:
    """In a schema, one of all of them."""

    def __get_pydantic_json_schema__(self, _core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"anyOf": [handler(entry.__pydantic_core_schema__) for entry in ENTRIES]}


AnyActor = Annotated[SerializeAsAny[ActorEntry], BeforeValidator(_by_kind), _AnyEntry()]
"""One of ``ENTRIES``, by its ``kind``."""
