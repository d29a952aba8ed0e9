"""What an operator asks for: which pages of which process, where to, and how gently."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from numamig.model.pages import Ranges
from numamig.model.process import RegionKind

__all__ = ["DEFAULT_BATCH_PAGES", "Request", "Retry", "RetryMode"]

DEFAULT_BATCH_PAGES = 512


class RetryMode(StrEnum):
    """What happens to pages that were busy."""

    NEVER = "never"
    """They are skipped: the seed's no-retry mode."""
    BOUNDED = "bounded"
    """They are looked for again, in so many passes."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A retry mode with its bound."""

    mode: RetryMode = RetryMode.BOUNDED
    passes: int = 3
    """Passes in all, the first included."""
    backoff_ns: int = 50_000_000
    """Waited before the second pass; doubled before each further one."""

    @property
    def most_passes(self) -> int:
        return self.passes if self.mode is RetryMode.BOUNDED else 1


@dataclass(frozen=True, slots=True)
class Request:
    """One migration as it is asked for. Nothing in it depends on what is seen."""

    pid: int
    target: int
    """Node id."""
    sources: tuple[int, ...] | None = None
    """Node ids; None means every node but the target."""
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
    threads: int = 1
    """Calls made at the same time in a step, each of ``batch_pages``."""
