"""What keeps a job from doing harm: room that is left on the receiving nodes, and the breaker."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from numamig.backends.base import Backend, TellsHealth
from numamig.errors import RefusedError
from numamig.migrate.batch import Batch, Even
from numamig.migrate.breaker import Breaker, Limits, MovedSample
from numamig.migrate.ledger import Settled
from numamig.migrate.mover import BatchResult
from numamig.migrate.plan import Plan
from numamig.migrate.reserve import reserve_on
from numamig.migrate.room import Room
from numamig.model.finding import Finding
from numamig.model.outcome import Outcome
from numamig.model.pages import UNKNOWN_NODE
from numamig.model.process import RegionKind

__all__ = ["Guard"]


class Guard:
    """Of one job. One thread asks."""

    def __init__(self, backend: Backend, plan: Plan, limits: Limits, seed: int) -> None:
        self._backend = backend
        self._pid = plan.process.pid
        self._page_size = plan.page_size
        self._breaker = Breaker(limits, plan.page_size, plan.pages)
        self._sample = MovedSample(seed=seed)
        self._plan: Plan
        self._rooms: dict[int, Room | None]
        """By node; None where no reserve is kept."""
        self._pools: NDArray[np.uint64]
        """First address and end of what lies in pools of hugetlb pages, which take no free memory; shape (parts, 2)."""
        self._apart: bool
        """Where a page goes, or whether it takes free memory there, is not the same for all."""
        self._target: int
        """Of the nodes that receive, the first."""
        self._several: bool
        self._allowed = 0
        """Pages that may go to the target for all that is known; any batch of no more is fine."""
        self.aim_at(plan)

    def aim_at(self, plan: Plan) -> None:
        """Pages go where this plan says from now on; where they went before counts no more."""
        parts = zip(plan.selected, plan.ranges, strict=True)
        pools = [part for region, part in parts if region.kind is RegionKind.HUGETLB]
        self._plan, self._rooms = plan, {}
        self._pools = np.array(pools, np.uint64).reshape(-1, 2)
        nodes = plan.request.to.nodes
        self._several = len(nodes) != 1
        self._apart = plan.undoes is not None or bool(pools) or self._several
        self._target = nodes[0] if nodes else UNKNOWN_NODE
        self._allowed = 0
        self._sample.forget()

    def begin(self, now_ns: int) -> None:
        """Nothing has moved yet: what was swapped out before is not this job's doing."""
        if self._breaker.wants_health(now_ns) and isinstance(self._backend, TellsHealth):
            self._breaker.healthy(self._backend.health())

    def begin_again(self, now_ns: int) -> None:
        """It was paused: what was swapped out meanwhile is not this job's doing either."""
        self._breaker.begin_again()
        self.begin(now_ns)

    def allows(self, pages: int, now_ns: int) -> int:
        """How many base pages to choose, of so many: as many as there is room for, if there is any."""
        room = None if self._several else self._room(self._target)
        if len(self._pools) or len(self._rooms) > 1:  # what the next ones take, and where, is seen when they are chosen
            room = None
        self._allowed = pages if room is None else room.pages(pages, now_ns)
        return self._allowed or pages

    def fits(self, batch: Batch, pages: int, now_ns: int) -> tuple[Batch, Settled | None]:
        """What of a batch there is room for where it goes, and the rest of it, if any.

        :param pages: base pages of it
        """
        if not pages or (pages <= self._allowed and not self._apart):
            return batch, None
        taken = self._taken(batch.address, batch.size_bytes // self._page_size)
        fits = np.ones(len(batch), np.bool_)
        for node in np.unique(batch.target).tolist():
            room = self._room(node)
            if room is None:
                continue
            there = np.where(batch.target == node, taken, 0)
            wanted = int(there.sum())
            allowed = room.pages(wanted, now_ns)
            if allowed < wanted:
                fits &= (there == 0) | (np.cumsum(there) <= allowed)
        if fits.all():
            return batch, None
        kept = Batch(batch.address[fits], batch.size_bytes[fits], batch.source[fits], batch.target[fits])
        every = np.full(len(batch), Outcome.NO_ROOM, np.int8)
        settled = Settled(batch.address, batch.size_bytes // self._page_size, batch.source, batch.target, every)
        return kept, settled.only(~fits)

    @staticmethod
    def refusal(no_room: Settled) -> RefusedError:
        """Why a job ends of whose batch nothing fits."""
        nodes = np.unique(no_room.target).tolist()
        several = len(nodes) > 1
        who = f"nodes {' and '.join(map(str, nodes))} are" if several else f"node {nodes[0]} is"
        return RefusedError(
            f"{who} down to {'their' if several else 'its'} reserve",
            hint="free memory there, choose another node, or --reserve less",
        )

    def moved(self, batch: Batch, result: BatchResult, now_ns: int, *, again: bool) -> Finding | None:
        """A batch has moved; why the job must stop, where it must.

        :param again: of a later pass
        """
        self._took(batch, result)
        self._sample.feed(batch, result)
        tripped = self._breaker.after_batch(result.outcomes, again=again)
        if tripped is None and self._breaker.wants_health(now_ns):
            health = self._backend.health() if isinstance(self._backend, TellsHealth) else None
            tripped = self._breaker.healthy(health, self._sample.bounced(self._backend, self._pid))
        return tripped

    def _took(self, batch: Batch, result: BatchResult) -> None:
        if not self._apart:
            if (room := self._room(self._target)) is not None:
                room.took(result.outcomes[Outcome.MOVED])
            return
        settled = result.settled
        if isinstance(settled, Even):
            address, pages, target = batch.address, batch.size_bytes // self._page_size, batch.target
        else:
            address, pages, _, target, _ = settled.only(settled.outcome == Outcome.MOVED)
        taken = self._taken(address, pages)
        for node in np.unique(target).tolist():
            if (room := self._room(node)) is not None:
                room.took(int(taken[target == node].sum()))

    def _taken(self, address: NDArray[np.uint64], pages: NDArray[np.int64]) -> NDArray[np.int64]:
        """Base pages of free memory that folios take where they go; shape (folios,)."""
        if not len(self._pools):
            return pages
        place = np.searchsorted(self._pools[:, 0], address, side="right") - 1
        pooled = (place >= 0) & (address < self._pools[place, 1])
        return np.where(pooled, 0, pages)

    def _room(self, node: int) -> Room | None:
        if node not in self._rooms:
            kept = self._reserve_bytes(node)
            self._rooms[node] = Room(self._backend, node, kept, self._page_size) if kept else None
        return self._rooms[node]

    def _reserve_bytes(self, node: int) -> int:
        plan = self._plan
        if node == self._target:
            return plan.reserve_bytes
        backend = self._backend
        return reserve_on(node, backend.topology(), backend.node_counters(), plan.request)
