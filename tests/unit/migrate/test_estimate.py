"""How long it will take: a function of folios, costs and what is asked."""

from __future__ import annotations

import pytest

from numamig.backends.base import FolioCost
from numamig.migrate.destination import Node
from numamig.migrate.estimate import Estimate, estimate, rough_cost
from numamig.migrate.request import Request

PAGE = 4096
HUGE = 2 << 20
COSTS = {PAGE: FolioCost(10_000, 1_000, 512), HUGE: FolioCost(10_000, 200_000, 1)}
LOOK_NS = 30


def expected(folios: dict[int, int], **asked: object) -> Estimate:
    request = Request(1, Node(0), **{"most_calls": None, **asked})  # type: ignore[arg-type]
    found = estimate(folios, COSTS, request, PAGE)
    assert found is not None
    return found


def test_nothing_to_move() -> None:
    assert estimate({}, COSTS, Request(1, Node(0)), PAGE) is None
    assert estimate({PAGE: 0}, COSTS, Request(1, Node(0)), PAGE) is None


def test_calls_and_pages() -> None:
    found = expected({PAGE: 1024 + 1})
    assert (found.calls, found.batch_pages) == (3, 512)
    assert found.duration_ns == 3 * 10_000 + 1025 * (1_000 + LOOK_NS)
    assert (found.stall_ns, found.least_call_ns, found.limit) == (512_000, 11_000, "")


def test_a_batch_of_fewer_pages_than_a_huge_one_is_one_huge_page() -> None:
    found = expected({HUGE: 3}, batch_pages=64)
    assert (found.calls, found.batch_pages, found.stall_ns) == (3, 512, 200_000)


def test_a_mixture_is_the_sum_of_its_parts() -> None:
    both, small, huge = expected({PAGE: 100, HUGE: 4}), expected({PAGE: 100}), expected({HUGE: 4})
    assert both.duration_ns == small.duration_ns + huge.duration_ns
    assert both.calls == small.calls + huge.calls
    assert (both.batch_pages, both.stall_ns) == (huge.batch_pages, huge.stall_ns)


def test_who_touches_a_page_waits_for_those_of_one_flush() -> None:
    assert expected({PAGE: 10_000}, batch_pages=4096).stall_ns == 512_000
    assert expected({PAGE: 10_000}, batch_pages=16).stall_ns == 16_000
    assert expected({PAGE: 5}).stall_ns == 5_000


def test_the_budget_decides_the_size_of_batches() -> None:
    found = expected({PAGE: 100_000}, budget_ns=1_000_000)
    assert 0.5 * 1_000_000 < 10_000 + found.batch_pages * 1_000 < 1_000_000
    assert expected({PAGE: 100}, budget_ns=1).batch_pages == 1
    assert expected({PAGE: 1 << 20}, budget_ns=10**12).batch_pages == 65_536


@pytest.mark.parametrize(
    ("asked", "limit", "seconds"),
    [
        ({"rate": 4096 * 1000}, "rate", 51.2),
        ({"most_calls": 10}, "calls", 9.9),
        ({"rate": 4096 * 1000, "most_calls": 10}, "rate", 51.2),
        ({"rate": 1 << 40, "most_calls": 10**6}, "", None),
    ],
)
def test_limits(asked: dict[str, int], limit: str, seconds: float | None) -> None:
    found = expected({PAGE: 51_200}, **asked)
    assert found.limit == limit
    if seconds is not None:
        assert found.duration_ns == pytest.approx(seconds * 1e9)
    else:
        assert found.duration_ns == expected({PAGE: 51_200}).duration_ns


def test_threads_are_faster_but_not_so_many_times() -> None:
    one, two, eight = (expected({PAGE: 51_200}, threads=n).duration_ns for n in (1, 2, 8))
    assert two < one < 2 * two
    assert eight == two


def test_rough_costs() -> None:
    """1 GB/s and 10 GB/s."""
    small, huge = rough_cost(PAGE, 2), rough_cost(HUGE, 2)
    assert (small.folio_ns, small.together) == (4096, 512)
    assert (huge.folio_ns, huge.together) == (HUGE / 10, 1)
    assert small.call_ns == huge.call_ns == 25_270
    assert rough_cost(1 << 30, 128).call_ns == pytest.approx(42_280)
