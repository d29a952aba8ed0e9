"""What an actor is, and how its parameters say where they come from.

An actor is one or several processes of the machine's timeline, with an event for each window or batch and never for a
page. What it draws is keyed by the machine's seed and by what is drawn for, so that it depends on no order.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from numamig.backends.simulator.machine import Machine

__all__ = ["Actor", "Setting", "Stream", "parameter", "settings_of"]

_Value = TypeVar("_Value", int, float)


class Actor(Protocol):
    """Acts on a machine on its own account."""

    def start(self, machine: Machine) -> object:
        """Begin, now. Its first event may be due at once, but nothing happens before time passes."""
        ...


class Stream:
    """First arguments of ``chance.draws``: what is drawn for. Other modules keep below."""

    TOUCH = 101
    TOUCHER = 102
    COLDNESS = 103


@dataclass(frozen=True, slots=True)
class Setting:
    """One parameter of an actor."""

    name: str
    value: float
    unit: str
    source: str
    """Begins with how it was had: read, measured, derived or assumed."""


def parameter(value: _Value, unit: str, source: str) -> _Value:
    """A field of a settings dataclass, with its provenance."""
    return field(default=value, metadata={"unit": unit, "source": source})


def settings_of(settings: Any) -> list[Setting]:
    """Every parameter of a settings dataclass."""
    return [Setting(each.name, value=getattr(settings, each.name), **each.metadata) for each in fields(settings)]
