"""The circuit breaker: says when a job must stop although its process and its target are there, and why.

It asks nothing itself. It is told each batch and, at most once a second, how the machine fares and where a sample of
the moved pages is now; what it answers is a reason to stop, with a remedy, or nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from numamig.backends.base import Backend
from numamig.migrate.batch import Batch
from numamig.migrate.mover import BatchResult
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.topology import Health
from numamig.units import format_bytes

__all__ = ["Breaker", "Limits", "MovedSample"]

_MOVED: Final = Outcome.MOVED
_BUSY: Final = Outcome.BUSY  # members of an enum take longer to look up than the rest of a batch
_ASK_EVERY_NS: Final = 10**9
_LEAST_BUSY_PAGES: Final = 1024
"""4 MiB: what is pinned in one piece, a ring of buffers say, is seldom more; and another pass over so few is cheap."""
_BUCKETS: Final = 8
"""Sums that the last pages are kept in: the share is that of the last N to N + N/8 pages."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond which a job stops; None: never for that reason."""

    stalled: float | None = 0.2
    """Share of the time in which all wait for memory (``Health.stalled``), in two samples one after the other. The
    average over ten seconds reaches 0.2 after two seconds in which nobody gets on."""
    swapped_out_bytes: int | None = 16 << 20
    """Written to swap since the job began, by whomever: what one wake-up of kswapd reclaims on a node of 16 GiB, a
    thousandth of it (vm.watermark_scale_factor). More, and the target is not filled from free memory any more."""
    busy: float | None = 0.9
    """Share of the last ``busy_pages``."""
    busy_pages: int = 16_384
    """64 MiB, and no more than a quarter of the job: a region of pinned pages of less than that is passed over."""
    bounced: float | None = 0.2
    """Share of a sample of moved pages that are not on their target any more."""
    bounced_pages: int = 64
    """Pages of the sample that must be present, for the share to count: with 64, 20 % is 20 ± 10."""


class Breaker:
    """The state of one job. What a finding was about is forgotten with it: who goes on has the whole limit again."""

    def __init__(self, limits: Limits = Limits(), page_size: int = 4096, planned_pages: int | None = None) -> None:
        """
        :param page_size: bytes of a base page
        :param planned_pages: base pages that the job is about; None: so many that it does not matter
        """
        self.limits = limits
        self._busy_pages = limits.busy_pages
        if planned_pages is not None:
            self._busy_pages = min(limits.busy_pages, max(_LEAST_BUSY_PAGES, planned_pages // 4))
        self._page_size = page_size
        self._busy_limit = limits.busy
        self._asked_ns: int | None = None
        self._over_stalled = False
        """Whether the last sample was."""
        self._swapped_out_before: int | None = None
        self._full = max(1, self._busy_pages // _BUCKETS)
        """Pages of a bucket that gets no more."""
        self._recent: deque[tuple[int, int]] = deque()
        """Pages and busy ones of each full bucket, the oldest first."""
        self._pages = self._busy = 0
        """Of all of those."""
        self._open_pages = self._open_busy = 0
        """Of the bucket that is being filled."""

    def after_batch(self, outcomes: OutcomeCounts, *, again: bool = False) -> Finding | None:
        """What became of a batch.

        :param again: of a later pass, which tries nothing but pages that were busy before; says nothing new
        """
        limit = self._busy_limit
        if limit is None or again:
            return None
        self._open_pages = pages = self._open_pages + outcomes.total
        busy = outcomes[_BUSY]
        self._open_busy += busy
        if pages >= self._full:
            self._close_bucket()
        return self._held(limit) if busy else None  # only who brings busy pages raises their share

    def _close_bucket(self) -> None:
        self._recent.append((self._open_pages, self._open_busy))
        self._pages += self._open_pages
        self._busy += self._open_busy
        self._open_pages = self._open_busy = 0
        while self._pages - self._recent[0][0] >= self._busy_pages:
            pages, busy = self._recent.popleft()
            self._pages -= pages
            self._busy -= busy

    def _held(self, limit: float) -> Finding | None:
        pages, busy = self._pages + self._open_pages, self._busy + self._open_busy
        if pages < self._busy_pages or busy <= limit * pages:
            return None
        self._recent.clear()
        self._pages = self._busy = self._open_pages = self._open_busy = 0
        return _finding(
            f"{busy / pages:.0%} of the last {pages:,} pages were busy",
            "somebody holds them: see what stayed and why; stop direct I/O or RDMA of the process, leave the region "
            "out, or try later",
        )

    def begin_again(self) -> None:
        """The job was paused: what happened on the machine meanwhile is none of its doing. The next health is asked
        for at once, and is what swap-out counts from."""
        self._asked_ns = None
        self._over_stalled = False
        self._swapped_out_before = None

    def wants_health(self, now_ns: int) -> bool:
        """Whether to ask the machine now and tell ``healthy``: the first time, and then once a second.

        :param now_ns: of the backend's clock
        """
        if self._asked_ns is not None and now_ns - self._asked_ns < _ASK_EVERY_NS:
            return False
        self._asked_ns = now_ns
        return True

    def healthy(self, health: Health | None, bounced: tuple[int, int] | None = None) -> Finding | None:
        """How the machine fares, and whether moved pages stay.

        The first health that is told, and the first after ``begin_again``, is that before: swap-out counts from there.

        :param health: None where the backend does not tell
        :param bounced: as from ``MovedSample.bounced``; None where nobody looked
        """
        found = None if health is None else self._pressed(health) or self._swaps(health)
        return found or (None if bounced is None else self._bounces(*bounced))

    def _pressed(self, health: Health) -> Finding | None:
        limit = self.limits.stalled
        over = limit is not None and health.stalled is not None and health.stalled > limit
        before, self._over_stalled = self._over_stalled, over
        if not (before and over):
            return None
        self._over_stalled = False
        return _finding(
            f"in {health.stalled:.0%} of the last ten seconds all that runs waited for memory",
            "make room on the target or move less; go on when `full avg10` of /proc/pressure/memory has fallen",
        )

    def _swaps(self, health: Health) -> Finding | None:
        if self._swapped_out_before is None:
            self._swapped_out_before = health.swapped_out_pages
        limit = self.limits.swapped_out_bytes
        swapped = (health.swapped_out_pages - self._swapped_out_before) * self._page_size
        if limit is None or swapped <= limit:
            return None
        self._swapped_out_before = health.swapped_out_pages
        return _finding(
            f"{format_bytes(swapped)} were swapped out since the job began",
            "make room on the target, move less, or take another node: nodes lists what is free",
        )

    def _bounces(self, elsewhere: int, asked: int) -> Finding | None:
        limit = self.limits.bounced
        if limit is None or asked < self.limits.bounced_pages or elsewhere <= limit * asked:
            return None
        return _finding(
            f"{elsewhere / asked:.0%} of the pages that this job moved are not where it put them "
            f"({elsewhere} of a sample of {asked})",
            "somebody moves them back: switch NUMA balancing off (sysctl kernel.numa_balancing=0), bind the memory, "
            "move the threads too, or stop the other tool",
        )


def _finding(reason: str, remedy: str) -> Finding:
    return Finding("breaker", Severity.ERROR, reason, remedy)


class MovedSample:
    """Some of the pages that a job moved, each batch as likely as any other to be in it."""

    def __init__(self, seed: int = 1, most: int = 256) -> None:
        """
        :param most: pages that are kept: so many half microseconds does it take to ask for them
        """
        self._random = Random(seed)  # noqa: S311 - a sample, no secret
        self._most = most
        self._batches = 0
        self._next = 0
        """The batch that is looked at next; those before are passed over."""
        self._weight = 1.0
        self._target_of: dict[int, int] = {}
        """Address → node."""
        self._addresses: list[int] = []

    def __len__(self) -> int:
        return len(self._addresses)

    def feed(self, batch: Batch, result: BatchResult) -> None:
        """One page of what a batch moved, perhaps. Source: K.-H. Li 1994, algorithm L: most batches cost a count."""
        self._batches += 1
        if self._batches < self._next or not result.outcomes[_MOVED]:
            return
        place = len(self._addresses)
        if place >= self._most:
            place = int(self._random.random() * self._most)
            self._skip()
        nth = int(self._random.random() * len(batch))
        address = int(batch.address[nth])
        left = result.left
        if len(left) and bool(((left.start <= address) & (address < left.end)).any()):
            return
        self.add(address, int(batch.target[nth]), place)

    def _skip(self) -> None:
        """To the next batch that takes the place of another."""
        self._weight *= (1.0 - self._random.random()) ** (1.0 / self._most)
        passed = math.log(1.0 - self._random.random()) / math.log1p(-min(self._weight, 1.0 - 1e-12))
        self._next = self._batches + 1 + int(passed)

    def add(self, address: int, target: int, place: int | None = None) -> None:
        """A page that was moved.

        :param place: instead of which; None: of none
        """
        known = address in self._target_of
        self._target_of[address] = target
        if known:
            return
        if place is None or place >= len(self._addresses):
            self._addresses.append(address)
        else:
            del self._target_of[self._addresses[place]]
            self._addresses[place] = address

    def forget(self) -> None:
        """All of it, where its pages have been put elsewhere on purpose."""
        self._batches = self._next = 0
        self._weight = 1.0
        self._addresses.clear()
        self._target_of.clear()

    def bounced(self, backend: Backend, pid: int) -> tuple[int, int]:
        """Pages that are on another node now than they were put on, and pages that there are. Absent ones, and those
        that balancing hides, count as neither; nothing does where the process cannot be asked."""
        if not self._addresses:
            return 0, 0
        address = np.array(sorted(self._addresses), np.uint64)
        answer = backend.move_pages(pid, address, None)
        if answer.returned < 0:
            return 0, 0
        target = np.array([self._target_of[a] for a in address.tolist()], np.int32)
        present = answer.status >= 0
        return int((answer.status[present] != target[present]).sum()), int(present.sum())
