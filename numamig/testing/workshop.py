"""What the conformance suite needs: processes with known memory, and a back door to where that memory really is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from numamig.backends.base import Backend

__all__ = ["Area", "Target", "Workshop"]


@dataclass(frozen=True, slots=True)
class Area:
    """A mapping that a target process has."""

    pages: int
    node: int = 0
    """Where its pages are."""
    state: Literal["touched", "untouched", "read", "shared", "huge", "hugetlb", "locked", "holes", "as_comes"] = (
        "touched"
    )
    """Written to; never used; only read (the zero page); mapped by a second process too; in folios of 2 MiB; of the
    hugetlb pool; locked; every second page given back and the others locked; in folios as the kernel likes. The suite
    uses the first five."""
    pinned: tuple[int, ...] = ()
    """Pages that somebody holds a reference to, so that they can be isolated but not migrated."""


class Target(Protocol):
    """A process that the suite may do with as it likes."""

    @property
    def pid(self) -> int: ...

    @property
    def page_bytes(self) -> int:
        """Of a base page."""
        ...

    @property
    def starts(self) -> tuple[int, ...]:
        """First address of each area, in the order in which they were asked for."""
        ...

    def pages_by_node(self, area: int) -> dict[int, int]:
        """Base pages of an area on each node that has any: not by way of the backend under test."""
        ...

    def end(self) -> None:
        """The process ends, and is gone when this returns."""
        ...


class Workshop(Protocol):
    """Makes targets on the machine that the backend under test acts on."""

    @property
    def backend(self) -> Backend: ...

    @property
    def can_pin(self) -> bool:
        """Whether ``Area.pinned`` can be had."""
        ...

    @property
    def can_make_huge(self) -> bool:
        """Whether ``state="huge"`` can be had."""
        ...

    @property
    def moves_in_runs(self) -> bool:
        """Whether pages are isolated, queued by target and moved in runs, as move_pages of Linux does: a page that
        fails hides its run, and one that is named twice is busy. Else each moves in its turn."""
        ...

    @property
    def kernel_thread(self) -> int:
        """The pid of one."""
        ...

    @property
    def unused_pid(self) -> int: ...

    def start(self, *areas: Area) -> Target:
        """A process with these areas, each a mapping of its own, with an unmapped page behind it."""
        ...
