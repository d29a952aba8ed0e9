"""Sizes, rates, durations and percentages: parsed from what people type, printed as they read it.

Sizes are bytes, durations nanoseconds, rates bytes per second, all ``int``. ``K M G T`` and ``KiB …`` are binary,
as everywhere in the field; ``kB MB GB TB`` are decimal.
"""

from __future__ import annotations

import math
import re

from numamig.errors import UsageError

__all__ = [
    "format_bytes",
    "format_count",
    "format_duration",
    "format_percent",
    "format_rate",
    "parse_address",
    "parse_duration",
    "parse_rate",
    "parse_share",
    "parse_size",
    "parse_speed",
]

_SIZE = {"": 1, "b": 1}
for _power, _letter in enumerate("kmgt", start=1):
    _SIZE[_letter] = _SIZE[f"{_letter}ib"] = 1024**_power
    _SIZE[f"{_letter}b"] = 1000**_power
_DURATION = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000, "s": 10**9}
_DURATION |= {"m": 60 * 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zµ]*)\s*", re.IGNORECASE)

_SHARE = re.compile(r"\s*(\d{1,3}(?:\.\d{1,20})?)\s*%\s*", re.ASCII)


def _parse(text: str | int, units: dict[str, int], what: str, example: str) -> int:
    match = _NUMBER.fullmatch(str(text))
    unit = match.group(2).lower() if match else ""
    if match is None or unit not in units:
        raise UsageError(f"{str(text)!r} is not a {what}", hint=f"write it like {example}")
    value = float(match.group(1)) * units[unit]
    if value >= 1 << 63:
        raise UsageError(f"{str(text)[:40]!r} is too large for a {what}", hint=f"write it like {example}")
    return round(value)


def parse_size(text: str | int) -> int:
    """Bytes of ``"64MiB"``, ``"1.5G"``, ``"4096"``."""
    return _parse(text, _SIZE, "size", "64MiB")


def parse_rate(text: str | int) -> int:
    """Bytes per second of ``"200MiB/s"`` (the ``/s`` may be left out)."""
    rate = _parse(str(text).removesuffix("/s"), _SIZE, "rate", "200MiB/s")
    if rate == 0:
        raise UsageError(f"{str(text)!r} is not a rate", hint="it must be more than nothing, like 200MiB/s")
    return rate


def parse_duration(text: str | int) -> int:
    """Nanoseconds of ``"5ms"``, ``"2s"``, ``"40us"``."""
    duration = _parse(text, _DURATION, "duration", "5ms")
    if duration == 0:
        raise UsageError(f"{str(text)!r} is not a duration", hint="it must be more than nothing, like 5ms")
    return duration


def parse_speed(text: str) -> float:
    """How many times as fast: ``"10x"``, ``"0.5"``; infinity for ``"max"``."""
    if text.strip().lower() == "max":
        return math.inf
    match = _NUMBER.fullmatch(text)
    if match is None or match.group(2).lower() not in ("", "x"):
        raise UsageError(f"{text!r} is not a speed", hint="write it like 10x, 0.5x or max")
    speed = float(match.group(1))
    if not 0.001 <= speed <= 10_000:
        raise UsageError(f"speed {text} is out of range", hint="from 0.001x to 10000x, or max")
    return speed


def parse_share(text: str | int) -> float:
    """0 to 1 of ``"90%"``."""
    match = _SHARE.fullmatch(str(text))
    if match is None or float(match.group(1)) > 100:
        raise UsageError(f"{str(text)[:40]!r} is not a share", hint="write it like 90%")
    return float(match.group(1)) / 100


def parse_address(text: str) -> tuple[int, int]:
    """Start and end (exclusive) of ``"0x7f00-0x8f00"``; ``0x`` may be left out, as /proc/PID/maps leaves it out."""
    low, dash, high = text.partition("-")
    try:
        if not dash:
            raise ValueError(text)
        start, end = int(low, 16), int(high, 16)
    except ValueError:
        raise UsageError(
            f"{text!r} is not an address range", hint="write it like 0x7f0000000000-0x7f0004000000"
        ) from None
    if start >= end:
        raise UsageError(f"address range {text} is empty", hint="the end comes after the start")
    return start, end


def format_bytes(count: int) -> str:
    """``"64.0M"``, ``"8.0G"``, ``"512K"``, ``"0"``: binary, at most five characters, one decimal from M on."""
    for unit, power in (("T", 4), ("G", 3), ("M", 2)):
        if count >= 1024**power * 0.9995:
            value = count / 1024**power
            return f"{value:.0f}{unit}" if value >= 999.5 else f"{value:.1f}{unit}"
    return f"{round(count / 1024)}K" if count >= 1024 else f"{count}B" if count else "0"


def format_count(count: int) -> str:
    """``"876k"``, ``"1.09M"``: decimal, for numbers of pages."""
    for unit, scale in (("G", 10**9), ("M", 10**6)):
        if count >= scale:
            return f"{count / scale:.2f}{unit}"
    return f"{count / 1000:.1f}k" if count >= 10_000 else f"{count:,}"


def format_rate(bytes_per_second: float) -> str:
    """``"424.0M/s"``."""
    return f"{format_bytes(round(bytes_per_second))}/s"


def format_duration(duration_ns: float) -> str:
    """``"4.6 ms"``, ``"19.0 s"``, ``"3:05 min"``."""
    if duration_ns >= 120 * 10**9:
        minutes, seconds = divmod(round(duration_ns / 10**9), 60)
        return f"{minutes}:{seconds:02d} min"
    for unit, scale in (("s", 10**9), ("ms", 10**6), ("µs", 10**3)):
        if duration_ns >= scale:
            return f"{duration_ns / scale:.1f} {unit}"
    return f"{duration_ns:.0f} ns"


def format_percent(part: float, whole: float) -> str:
    """``"42%"``; a trace is never rounded to nothing, nor nearly all to all: ``"<1%"``, ``">99%"``."""
    if not whole or not part:
        return "0%"
    share = 100 * part / whole
    if share < 1:
        return "<1%"
    return ">99%" if 99 < share < 100 else f"{share:.0f}%"
