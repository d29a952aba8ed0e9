"""What keeps a job from doing harm: room that is left on the receiving node, and the breaker."""

from __future__ import annotations

from numamig.backends.base import Backend, TellsHealth
from numamig.migrate.batch import Batch
from numamig.migrate.breaker import Breaker, Limits, MovedSample
from numamig.migrate.mover import BatchResult
from numamig.migrate.plan import Plan
from numamig.migrate.room import Room
from numamig.model.finding import Finding
from numamig.model.outcome import Outcome

__all__ = ["Guard"]


class Guard:
    """Of one job. One thread asks."""

    def __init__(self, backend: Backend, plan: Plan, limits: Limits, seed: int) -> None:
        self._backend = backend
        self._pid = plan.process.pid
        self._breaker = Breaker(limits, plan.page_size, plan.pages)
        self._sample = MovedSample(seed=seed)
        self._room: Room | None
        self.aim_at(plan)

    def aim_at(self, plan: Plan) -> None:
        """Pages go to the plan's target from now on; where they went before counts no more."""
        self._room = Room(self._backend, plan) if plan.reserve_bytes else None
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
        """How many base pages of so many may go to the target now."""
        return pages if self._room is None else self._room.pages(pages, now_ns)

    def moved(self, batch: Batch, result: BatchResult, now_ns: int, *, again: bool) -> Finding | None:
        """A batch has moved; why the job must stop, where it must.

        :param again: of a later pass
        """
        if self._room is not None:
            self._room.took(result.outcomes[Outcome.MOVED])
        self._sample.feed(batch, result)
        tripped = self._breaker.after_batch(result.outcomes, again=again)
        if tripped is None and self._breaker.wants_health(now_ns):
            health = self._backend.health() if isinstance(self._backend, TellsHealth) else None
            tripped = self._breaker.healthy(health, self._sample.bounced(self._backend, self._pid))
        return tripped
