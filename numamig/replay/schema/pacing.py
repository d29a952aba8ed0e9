"""How gently a profile moves pages, what becomes of busy ones, and when it stops by itself."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from numamig.migrate.breaker import Limits
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Retry, RetryMode
from numamig.replay.schema.fields import Duration, Limit, Rate, Share, Size, Strict

__all__ = ["BatchSettings", "RetrySettings", "StopAt"]

_LEAST_BACKOFF_NS = 10**6
_MODES_OF: dict[str, tuple[RetryMode, ...]] = {
    "passes": (RetryMode.BOUNDED,),
    "deadline": (RetryMode.UNTIL,),
    "backoff": (RetryMode.BOUNDED, RetryMode.UNTIL),
}


class BatchSettings(Strict):
    """How much at once, and how fast."""

    pages: Annotated[int, Field(ge=1, le=1 << 20)] = DEFAULT_BATCH_PAGES
    """Base pages in a call; where it starts, if there is a budget."""
    budget: Duration | None = None
    """How long a call should take, like 5ms: the size of batches is steered by it."""
    rate: Rate | None = None
    """So much a second at most, like 200MiB/s."""
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    """Calls made at the same time."""
    calls: Annotated[int, Field(ge=0)] = MOST_CALLS
    """Calls a second, at most; 0: no limit."""
    reserve: Size | None = None
    """Left free on the target; left out: its high watermark and min(256 MiB, 5 %)."""


class RetrySettings(Strict):
    """What happens to busy pages."""

    mode: RetryMode = RetryMode.BOUNDED
    """never: they are skipped; bounded: by passes; until: none is busy, or the deadline."""
    passes: Annotated[int, Field(ge=1, le=100)] = Retry().passes
    """Of bounded: how often all that was busy is tried, the first time included."""
    deadline: Duration = Retry().deadline_ns
    """Of until: how long after the first step a further pass may begin."""
    backoff: Duration = Retry().backoff_ns
    """First pause between two passes; doubled for each further one."""

    @field_validator("passes", "deadline", "backoff")
    @classmethod
    def _says_something(cls, value: int, info: ValidationInfo) -> int:
        """Each of them is for some modes; said of another one it would be passed over in silence."""
        mode = info.data.get("mode")  # None where it is wrong itself
        modes = _MODES_OF[str(info.field_name)]
        if mode is not None and mode not in modes:
            raise ValueError(f"is for mode: {' or '.join(modes)}, not for {mode.value}")
        if info.field_name == "backoff" and value < _LEAST_BACKOFF_NS:
            raise ValueError("is 1ms at least: a pass reads all that was busy again")
        return value

    def settings(self) -> Retry:
        """As the engine takes them."""
        usual = Retry()
        return Retry(
            self.mode, self.passes, self.backoff, max(self.backoff, usual.most_backoff_ns), deadline_ns=self.deadline
        )


class StopAt(Strict):
    """Beyond which a job stops by itself; none: never for that reason."""

    busy: Share = Limits().busy
    """Of the pages tried last."""
    stalled: Share = Limits().stalled
    """Of the time, in which all wait for memory."""
    swapped_out: Limit = Limits().swapped_out_bytes
    """Since the job began, by whomever."""
    bounced: Share = Limits().bounced
    """Of a sample of moved pages, that are elsewhere by now."""

    def settings(self) -> Limits:
        """As the engine takes them."""
        return Limits(stalled=self.stalled, swapped_out_bytes=self.swapped_out, busy=self.busy, bounced=self.bounced)
