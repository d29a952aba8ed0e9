"""What an operator asks for: which pages of which process, where to, and how gently."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from numamig.migrate.order_mode import Heat, Order, OrderMode
from numamig.model.process import RegionKind

if TYPE_CHECKING:
    from numamig.migrate.destination import Destination
    from numamig.model.pages import Ranges

__all__ = ["DEFAULT_BATCH_PAGES", "MOST_CALLS", "Mapped", "Request", "Retry", "RetryMode"]

DEFAULT_BATCH_PAGES = 512
MOST_CALLS = 200


class Mapped(StrEnum):
    """Pages by who maps them."""

    ANY = "any"
    SHARED = "shared"
    """By other processes too."""
    PRIVATE = "private"
    """By this one only."""


class RetryMode(StrEnum):
    """What happens to pages that were busy."""

    NEVER = "never"
    """They are skipped: the seed's no-retry mode."""
    BOUNDED = "bounded"
    """They are looked for again, in so many passes."""
    UNTIL = "until"
    """They are looked for again until none is left, or until a deadline."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry mode with its bound."""

    mode: RetryMode = RetryMode.BOUNDED
    passes: int = 3
    """Passes in all, the first included."""
    backoff_ns: int = 50_000_000
    """Waited before the second pass; doubled before each further one, up to ``most_backoff_ns``."""
    most_backoff_ns: int = 2_000_000_000
    deadline_ns: int = 60_000_000_000
    """``until``: how long after the job's first step a further pass may begin."""

    def again(self, passes: int, elapsed_ns: int) -> bool:
        """Whether busy pages are looked for once more, after so many passes and so long after the first step."""
        if self.mode is RetryMode.BOUNDED:
            return passes < self.passes
        return self.mode is RetryMode.UNTIL and elapsed_ns + self.backoff_after(passes) < self.deadline_ns

    def backoff_after(self, passes: int) -> int:
        """Nanoseconds to wait after so many passes."""
        return min(self.backoff_ns << min(passes - 1, 40), self.most_backoff_ns)


@dataclass(frozen=True, slots=True)
class Request:
    """One migration as it is asked for. Nothing in it depends on what is seen."""

    pid: int
    to: Destination
    sources: tuple[int, ...] | None = None
    """Node ids; None means every node, but for pages that are where they should be."""
    kinds: frozenset[RegionKind] = field(default_factory=frozenset)
    """Kinds of regions; empty means any."""
    within: Ranges | None = None
    """Only these addresses, ascending."""
    shared: bool = False
    """Move pages that other processes map too (MPOL_MF_MOVE_ALL)."""
    batch_pages: int = DEFAULT_BATCH_PAGES
    """Base pages in a call; the start value where a budget steers it."""
    budget_ns: int | None = None
    """Wanted duration of a call; steers the size of batches."""
    rate: int | None = None
    """Bytes per second, at most."""
    retry: Retry = Retry()
    most_calls: int | None = MOST_CALLS
    """Moving calls per second, at most: each of them drains lists of pages on every CPU. None: no limit."""
    reserve_bytes: int | None = None
    """What every step leaves free on the receiving node; None: its high watermark and min(256 MiB, a twentieth)."""
    critical: bool = False
    """Also processes that had better be left alone: pid 1, one's ancestors, real-time, virtual machines, devices."""
    threads: int = 1
    """Calls made at the same time in a step, each of ``batch_pages``."""
    paths: tuple[str, ...] = ()
    """Only regions whose path fits one of these patterns (``fnmatch``); empty means any."""
    least_region_bytes: int = 0
    """Only regions of this size and larger."""
    most_region_bytes: int | None = None
    """Only regions of this size and smaller."""
    huge: bool | None = None
    """Only huge pages, or only base pages; None: both."""
    mapped: Mapped = Mapped.ANY
    """Only pages that other processes map too, or only those that none does."""
    heat: Heat | None = None
    """Only pages that were touched so often."""
    order: Order = field(default_factory=Order)
    most_pages: int | None = None
    """Base pages that are chosen at most, rounded up to whole folios. None: no limit."""

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; ``from_dict`` reads it again."""
        said = asdict(self)
        said["to"] = self.to.as_dict()
        said["kinds"] = sorted(kind.value for kind in self.kinds)
        said["retry"]["mode"] = self.retry.mode.value
        said["mapped"] = self.mapped.value
        said["order"]["mode"] = self.order.mode.value
        return said

    @classmethod
    def from_dict(cls, said: Mapping[str, Any]) -> Request:
        """What ``as_dict`` said."""
        from numamig.migrate.destination import FollowCpus, destination_from

        values = {**cls(said["pid"], FollowCpus()).as_dict(), **said}  # what an earlier numamig could not say
        retry = dict(values["retry"])
        values["retry"] = Retry(**{**retry, "mode": RetryMode(retry["mode"])})
        order = dict(values["order"])
        values["order"] = Order(**{**order, "mode": OrderMode(order["mode"])})
        values["to"] = destination_from(values["to"])
        values["mapped"] = Mapped(values["mapped"])
        values["heat"] = None if values["heat"] is None else Heat(**values["heat"])
        values["paths"] = tuple(values["paths"])
        values["kinds"] = frozenset(map(RegionKind, values["kinds"]))
        values["sources"] = None if values["sources"] is None else tuple(values["sources"])
        within = values["within"]
        values["within"] = None if within is None else [(start, end) for start, end in within]
        return cls(**values)
