"""What a profile may say, version 1, as pydantic models."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from numamig.errors import UsageError
from numamig.migrate.breaker import Limits
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Retry, RetryMode
from numamig.model.outcome import Outcome
from numamig.model.process import RegionKind
from numamig.units import parse_duration, parse_rate, parse_size

__all__ = ["Bound", "Expect", "Migrate", "ProcessSelector", "Profile", "Step"]

_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    ">": operator.gt,
    "<": operator.lt,
}


def _parsed(parse: Callable[[str], int]) -> BeforeValidator:
    def validate(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("write a number with a unit")
        try:
            return parse(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _or_none(parse: Callable[[str], float]) -> BeforeValidator:
    def validate(value: object) -> float | None:
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise ValueError("write a number with a unit, or none for no limit")
        try:
            return None if value == "none" else parse(str(value))
        except UsageError as error:
            raise ValueError(str(error)) from None

    return BeforeValidator(validate)


def _parse_share(text: str) -> float:
    """0 to 1 for ``"90%"``."""
    match = re.fullmatch(r"\s*(\d{1,3}(?:\.\d+)?)\s*%\s*", text, re.ASCII)
    if match is None or float(match.group(1)) > 100:
        raise UsageError(f"{text!r} is not a share", hint="write it like 90%, or none for no limit")
    return float(match.group(1)) / 100


_LEAST_BACKOFF_NS = 10**6
_MODES_OF: dict[str, tuple[RetryMode, ...]] = {
    "passes": (RetryMode.BOUNDED,),
    "deadline": (RetryMode.UNTIL,),
    "backoff": (RetryMode.BOUNDED, RetryMode.UNTIL),
}

Size = Annotated[int, _parsed(parse_size)]
Rate = Annotated[int, _parsed(parse_rate)]
Duration = Annotated[int, _parsed(parse_duration)]
Share = Annotated[float | None, _or_none(_parse_share)]
"""0 to 1; None: no limit."""
NodeId = Annotated[int, Field(ge=0, strict=True)]


def _node_list(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, str | int | list):
        raise ValueError("write nodes like 0, 0,2-3, all or !1")
    return ",".join(str(part) for part in value) if isinstance(value, list) else str(value)


def _kinds(value: object) -> object:
    kinds = [value] if isinstance(value, str) else value
    if isinstance(kinds, list) and RegionKind.SPECIAL.value in kinds:
        raise ValueError("special regions (vdso and the like) are never moved")
    return kinds


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ProcessSelector(_Strict):
    """Which processes; every key that is given must fit."""

    pid: Annotated[int, Field(gt=0, strict=True)] | None = None
    name: str | None = None
    """comm, exactly."""
    user: str | None = None
    cmdline: str | None = None
    """A regular expression, searched for in the arguments joined by spaces."""
    which: Literal["only", "largest", "all"] = "only"
    """Of those that fit: the only one, the largest, or all."""

    @model_validator(mode="after")
    def _says_something(self) -> ProcessSelector:
        if self.pid is None and self.name is None and self.user is None and self.cmdline is None:
            raise ValueError("say which process: pid, name, user or cmdline")
        if self.cmdline is not None:
            try:
                re.compile(self.cmdline)
            except re.error as error:
                raise ValueError(f"cmdline is no regular expression: {error}") from None
        return self


class PageSelector(_Strict):
    """Which pages of a process."""

    from_: Annotated[str | None, BeforeValidator(_node_list)] = Field(default=None, alias="from")
    """Node list; left out: every node but the target."""
    kind: Annotated[list[RegionKind], BeforeValidator(_kinds)] = Field(default_factory=list)
    """Left out: any."""
    at_least: Size = 0
    """Only regions of this size or larger."""


class BatchSettings(_Strict):
    """How much at once, and how fast."""

    pages: Annotated[int, Field(ge=1, le=1 << 20)] = DEFAULT_BATCH_PAGES
    budget: Duration | None = None
    rate: Rate | None = None
    threads: Annotated[int, Field(ge=1, le=64)] = 1
    calls: Annotated[int, Field(ge=0)] = MOST_CALLS
    """A second, at most; 0: no limit."""
    reserve: Size | None = None
    """Left free on the target; left out: its high watermark and min(256 MiB, 5 %)."""


class RetrySettings(_Strict):
    """What happens to busy pages."""

    mode: RetryMode = RetryMode.BOUNDED
    passes: Annotated[int, Field(ge=1, le=100)] = Retry().passes
    """Of ``bounded``."""
    deadline: Duration = Retry().deadline_ns
    """Of ``until``."""
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


class StopAt(_Strict):
    """Beyond which a job stops by itself; ``none``: never for that reason."""

    busy: Share = Limits().busy
    """Of the pages tried last."""
    stalled: Share = Limits().stalled
    """Of the time, in which all wait for memory."""
    swapped_out: Annotated[int | None, _or_none(parse_size)] = Limits().swapped_out_bytes
    """Since the job began, by whomever."""
    bounced: Share = Limits().bounced
    """Of a sample of moved pages, that are elsewhere by now."""

    def settings(self) -> Limits:
        """As the engine takes them."""
        return Limits(stalled=self.stalled, swapped_out_bytes=self.swapped_out, busy=self.busy, bounced=self.bounced)


class Migrate(_Strict):
    """Move pages of processes to a node."""

    process: ProcessSelector
    pages: PageSelector = PageSelector()
    to: NodeId
    batch: BatchSettings = BatchSettings()
    retry: RetrySettings = RetrySettings()
    limits: StopAt = StopAt()
    shared: Annotated[bool, Field(strict=True)] = False
    critical: Annotated[bool, Field(strict=True)] = False
    """Also processes that had better be left alone."""


class Bound(_Strict):
    """A comparison such as ``">= 95%"``."""

    text: str

    def holds(self, part: float, whole: float) -> bool:
        """Whether ``part`` (a count), or its share of ``whole`` where the bound is in percent, fits."""
        sign, number, percent = _split_bound(self.text)
        value = (100 * part / whole if whole else 0.0) if percent else part
        return _COMPARISONS[sign](value, number)

    @property
    def in_percent(self) -> bool:
        return self.text.endswith("%")


def _split_bound(text: str) -> tuple[str, float, bool]:
    match = re.fullmatch(r"\s*(>=|<=|==|>|<)\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    if match is None:
        raise ValueError('write a comparison like ">= 95%" or "== 0"')
    return match.group(1), float(match.group(2)), bool(match.group(3))


def _bound(value: object) -> object:
    if isinstance(value, Bound):
        return value
    text = str(value)
    _split_bound(text)
    return Bound(text=text.strip())


ABound = Annotated[Bound | None, BeforeValidator(_bound)]


class Expect(_Strict):
    """Bounds that must hold after the migrations so far: outcomes in pages or percent of those chosen; ``remote``."""

    moved: ABound = None
    already_there: ABound = None
    busy: ABound = None
    shared: ABound = None
    absent: ABound = None
    unmapped: ABound = None
    hinted: ABound = None
    no_room: ABound = None
    refused: ABound = None
    gone: ABound = None
    not_tried: ABound = None
    remote: ABound = None
    """Memory of the migrated processes that is not on the nodes their threads run on."""

    @model_validator(mode="after")
    def _says_something(self) -> Expect:
        if not self.bounds():
            raise ValueError('say what is expected, like moved: ">= 95%"')
        return self

    def bounds(self) -> dict[str, Bound]:
        """Those that are given, by name."""
        given = {name: getattr(self, name) for name in (*(o.key for o in Outcome), "remote")}
        return {name: bound for name, bound in given.items() if bound is not None}


class Step(_Strict):
    """One thing to do."""

    migrate: Migrate | None = None
    wait: Duration | None = None
    expect: Expect | None = None

    @model_validator(mode="after")
    def _one_thing(self) -> Step:
        if sum(part is not None for part in (self.migrate, self.wait, self.expect)) != 1:
            raise ValueError("a step is one of migrate, wait, expect")
        return self


class Profile(_Strict):
    """A profile, version 1."""

    numamig: Literal[1]
    title: str = ""
    backend: Literal["auto", "linux", "simulator"] = "auto"
    scenario: str | None = None
    """For the simulator: a file beside the profile, or the name of a shipped one."""
    steps: Annotated[list[Step], Field(min_length=1)]
