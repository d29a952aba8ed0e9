"""How gently pages move: the options of every command that moves them, and what they make of a request."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

import click

from numamig.errors import UsageError
from numamig.migrate.request import DEFAULT_BATCH_PAGES, MOST_CALLS, Request, Retry, RetryMode
from numamig.units import parse_duration, parse_rate, parse_share, parse_size

if TYPE_CHECKING:
    from numamig.migrate.breaker import Limits

__all__ = ["Pacing", "pacing_options"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Pacing:
    """The options as they were typed; None where nothing was said, and the request stays as it is."""

    pages: int | None = None
    threads: int | None = None
    budget: str | None = None
    rate: str | None = None
    calls: str | None = None
    reserve: str | None = None
    retry: str | None = None
    passes: int | None = None
    deadline: str | None = None
    backoff: str | None = None
    max_busy: str | None = None
    critical: bool = False

    def of(self, request: Request) -> Request:
        """The request with everything in it that was said.

        :raises UsageError: something does not parse, or does not go together.
        """
        said: dict[str, Any] = {
            "batch_pages": self.pages,
            "threads": self.threads,
            "budget_ns": None if self.budget is None else parse_duration(self.budget),
            "rate": None if self.rate is None else parse_rate(self.rate),
            "reserve_bytes": None if self.reserve is None else parse_size(self.reserve),
        }
        said = {name: value for name, value in said.items() if value is not None}
        if self.calls is not None:
            said["most_calls"] = _calls(self.calls)
        return replace(request, **said, retry=self._retry(request.retry), critical=self.critical or request.critical)

    @property
    def limits(self) -> Limits:
        """Beyond which a job stops by itself.

        :raises UsageError: a share does not parse.
        """
        from numamig.migrate.breaker import Limits

        return Limits() if self.max_busy is None else Limits(busy=_share(self.max_busy))

    def _retry(self, before: Retry) -> Retry:
        mode = before.mode if self.retry is None else RetryMode(self.retry)
        retry = replace(before, mode=mode)
        if self.passes is not None:
            _demand(mode, "--passes", RetryMode.BOUNDED)
            retry = replace(retry, passes=self.passes)
        if self.deadline is not None:
            _demand(mode, "--deadline", RetryMode.UNTIL)
            retry = replace(retry, deadline_ns=parse_duration(self.deadline))
        if self.backoff is not None:
            _demand(mode, "--backoff", RetryMode.BOUNDED, RetryMode.UNTIL)
            first = parse_duration(self.backoff)
            retry = replace(retry, backoff_ns=first, most_backoff_ns=max(first, retry.most_backoff_ns))
        return retry


def pacing_options(otherwise: str | None = None) -> Callable[[_Function], _Function]:
    """``--pages``, ``--rate`` and the like; the command is handed a ``Pacing`` as ``pacing``.

    :param otherwise: what holds where nothing is said, in words; None: what holds for any new request
    """

    def default(usual: str) -> str:
        return f"  [default: {otherwise or usual}]"

    modes = [mode.value for mode in RetryMode]
    options = (
        click.option(
            "--pages", type=click.IntRange(1, 1 << 20), help=f"Pages in a call.{default(str(DEFAULT_BATCH_PAGES))}"
        ),
        click.option("--threads", type=click.IntRange(1, 64), help=f"Calls at the same time.{default('1')}"),
        click.option(
            "--budget", metavar="TIME", help="Steer the size of steps so that a call takes about this long: 5ms."
        ),
        click.option("--rate", metavar="RATE", help="Move at most this much: 200MiB/s."),
        click.option(
            "--calls", metavar="N", help=f"Calls a second, at most; none: no limit.{default(str(MOST_CALLS))}"
        ),
        click.option(
            "--reserve",
            metavar="SIZE",
            help=f"Keep this much free where pages go.{default('its watermark and 5%')}",
        ),
        click.option("--retry", type=click.Choice(modes), help=f"Busy pages.{default('bounded')}"),
        click.option("--passes", type=click.IntRange(1, 100), help=f"Passes of a bounded retry.{default('3')}"),
        click.option("--deadline", metavar="TIME", help=f"When --retry until gives up: 30s.{default('60s')}"),
        click.option(
            "--backoff",
            metavar="TIME",
            help=f"First pause between passes, doubled for each further one.{default('50ms')}",
        ),
        click.option(
            "--max-busy",
            metavar="SHARE",
            help="Stop when more of the latest pages were busy: 50%; none: never.  [default: 90%]",
        ),
        click.option("--critical", is_flag=True, help="Also init, your own shell, real-time threads, guests, devices."),
    )

    def decorate(function: _Function) -> _Function:
        @functools.wraps(function)
        def call(*arguments: Any, **values: Any) -> Any:
            said = {field.name: values.pop(field.name) for field in fields(Pacing)}
            return function(*arguments, pacing=Pacing(**said), **values)

        decorated: Any = call
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _calls(text: str) -> int | None:
    """Calls a second; None for no limit."""
    if text.strip().lower() in ("none", "0"):
        return None
    if not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{text!r} is no number of calls", hint="calls a second, like 200, or none for no limit")
    return int(text)


def _share(text: str) -> float | None:
    """0 to 1 for ``"50%"``; None for "none"."""
    if text.strip().lower() == "none":
        return None
    return parse_share(text)


def _demand(mode: RetryMode, option: str, *modes: RetryMode) -> None:
    """
    :raises UsageError: the option says nothing in that mode.
    """
    if mode not in modes:
        wanted = " or ".join(m.value for m in modes)
        raise UsageError(f"{option} is for --retry {wanted}, not for --retry {mode.value}")
