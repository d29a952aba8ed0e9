"""Drift: whether pages are still where a job put them, sampled again and again; and if not, why.

A watch never walks memory as ``verify`` does: it asks for the same few thousand pages each time (some ten milliseconds,
counters included), which also tells of each of them what happened between two looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend
from numamig.errors import TargetGone
from numamig.model.finding import Finding, Severity
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import Process
from numamig.observe.causes import Cause, Change, Movements, Surroundings, attribute, describe
from numamig.observe.probes import NOT_THERE, UNASKED, Space, probe, spread
from numamig.observe.sampling import half_width
from numamig.observe.verify import Expected, columns

__all__ = ["PROBES", "Drift", "Watch"]

PROBES: Final = 4096
"""Pages that a watch asks for in each look: a share is known to 1.6 points."""
_DRAWS: Final = 8
"""Times so many probes that are made at the beginning, where few of them find a page."""
_ABSENT: Final = 512
"""Absent pages that are watched too, at most, where there are as many present ones as probes."""


@dataclass(frozen=True, slots=True)
class Drift:
    """What one look says: estimates from a sample, in base pages."""

    taken_ns: int
    """Of the backend's clock."""
    in_place: float
    """Share of the present pages that are where they should be, 0 to 1; 1 where none are."""
    error: float
    """Half width of the 95 % interval of that; 0 where every page was asked for, 1 where nothing is known."""
    pages: int
    """Present ones."""
    elsewhere: Mapping[int, int]
    """Node → pages that should be on another."""
    absent: int
    probes: int
    """Pages of the sample that answered."""
    causes: tuple[Finding, ...]
    """Of all drift since the watch began, the one with most pages first; ``check`` is a ``Cause``. Never empty."""
    ended: bool = False
    """The process is gone, or its memory is another: there is nothing further to watch."""

    @property
    def cause(self) -> Finding:
        """The likeliest."""
        return self.causes[0]


class Watch:
    """Watches the pages of one process that should be on certain nodes. One thread looks."""

    def __init__(
        self,
        backend: Backend,
        process: Process,
        expected: Expected,
        seed: int = 1,
        *,
        probes: int = PROBES,
        since: Movements | None = None,
    ) -> None:
        """Draw the sample. Nothing is walked: up to eight times ``probes`` pages are asked for.

        :param since: what was counted when all of ``expected`` was in place, at the end of the job; None: what is out
            of place now is not drift, and causes are looked for from now on
        :raises TargetGone: the process ended.
        :raises RefusedError: the caller may not look.
        """
        self._backend, self._process = backend, process
        self._hold = backend.hold(process)
        topology = backend.topology()
        self._topology = topology
        start, end, node = columns(expected)
        self._space = Space.of(np.column_stack((start, end)).tolist(), topology.page_size)
        self._cpu_nodes: frozenset[int] = frozenset()
        counted = Movements.of(backend.node_counters())
        page, found = self._draw(probes, np.random.default_rng(seed))
        self._address = self._space.address(page)
        self._wanted = node[np.searchsorted(self._space.before, page, side="right") - 1].astype(np.int16)
        self._known = found if since is None else self._wanted.copy()
        """Shape (sample,): where each page was when it was seen last."""
        self._counted = since or counted
        self._causes: dict[Cause, tuple[float, Movements]] = {}
        """Pages, and what was counted, in all intervals in which any were put down to this cause."""
        self._before = (self._known >= 0) & (self._known != self._wanted)
        """Shape (sample,): which pages were out of place when the watch began."""

    def _draw(self, probes: int, random: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
        """The sample: pages of the space, ascending, and where they are; shape (sample,) each.

        Present ones and absent ones are strata of their own, since in sparse memory hardly any of the others would be
        found, and in dense memory hardly an absent one is.
        """
        pages = self._space.pages
        each = min(probes, pages)
        number, found = np.empty(0, np.int64), np.empty(0, np.int16)
        for _ in range(_DRAWS):
            where, _stratum = spread(np.zeros(1, np.int64), np.array([pages]), np.array([each]), random)
            nodes = probe(self._backend, self._process.pid, self._space.address(where))
            number, first = np.unique(np.concatenate((number, where[nodes != UNASKED])), return_index=True)
            found = np.concatenate((found, nodes[nodes != UNASKED]))[first]
            if each == pages or int((found != NOT_THERE).sum()) >= probes // 2:
                break
        there = np.flatnonzero(found != NOT_THERE)
        absent = np.flatnonzero(found == NOT_THERE)
        share = len(there) / max(1, len(found))
        self._strata_pages = (pages * share, pages * (1 - share))
        """Pages that were present when the sample was drawn, and absent ones, in all."""
        self._whole = each == pages
        if not self._whole:
            there = random.permutation(there)[:probes]
            absent = random.permutation(absent)[: max(_ABSENT, probes - len(there))]
        kept = np.sort(np.concatenate((there, absent)))
        self._stratum = (found[kept] == NOT_THERE).astype(np.intp)
        return number[kept], found[kept]

    def _weights(self, now: NDArray[np.int16]) -> NDArray[np.float64]:
        """For how many pages each page of the sample stands; 0 for those that were not asked. Shape (sample,)."""
        asked = now != UNASKED
        answered = np.bincount(self._stratum[asked], minlength=2)
        weight = np.array(self._strata_pages) / np.maximum(answered, 1)
        return np.where(asked, weight[self._stratum], 0.0)

    def look(self) -> Drift:
        """Where the sample is now, and why it is not where it was.

        :raises RefusedError: the caller may not look any more.
        """
        taken_ns = self._backend.clock.now_ns()
        try:
            self._hold.check()
            before = Movements.of(self._backend.node_counters())
            now = probe(self._backend, self._process.pid, self._address)
            process = self._backend.process(self._process.pid)
            self._hold.check()  # so that it was this process that has answered
        except TargetGone as error:
            gone = Finding(Cause.PROCESS.value, Severity.WARNING, f"nothing left to watch: {error.message}")
            return Drift(taken_ns, 1.0, 1.0, 0, {}, 0, 0, (gone,), ended=True)
        counters = self._backend.node_counters()
        # From before the last look until after this one, so that nothing that it shows can be missing.
        interval, self._counted = Movements.of(counters).since(self._counted), before
        self._cpu_nodes |= frozenset(process.cpu_nodes)
        around = Surroundings.of(self._topology, counters.switches, self._cpu_nodes)
        weight = self._weights(now)
        self._account(now, weight, interval, around)
        return self._estimate(taken_ns, now, weight, around)

    def _account(
        self, now: NDArray[np.int16], weight: NDArray[np.float64], interval: Movements, around: Surroundings
    ) -> None:
        """Put down to causes what has changed since the last look."""
        told = (now != UNASKED) & (now != UNKNOWN_NODE)
        was_in_place = told & (self._known == self._wanted)
        astray = told & (now >= 0) & (now != self._wanted)
        left = was_in_place & astray
        ways: dict[tuple[int, int], float] = {}
        for row in np.flatnonzero(left).tolist():
            way = int(self._wanted[row]), int(now[row])
            ways[way] = ways.get(way, 0.0) + float(weight[row])
        fresh = float(weight[astray & (self._known == NOT_THERE)].sum())
        gone = float(weight[was_in_place & (now == NOT_THERE)].sum())
        self._known = np.where(told, now, self._known)
        changed = sum(ways.values()) + fresh + gone
        if not changed:
            return
        total = float(weight.sum())
        error = 0.0 if self._whole else total * half_width(np.array(changed / total), np.array(told.sum())).item()
        for cause, pages in attribute(Change(ways, fresh, gone, error), interval, around).items():
            before, meanwhile = self._causes.get(cause, (0.0, None))
            self._causes[cause] = before + pages, interval if meanwhile is None else meanwhile.plus(interval)

    def _estimate(
        self, taken_ns: int, now: NDArray[np.int16], weight: NDArray[np.float64], around: Surroundings
    ) -> Drift:
        present = now >= 0
        right = present & (now == self._wanted)
        total = float(weight[present].sum())
        share = float(weight[right].sum()) / total if total else 1.0
        return Drift(
            taken_ns,
            share,
            self._error(share, weight[present]),
            round(total),
            {
                node: round(float(weight[present & ~right & (now == node)].sum()))
                for node in np.unique(now[present & ~right]).tolist()
            },
            round(float(weight[now == NOT_THERE].sum())),
            int((now != UNASKED).sum()),
            self._findings(now, weight, around),
        )

    def _error(self, share: float, weight: NDArray[np.float64]) -> float:
        """Of a share of the pages that were found, which stand for unequally many."""
        if self._whole and len(weight) and float(weight.max()) <= 1.0:
            return 0.0
        if not len(weight):
            return 1.0
        total = float(weight.sum())
        worth = total**2 / float((weight**2).sum())
        others = max(0.0, 1 - len(weight) / total) ** 0.5  # pages that were not asked for
        return float(half_width(np.array(share), np.array(worth)).item() * others)

    def _findings(
        self, now: NDArray[np.int16], weight: NDArray[np.float64], around: Surroundings
    ) -> tuple[Finding, ...]:
        astray, absent = (now >= 0) & (now != self._wanted), now == NOT_THERE
        ledger = {
            cause: entry
            for cause, entry in self._causes.items()
            # What has come back needs no cause any more.
            if (astray if cause in (Cause.BALANCING, Cause.DEMOTION, Cause.TOOL) else astray | absent).any()
        }
        if before := float(weight[astray & self._before].sum()):
            ledger[Cause.BEFORE] = (before, self._counted)
        if not ledger:
            ledger[Cause.NONE] = (0.0, self._counted)
        ranked = sorted(ledger.items(), key=lambda entry: -entry[1][0])
        return tuple(describe(cause, pages, counted, around) for cause, (pages, counted) in ranked)

    def close(self) -> None:
        """Let the process go; a second time is no error."""
        self._hold.close()
