"""Batches under a latency budget: what durations come to on traces, and what is said where it cannot be held."""

from __future__ import annotations

import statistics

import pytest

from numamig.migrate.pacing import Pacer
from numamig.units import parse_duration
from tests.unit.migrate.traces import CALLS, MS, SETTLING, Cost, p95, settled

MOST_PAGES = 65_536


@pytest.mark.parametrize("spread", [0.05, 0.15])
@pytest.mark.parametrize("step", [3, 1 / 3], ids=["dearer", "cheaper"])
@pytest.mark.parametrize(
    ("budget", "fixed"),
    [(b, f) for b in (0.5, 5, 50) for f in (0, 80_000, MS) if f < 0.5 * b * MS],
    ids=lambda value: f"{value:g}",
)
@pytest.mark.parametrize("start", [1, 512, MOST_PAGES])
def test_durations_stay_within_the_budget_and_use_most_of_it(
    spread: float, step: float, budget: float, fixed: float, start: int
) -> None:
    durations = settled(Cost(fixed, 2000, step, spread), Pacer(start, round(budget * MS)))
    assert p95(durations) <= budget * MS
    assert statistics.median(durations) >= 0.7 * budget * MS


@pytest.mark.parametrize("spread", [0.05, 0.15])
@pytest.mark.parametrize("start", [1, MOST_PAGES])
@pytest.mark.parametrize(("fixed", "budget"), [(MS, 2 * MS), (MS, 1_500_000), (300_000, 500_000)])
def test_the_budget_is_used_where_most_of_a_call_is_its_fixed_part(
    fixed: int, budget: int, start: int, spread: float
) -> None:
    durations = settled(Cost(fixed, 100, spread=spread), Pacer(start, budget))
    assert p95(durations) <= budget
    assert statistics.median(durations) >= 0.7 * budget


def test_a_step_costs_one_bad_call_or_two() -> None:
    for seed in range(20):
        trace = [duration for _, duration in Cost(80_000, 1000, 3, 0.05).trace(Pacer(512, 5 * MS), seed=seed)]
        assert trace[CALLS // 2] > 1.5 * 5 * MS, "the step is in the trace"
        assert sum(duration > 5 * MS for duration in trace[CALLS // 2 :]) <= 2


def test_the_size_follows_at_once_where_pages_become_cheaper() -> None:
    for seed in range(20):
        trace = [duration for _, duration in Cost(80_000, 1000, 1 / 3, 0.05).trace(Pacer(512, 5 * MS), seed=seed)]
        assert statistics.median(trace[CALLS // 2 + 3 : CALLS // 2 + 13]) > 0.65 * 5 * MS


def test_a_size_that_was_never_tried_is_at_most_twice_the_largest_that_was() -> None:
    largest = 1
    for pages, _ in Cost(0, 500).trace(Pacer(1, 50 * MS)):
        assert pages <= 2 * largest
        largest = max(largest, pages)
    assert largest > 32_768


def test_what_was_tried_at_another_cost_does_not_count() -> None:
    pacer = Pacer(MOST_PAGES, 5 * MS)
    for _ in Cost(80_000, 1000, spread=0.05).trace(pacer):
        pass
    usual = pacer.batch_pages
    pacer.after_batch(usual, MS // 5, usual * 4096, MS // 5)
    assert usual < pacer.batch_pages <= 2 * usual


def test_calls_that_cost_nothing_end_at_the_largest_size() -> None:
    sizes = [pages for pages, _ in Cost(0, 0.001, spread=0).trace(Pacer(512, MS))]
    assert sizes[-1] == max(sizes) == MOST_PAGES


def test_one_odd_call_is_forgotten() -> None:
    pacer = Pacer(512, 5 * MS)
    cost = Cost(80_000, 1000, spread=0.05)
    for _ in cost.trace(pacer):
        pass
    usual = pacer.batch_pages
    pacer.after_batch(usual, 40 * MS, usual * 4096, 40 * MS)
    assert pacer.batch_pages < usual / 2, "it may be the new cost of a page"
    for _ in cost.trace(pacer, 1):
        pass
    assert pacer.batch_pages == pytest.approx(usual, rel=0.1)


def test_a_small_batch_at_the_end_of_a_range_does_not_make_the_next_one_small() -> None:
    pacer = Pacer(512, 5 * MS)
    for _ in Cost(80_000, 1000, spread=0.05).trace(pacer):
        pass
    usual = pacer.batch_pages
    pacer.after_batch(3, 83_000, 3 * 4096, 90_000)
    assert pacer.batch_pages == pytest.approx(usual, rel=0.1)


@pytest.mark.parametrize("spread", [0.2, 0.3, 0.45])
def test_where_calls_spread_more_the_budget_is_held_and_less_of_it_used(spread: float) -> None:
    durations = [d for _, d in Cost(80_000, 1000, spread=spread).trace(Pacer(512, 5 * MS), 2000)][100:]
    assert p95(durations) <= 5 * MS
    assert statistics.median(durations) < 0.72 * 5 * MS


@pytest.mark.parametrize(("budget", "folios"), [(5 * MS, 18), (MS, 4)])
def test_huge_folios_are_counted_whole(budget: int, folios: int) -> None:
    """A folio takes 205 µs beside a fixed 50: three would use 66 % of a millisecond, and four still keep within it."""
    pacer = Pacer(1, budget)
    trace = list(Cost(50_000, 400, spread=0.05, folio=512).trace(pacer))
    assert p95([duration for _, duration in trace[SETTLING:]]) <= budget
    assert statistics.median(duration for _, duration in trace[SETTLING:]) >= 0.7 * budget
    assert statistics.median(pages for pages, _ in trace[SETTLING:]) == folios * 512
    assert pacer.budget_note == ""


def test_a_budget_below_one_folio_is_said_and_taken_back() -> None:
    pacer = Pacer(512, 100_000)
    assert pacer.budget_note == "", "nobody knows yet"
    pacer.after_batch(512, 190_000, 512 * 4096, 200_000, folios=1)
    assert pacer.budget_note == "one folio takes 190.0 µs here: the budget of 100.0 µs cannot be held"
    pacer.budget_ns = 300_000
    assert pacer.budget_note == ""
    pacer.budget_ns = 150_000
    assert pacer.budget_note.endswith("the budget of 150.0 µs cannot be held")
    pacer.budget_ns = None
    assert pacer.budget_note == ""


def test_a_budget_below_one_folio_is_noticed_without_being_told_of_folios() -> None:
    pacer = Pacer(10, 100_000)
    pacer.after_batch(512, 190_000, 512 * 4096, 200_000)
    assert pacer.budget_note.startswith("one folio takes 190.0 µs here")


def test_the_budget_can_be_held_again_where_the_memory_is_of_small_pages() -> None:
    pacer = Pacer(512, 100_000)
    for _ in Cost(50_000, 400, spread=0.05, folio=512).trace(pacer):
        pass
    assert pacer.budget_note
    pages, duration = zip(*Cost(30_000, 800, spread=0.05).trace(pacer), strict=True)
    assert pacer.budget_note == ""
    assert statistics.median(duration[SETTLING:]) >= 70_000
    assert p95(list(duration[SETTLING:])) <= 100_000
    assert max(pages) < 512


def test_a_fixed_part_above_the_budget_leaves_single_pages_and_a_note() -> None:
    pacer = Pacer(512, 500_000)
    sizes = [pages for pages, _ in Cost(MS, 1000).trace(pacer)]
    assert set(sizes[SETTLING:]) == {1}
    took, rest = pacer.budget_note.removeprefix("one folio takes ").split(" here: ")
    assert parse_duration(took) == pytest.approx(MS, rel=0.1)
    assert rest == "the budget of 500.0 µs cannot be held"


def test_one_slow_folio_is_no_reason_for_a_note() -> None:
    pacer = Pacer(512, 500_000)
    for _ in Cost(50_000, 400, spread=0.05, folio=512).trace(pacer):
        pass
    assert pacer.batch_pages < 1024
    pacer.after_batch(512, 4 * MS, 512 * 4096, 4 * MS, folios=1)
    assert pacer.budget_note == ""
    pacer.after_batch(512, 4 * MS, 512 * 4096, 4 * MS, folios=1)
    assert pacer.budget_note.startswith("one folio takes"), "but two are"


def test_another_budget_counts_from_the_next_batch_on() -> None:
    pacer = Pacer(512, 5 * MS)
    for _ in Cost(0, 1000, spread=0.05).trace(pacer):
        pass
    assert pacer.batch_pages == pytest.approx(3675, rel=0.1)
    pacer.budget_ns = MS
    assert pacer.batch_pages == pytest.approx(735, rel=0.1)
    pacer.budget_ns = None
    assert pacer.batch_pages == 512, "the size that was asked for"


def test_a_size_that_is_set_is_the_next_one() -> None:
    pacer = Pacer(512, 5 * MS)
    for _ in Cost(0, 1000, spread=0.05).trace(pacer):
        pass
    pacer.batch_pages = 7
    sizes = [pages for pages, _ in Cost(0, 1000, spread=0.05).trace(pacer, 2)]
    assert sizes[0] == 7
    assert sizes[1] == pytest.approx(3675, rel=0.1)
