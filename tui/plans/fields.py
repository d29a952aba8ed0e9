"""The fields of a plan, one by one: their values in steps, as they are written, and as they are typed.

What is typed is read by the parsers of the command line, and says the same there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from numamig.errors import UsageError
from numamig.migrate.order_mode import Heat, Order, OrderMode
from numamig.migrate.request import MOST_CALLS, Mapped, Retry, RetryMode
from numamig.model.nodeset import format_nodeset, parse_nodeset
from numamig.units import parse_duration, parse_rate, parse_share, parse_size
from tui.plans.goals import goal_text, goals, parse_goal
from tui.words.present import duration_text, retry_text, short_size

if TYPE_CHECKING:
    from tui.plans.form import Form

__all__ = [
    "BATCHES",
    "BUDGETS",
    "DEFAULT_DEADLINE_NS",
    "FIELDS",
    "RATES",
    "Field",
    "beside",
    "budget_text",
    "rate_text",
]

BATCHES = tuple(1 << power for power in range(6, 17))
BUDGETS: tuple[int | None, ...] = (*(times * 100_000 for times in (5, 10, 20, 50, 100, 200, 500, 1000)), None)
"""Of a call, in ns; None: none is wanted."""
RATES: tuple[int | None, ...] = (*(1 << power for power in range(18, 33)), None)
"""Bytes per second; None: no limit."""
DEFAULT_DEADLINE_NS = Retry().deadline_ns
_RETRIES = (
    Retry(RetryMode.NEVER),
    *(Retry(RetryMode.BOUNDED, passes) for passes in (2, 3, 5)),
    Retry(RetryMode.UNTIL),
)
_DEADLINES = tuple(seconds * 10**9 for seconds in (5, 10, 30, 60, 120, 300, 600, 1800, 3600))
"""Of a retry until, in ns."""
_RESERVES: tuple[int | None, ...] = (None, 0, *(1 << power for power in range(26, 35)))
"""Bytes to leave free on the target; None: its watermark and a part of it."""
_CALLS: tuple[int | None, ...] = (10, 20, 50, 100, MOST_CALLS, 500, 1000, None)
"""Per second, at most; None: no limit."""
_THREADS = (1, 2, 4, 8, 16)
_LIMITS = (None, *(1 << power for power in range(20, 41, 2)))
"""Bytes that are moved at most; None: all."""
_HEATS = (None, Heat(least=0.5), Heat(least=0.8), Heat(most=0.2), Heat(most=0.0))
_MOST_BATCH, _MOST_THREADS = 1 << 20, 64
_YES = ("yes", "move", "also", "y")
_NO = ("no", "leave", "n")


@dataclass(frozen=True, slots=True)
class Field:
    """A setting of a form."""

    name: str
    attribute: str
    """Of ``Form``."""
    steps: Callable[[Form], Sequence[Any]]
    """Values one beside the other; a typed one may lie between them."""
    words: Callable[[Form, Any], str]
    parse: Callable[[Form, str], Any]
    """Raises UsageError."""
    example: str
    """How it is typed."""

    def value(self, form: Form) -> Any:
        return getattr(form, self.attribute)

    def text(self, form: Form) -> str:
        """As it is written in the dialog."""
        return self.words(form, self.value(form))

    def stepped(self, form: Form, way: int) -> Any:
        """The next or previous value; the ends do not meet."""
        return _step(self.steps(form), self.value(form), way)


def _step(values: Sequence[Any], value: Any, way: int) -> Any:
    if value in values:
        return values[max(0, min(len(values) - 1, values.index(value) + way))]
    numbers = [each for each in values if isinstance(each, int)]
    if not isinstance(value, int) or not numbers:
        return values[0]
    found = beside(numbers, value, way)
    return values[-1 if way > 0 else 0] if found == value else found


def beside(values: Sequence[int | None], value: int | None, way: int) -> int | None:
    """The next larger or smaller of some values, also from one that is not among them; None is beyond all others."""

    def order(each: int | None) -> float:
        return float("inf") if each is None else each

    found = [each for each in values if (order(each) > order(value) if way > 0 else order(each) < order(value))]
    return (found[0] if way > 0 else found[-1]) if found else value


def budget_text(budget_ns: int | None) -> str:
    """``5.0 ms a call``."""
    return "none" if budget_ns is None else f"{duration_text(budget_ns)} a call"


def rate_text(rate: int | None) -> str:
    """``64M/s``."""
    return "no limit" if rate is None else f"{short_size(rate)}/s at most"


def _source_text(_: Form, sources: tuple[int, ...] | None) -> str:
    return "all others" if sources is None else f"node {format_nodeset(sources)}"


def _reserve_text(_: Form, reserve_bytes: int | None) -> str:
    if reserve_bytes is None:
        return "its high watermark, and 5% or 256M"
    return f"{short_size(reserve_bytes)} free on the target" if reserve_bytes else "nothing: fill the target"


def _order_text(_: Form, order: Order) -> str:
    mode = order.mode
    if mode is OrderMode.RANDOM:
        return f"random, seed {order.seed}"
    return "by address" if mode is OrderMode.ADDRESS else f"{mode.value} first"


def _heat_text(_: Form, heat: Heat | None) -> str:
    if heat is None:
        return "any"
    if heat.most < 1:
        return f"touched in {heat.most:.0%} of a few looks at most"
    return f"touched in {heat.least:.0%} of a few looks at least"


def _retry_words(_: Form, retry: Retry) -> str:
    return "until none is busy" if retry.mode is RetryMode.UNTIL else retry_text(retry)


def _number(text: str, what: str, most: int) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:12]) <= most):
        raise UsageError(f"{text!r} is no number of {what}", hint=f"1 to {most:,}")
    return int(text)


def _or_none(parse: Callable[[str], int], *none: str) -> Callable[[Form, str], int | None]:
    """What also can be without a limit."""
    return lambda _, text: None if text in (none or ("none",)) else parse(text)


def _parse_sources(form: Form, text: str) -> tuple[int, ...] | None:
    return None if text == "all" else parse_nodeset(text, form.nodes)


def _parse_retry(_form: Form, text: str) -> Retry:
    mode, _, rest = text.partition(" ")
    if mode == "until":
        return Retry(RetryMode.UNTIL, deadline_ns=parse_duration(rest) if rest else DEFAULT_DEADLINE_NS)
    if text == "never":
        return Retry(RetryMode.NEVER)
    try:
        return Retry(RetryMode.BOUNDED, _number(text.removesuffix("passes").strip(), "passes", 100))
    except UsageError:
        raise UsageError(f"{text!r} is no way to try again", hint="never, until 30s, or passes: 1 to 100") from None


def _parse_yes(_: Form, text: str) -> bool:
    if text not in (*_YES, *_NO):
        raise UsageError(f"{text!r} is neither yes nor no", hint="yes, or no")
    return text in _YES


def _parse_order(form: Form, text: str) -> Order:
    mode, _, seed = text.removesuffix(" first").removeprefix("by ").partition(" ")
    known = [each.mode.value for each in _orders(form)]
    if mode not in known or (seed and not (mode == "random" and seed.isascii() and seed.isdecimal())):
        raise UsageError(f"there is no order {text!r}", hint=f"{', '.join(known)}; random 7 has a seed")
    return Order(OrderMode(mode), int(seed or 0))


def _parse_heat(_form: Form, text: str) -> Heat | None:
    if text == "any":
        return None
    word, _, share = text.partition(" ")
    if word not in ("hot", "cold"):
        raise UsageError(f"{text!r} is no heat", hint="hot 80%, cold 20%, or any")
    return Heat(least=parse_share(share)) if word == "hot" else Heat(most=parse_share(share))


def _parse_calls(_: Form, text: str) -> int | None:
    return None if text in ("none", "0") else _number(text, "calls a second", 10**9)


def _parse_mapped(_: Form, text: str) -> Mapped:
    if text not in {mapped.value for mapped in Mapped}:
        raise UsageError(f"{text!r} says nothing of who maps them", hint="any, shared or private")
    return Mapped(text)


def _orders(form: Form) -> tuple[Order, ...]:
    """By heat only where the machine can tell it."""
    warm = (Order(OrderMode.HOTTEST), Order(OrderMode.COLDEST)) if form.tells_heat else ()
    return (Order(), *warm, Order(OrderMode.RANDOM))


def _pages_of(form: Form, size: int | None) -> int | None:
    return None if size is None else max(1, size // form.page_size)


_MAPPED = {
    Mapped.ANY: "whoever maps them",
    Mapped.SHARED: "only what others map too",
    Mapped.PRIVATE: "only what nobody else maps",
}
_CRITICAL = {False: "leave such processes alone", True: "also init, own shells, real-time, guests"}

FIELDS: dict[str, Field] = {
    field.name: field
    for field in (
        Field("To", "to", goals, goal_text, parse_goal, "1 · 0-2 · 0:3,1:1 · 0>1,1>0"),
        Field(
            "From",
            "sources",
            lambda form: (None, *((node,) for node in form.nodes if node not in form.filled)),
            _source_text,
            _parse_sources,
            "0 · 0,2-5 · !1 · all",
        ),
        Field(
            "Batch",
            "batch_pages",
            lambda _: BATCHES,
            lambda form, pages: f"{pages} pages = {short_size(pages * form.page_size)}",
            lambda _, text: _number(text, "pages", _MOST_BATCH),
            "4096",
        ),
        Field("Budget", "budget_ns", lambda _: BUDGETS, lambda _, b: budget_text(b), _or_none(parse_duration), "5ms"),
        Field("Rate", "rate", lambda _: RATES, lambda _, rate: rate_text(rate), _or_none(parse_rate), "100MiB/s"),
        Field("Retry", "retry", lambda _: _RETRIES, _retry_words, _parse_retry, "never · 4 · until 30s"),
        Field(
            "Deadline",
            "deadline_ns",
            lambda _: _DEADLINES,
            lambda _, deadline_ns: f"{duration_text(deadline_ns)} after its first step",
            lambda _, text: parse_duration(text),
            "90s",
        ),
        Field(
            "Shared",
            "shared",
            lambda _: (False, True),
            lambda _, shared: "move, with all who map them" if shared else "leave",
            _parse_yes,
            "move · leave",
        ),
        Field("Critical", "critical", lambda _: (False, True), lambda _, yes: _CRITICAL[yes], _parse_yes, "yes · no"),
        Field("Reserve", "reserve_bytes", lambda _: _RESERVES, _reserve_text, _or_none(parse_size, "default"), "2GiB"),
        Field(
            "Calls",
            "most_calls",
            lambda _: _CALLS,
            lambda _, calls: "no limit" if calls is None else f"{calls} a second at most",
            _parse_calls,
            "50 · none",
        ),
        Field(
            "Threads",
            "threads",
            lambda _: _THREADS,
            lambda _, threads: f"{threads} calls at the same time" if threads > 1 else "one call at a time",
            lambda _, text: _number(text, "threads", _MOST_THREADS),
            "4",
        ),
        Field("Order", "order", _orders, _order_text, _parse_order, "address · random 7"),
        Field(
            "Limit",
            "most_pages",
            lambda form: tuple(_pages_of(form, size) for size in _LIMITS),
            lambda form, pages: "all of them" if pages is None else f"at most {short_size(pages * form.page_size)}",
            lambda form, text: _pages_of(form, None if text == "all" else parse_size(text)),
            "4GiB · all",
        ),
        Field("Mapped", "mapped", lambda _: tuple(Mapped), lambda _, mapped: _MAPPED[mapped], _parse_mapped, "private"),
        Field("Heat", "heat", lambda _: _HEATS, _heat_text, _parse_heat, "hot 80% · cold 20%"),
    )
}
"""By name."""
