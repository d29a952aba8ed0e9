"""In which order pages are moved, and how often they must have been touched to be meant."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Heat", "Order", "OrderMode"]


class OrderMode(StrEnum):
    """What comes first."""

    ADDRESS = "address"
    """The lowest address."""
    HOTTEST = "hottest"
    """What is touched most: it is near its CPUs soonest."""
    COLDEST = "coldest"
    """What is touched least: whoever uses the memory waits least."""
    RANDOM = "random"
    """Nothing in particular, and with one seed always the same."""


@dataclass(frozen=True, slots=True)
class Order:
    """An order of pages."""

    mode: OrderMode = OrderMode.ADDRESS
    seed: int = 0
    """For ``RANDOM``: 0 or more."""


@dataclass(frozen=True, slots=True)
class Heat:
    """Bounds of heat, both included: 0 was not seen to be touched, 1 was touched whenever it was looked at."""

    least: float = 0.0
    most: float = 1.0
