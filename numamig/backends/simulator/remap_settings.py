"""How the moving call of 2004 is set on a machine, and what it has in hand there."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

from numamig.backends.simulator.kernels import Retry
from numamig.backends.simulator.locks import PageTableLocks
from numamig.backends.simulator.remap_costs import RemapCosts

__all__ = ["Executor", "RemapSettings", "Remapping", "RetryPlan"]


class Executor(StrEnum):
    """Whose CPU moves pages; its thread loses that time."""

    PULL = "pull"
    """One of the receiving node."""
    PUSH = "push"
    """One of the node that gives."""


@dataclass(frozen=True, slots=True)
class RetryPlan:
    """What is done about a page that is busy: referenced by somebody, or locked."""

    mode: Retry = Retry.BOUNDED
    attempts: int = 3
    """In all, where they are ``bounded``."""
    pause_ns: int = 100_000
    """Between two attempts."""
    deadline_ns: int = 10_000_000
    """How long one page is tried ``until`` it moves."""
    second_pass_ns: int | None = 2_000_000
    """After so long, pages that did not move are tried once more, with the pauses doubled; None: they are not. Never
    after ``never``."""

    @property
    def awaits_writeback(self) -> bool:
        """Whether a page that is being written back is waited for, or busy as well."""
        return self.mode is not Retry.NEVER

    def again(self, attempt: int, tried_ns: int) -> bool:
        """Whether to try a page once more.

        :param attempt: how often it was tried
        :param tried_ns: since the first attempt
        """
        match self.mode:
            case Retry.NEVER:
                return False
            case Retry.BOUNDED:
                return attempt < self.attempts
            case Retry.UNTIL:
                return tried_ns + self.pause_ns <= self.deadline_ns


@dataclass(frozen=True, slots=True)
class RemapSettings:
    """What can be set."""

    executor: Executor = Executor.PULL
    retry: RetryPlan = RetryPlan()
    costs: RemapCosts = field(default_factory=RemapCosts)


@dataclass(slots=True)
class Remapping:
    """The settings, and the state that calls in progress share."""

    locks: PageTableLocks
    settings: RemapSettings = field(default_factory=RemapSettings)
    locked_pages: set[tuple[int, int]] = field(default_factory=set)
    """Pages under migration: backing (its id) and index."""
    new_pages: Counter[int] = field(default_factory=Counter)
    """Pages that are allocated on each node, and that nobody maps yet."""
    lists: int = 0
    """Begun so far."""
