"""Units in and out."""

import math

import pytest

from numamig.errors import UsageError
from numamig.units import (
    format_bytes,
    format_count,
    format_duration,
    format_percent,
    parse_address,
    parse_duration,
    parse_rate,
    parse_size,
    parse_speed,
)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("4K", 4096),
        ("64MiB", 64 << 20),
        ("1.5g", 3 << 29),
        ("2 TiB", 2 << 40),
        ("1MB", 10**6),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "-4K", "4 KiBs", "4K4", "1e3", "nan", "0x10"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_size(text)


def test_rates_and_durations() -> None:
    assert parse_rate("200MiB/s") == parse_rate("200M") == 200 << 20
    assert [parse_duration(t) for t in ("5ms", "2s", "40us", "1min")] == [5_000_000, 2 * 10**9, 40_000, 60 * 10**9]
    assert [parse_duration(t) // 10**9 for t in ("10m", "1.5h")] == [600, 5400]
    with pytest.raises(UsageError, match="more than nothing"):
        parse_rate("0/s")
    with pytest.raises(UsageError, match="is not a duration"):
        parse_duration("5")


def test_addresses() -> None:
    assert parse_address("0x7f00-0x8f00") == parse_address("7f00-8f00") == (0x7F00, 0x8F00)
    for text in ("7f00", "7f00-", "x-y", "9-8"):
        with pytest.raises(UsageError, match="address range"):
            parse_address(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0"),
        (512, "512B"),
        (4096, "4K"),
        (132 << 10, "132K"),
        (64 << 20, "64.0M"),
        ((1 << 30) - 1, "1.0G"),
        (1000 << 20, "1000M"),
        (8 << 30, "8.0G"),
        (3 << 40, "3.0T"),
    ],
)
def test_bytes_are_short(count: int, text: str) -> None:
    assert format_bytes(count) == text


def test_percent_never_rounds_a_trace_away() -> None:
    assert [format_percent(*p) for p in ((0, 10), (1, 1000), (5, 10), (999, 1000), (10, 10), (1, 0))] == [
        "0%",
        "<1%",
        "50%",
        ">99%",
        "100%",
        "0%",
    ]


def test_durations_and_counts() -> None:
    assert [format_duration(ns) for ns in (900, 4_600_000, 19 * 10**9, 185 * 10**9)] == [
        "900 ns",
        "4.6 ms",
        "19.0 s",
        "3:05 min",
    ]
    assert [format_count(n) for n in (999, 12_152, 1_090_000)] == ["999", "12.2k", "1.09M"]


@pytest.mark.parametrize(
    ("text", "speed"), [("10x", 10.0), ("0.5x", 0.5), ("1", 1.0), ("2 X", 2.0), ("max", math.inf), ("MAX", math.inf)]
)
def test_speeds(text: str, speed: float) -> None:
    assert parse_speed(text) == speed


@pytest.mark.parametrize("text", ["", "x", "fast", "-1x", "1e3", "10 %", "0", "0x", "99999x"])
def test_what_is_no_speed(text: str) -> None:
    with pytest.raises(UsageError, match=r"is not a speed|out of range"):
        parse_speed(text)
