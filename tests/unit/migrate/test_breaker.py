"""The circuit breaker trips for four reasons, at its limits and not before; its sample of moved pages is fair."""

from __future__ import annotations

import numpy as np
import pytest

from numamig.backends.base import TellsHealth
from numamig.backends.simulator.memory import Flag
from numamig.migrate.batch import Batch, Even
from numamig.migrate.breaker import Breaker, Limits, MovedSample
from numamig.migrate.destination import Node
from numamig.migrate.job import Job
from numamig.migrate.mover import move_batch
from numamig.migrate.plan import plan_request
from numamig.migrate.request import Request
from numamig.migrate.run import run_job
from numamig.migrate.snapshot import JobState
from numamig.model.finding import Finding, Severity
from numamig.model.outcome import Outcome, OutcomeCounts
from numamig.model.topology import Health
from tests.machines import PID, START, add_process, machine

PAGE = 4096
SECOND = 10**9
MOVED = OutcomeCounts.moved(512)


def busy(pages: int, of: int) -> OutcomeCounts:
    return OutcomeCounts.of({Outcome.BUSY: pages, Outcome.MOVED: of - pages})


def batches(breaker: Breaker, outcomes: OutcomeCounts, times: int) -> list[int]:
    """Numbers of the batches that tripped it."""
    return [n for n in range(times) if breaker.after_batch(outcomes) is not None]


def reason(finding: Finding | None) -> str:
    assert finding is not None and finding.check == "breaker" and finding.severity is Severity.ERROR
    assert finding.remedy
    return finding.reason


def health(second: int, stalled: float | None = 0.0, swapped_out: int = 0) -> Health:
    return Health(second * SECOND, stalled, swapped_out)


# --- busy ------------------------------------------------------------------------------------------------------------


def test_a_job_that_moves_goes_on_for_ever() -> None:
    assert batches(Breaker(), MOVED, 1000) == []


def test_too_many_busy_pages_of_the_last_16384() -> None:
    breaker = Breaker()
    # Before there have been so many, nothing is said.
    assert batches(breaker, busy(512, 512), 31) == []
    assert "100% of the last 16,384 pages were busy" in reason(breaker.after_batch(busy(512, 512)))


@pytest.mark.parametrize(("of_512", "trips"), [(460, False), (461, True)])
def test_the_limit_is_nine_tenths(of_512: int, trips: bool) -> None:
    assert bool(batches(Breaker(), busy(of_512, 512), 200)) is trips


def test_what_is_long_past_does_not_count() -> None:
    breaker = Breaker()
    assert batches(breaker, MOVED, 10_000) == []
    tripped = batches(breaker, busy(512, 512), 100)
    # The window may be an eighth longer than it must be, and one batch of it.
    assert 0.9 * 16_384 / 512 <= tripped[0] + 1 <= 0.9 * 16_384 * 9 / 8 / 512 + 1


def test_batches_of_one_page_and_huge_batches_alike() -> None:
    assert batches(Breaker(), busy(1, 1), 16_384) == [16_383]
    assert batches(Breaker(), busy(100_000, 100_000), 1) == [0]


def test_a_later_pass_says_nothing_new() -> None:
    breaker = Breaker()
    for _ in range(100):
        assert breaker.after_batch(busy(512, 512), again=True) is None


def test_who_goes_on_has_the_whole_limit_again() -> None:
    assert batches(Breaker(), busy(512, 512), 96) == [31, 63, 95]


@pytest.mark.parametrize(
    ("planned", "tripped_after"), [(200_000, 16_384), (65_536, 16_384), (40_000, 10_000), (4000, 1024), (1024, 1024)]
)
def test_a_smaller_job_is_stopped_after_a_quarter_of_it(planned: int, tripped_after: int) -> None:
    assert batches(Breaker(planned_pages=planned), busy(1, 1), tripped_after) == [tripped_after - 1]


def test_a_job_of_fewer_than_1024_pages_is_never_stopped_for_being_busy() -> None:
    assert batches(Breaker(planned_pages=1023), busy(1, 1), 1023) == []


@pytest.mark.parametrize(("pinned", "trips"), [(800, False), (1150, True)])
def test_a_pinned_region_in_a_job_of_4000_pages(pinned: int, trips: bool) -> None:
    breaker = Breaker(planned_pages=4000)
    parts = [busy(0, 50)] * 20 + [busy(50, 50)] * (pinned // 50) + [busy(0, 50)] * 20
    assert any(breaker.after_batch(part) for part in parts) is trips


def test_a_job_of_4000_busy_pages_is_stopped() -> None:
    backend = machine()
    add_process(backend, [0] * 4000, flags=dict.fromkeys(range(4000), Flag.PINNED))
    job = Job(1, backend, plan_request(backend, Request(PID, Node(1), batch_pages=100)))
    for _ in run_job(job, backend):
        pass
    assert (job.state, job.snapshot().steps) == (JobState.STOPPED, 11)
    assert job.reason == "100% of the last 1,100 pages were busy"


# --- pressure and swap -----------------------------------------------------------------------------------------------


def test_the_machine_is_asked_once_a_second() -> None:
    breaker = Breaker()
    asked = [t for t in range(0, 35 * SECOND // 10, SECOND // 10) if breaker.wants_health(t)]
    assert asked == [0, SECOND, 2 * SECOND, 3 * SECOND]


def test_pressure_in_two_samples_one_after_the_other() -> None:
    breaker = Breaker()
    samples = [0.5, 0.1, 0.5, 0.2, 0.9, None, 0.9, 0.21]
    found = [breaker.healthy(health(t, stalled)) for t, stalled in enumerate(samples)]
    assert found[:-1] == [None] * 7
    assert "in 21% of the last ten seconds" in reason(found[-1])
    assert breaker.healthy(health(9, 0.9)) is None  # begins anew


def test_swap_out_counts_from_the_beginning_of_the_job() -> None:
    breaker = Breaker()
    before = 10**6
    assert breaker.healthy(health(0, swapped_out=before)) is None
    assert breaker.healthy(health(1, swapped_out=before + 4096)) is None
    assert "16.0M were swapped out" in reason(breaker.healthy(health(2, swapped_out=before + 4097)))
    assert breaker.healthy(health(3, swapped_out=before + 4097)) is None


def test_what_is_swapped_out_during_a_pause_is_not_the_jobs_doing() -> None:
    breaker = Breaker()
    assert breaker.wants_health(0)
    assert breaker.healthy(health(0)) is None
    assert breaker.healthy(health(1, 0.9, swapped_out=4000)) is None
    breaker.begin_again()
    assert breaker.wants_health(SECOND // 2)  # and not only when the second is over
    assert breaker.healthy(health(3600, 0.9, swapped_out=10**6)) is None
    assert breaker.healthy(health(3601, swapped_out=10**6 + 4096)) is None
    assert "16.0M were swapped out" in reason(breaker.healthy(health(3602, swapped_out=10**6 + 4097)))


def test_a_job_that_was_paused_while_others_swapped_goes_on() -> None:
    backend = machine()
    add_process(backend, [0] * 4000)
    job = Job(1, backend, plan_request(backend, Request(PID, Node(1), batch_pages=100)))
    job.run()
    job.step()
    job.hold()
    backend.clock.sleep_ns(3600 * SECOND)
    backend.machine.vmstat["pswpout"] = 10**6
    for _ in run_job(job, backend):
        backend.clock.sleep_ns(SECOND)  # long enough to ask again
    assert (job.state, job.snapshot().outcomes[Outcome.MOVED]) == (JobState.DONE, 4000)


def test_pages_of_64_kib_are_fewer() -> None:
    breaker = Breaker(page_size=65_536)
    assert breaker.healthy(health(0)) is None
    assert breaker.healthy(health(1, swapped_out=256)) is None
    assert breaker.healthy(health(2, swapped_out=257)) is not None


# --- bouncing --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bounced", "trips"), [((12, 63), False), ((63, 63), False), ((12, 64), False), ((13, 64), True), (None, False)]
)
def test_a_fifth_of_at_least_64(bounced: tuple[int, int] | None, trips: bool) -> None:
    found = Breaker().healthy(None, bounced)
    assert (found is not None) is trips
    if trips:
        assert "20% of the pages that this job moved" in reason(found) and "balancing" in found.remedy  # type: ignore[union-attr]


def test_each_limit_can_be_off() -> None:
    breaker = Breaker(Limits(stalled=None, swapped_out_bytes=None, busy=None, bounced=None))
    assert batches(breaker, busy(512, 512), 100) == []
    for second in range(5):
        assert breaker.healthy(health(second, 1.0, second << 20), (256, 256)) is None


# --- the sample ------------------------------------------------------------------------------------------------------


def even(first: int, pages: int, target: int = 1) -> Batch:
    return Batch.of(Even(START + first * PAGE, PAGE, pages, 0, target))


def test_pages_that_somebody_moves_back_are_found() -> None:
    backend = machine()
    (backing,) = add_process(backend, [0] * 8000)
    sample = MovedSample()
    for first in range(0, 8000, 50):
        batch = even(first, 50)
        sample.feed(batch, move_batch(backend, PID, batch, PAGE, shared=False))
    assert len(sample) == 160
    assert sample.bounced(backend, PID) == (0, 160)
    back = START + np.arange(4000, dtype=np.uint64) * np.uint64(PAGE)
    assert backend.move_pages(PID, back, np.full(4000, 2, np.int32)).returned == 0
    assert sample.bounced(backend, PID) == (80, 160)
    backing.node[2000:4000] = 255  # discarded: where they were says nothing
    assert sample.bounced(backend, PID) == (40, 120)
    backend.machine.end(PID)
    assert sample.bounced(backend, PID) == (0, 0)


def test_a_batch_that_is_busy_in_part_gives_only_what_moved() -> None:
    backend = machine()
    add_process(backend, [0] * 1000, flags=dict.fromkeys(range(0, 1000, 2), Flag.PINNED))
    sample = MovedSample()
    for first in range(0, 1000, 10):
        batch = even(first, 10)
        sample.feed(batch, move_batch(backend, PID, batch, PAGE, shared=False))
    assert 20 < len(sample) < 80
    assert sample.bounced(backend, PID) == (0, len(sample))


def test_it_stays_small_and_every_batch_is_as_likely_as_any_other() -> None:
    backend = machine()
    pages = 100_000
    (backing,) = add_process(backend, [0] * pages)
    samples = [MovedSample(seed) for seed in range(20)]
    for first in range(0, pages, 100):
        batch = even(first, 100)
        result = move_batch(backend, PID, batch, PAGE, shared=False)
        for sample in samples:
            sample.feed(batch, result)
    assert {len(sample) for sample in samples} == {256}
    for quarter in range(4):
        backing.node[:] = 1
        backing.node[quarter * pages // 4 : (quarter + 1) * pages // 4] = 2
        found = sum(sample.bounced(backend, PID)[0] for sample in samples)
        # Of 20 x 256, a quarter: 1280 with a deviation of 31 at most.
        assert 1150 < found < 1410


def test_what_was_put_elsewhere_on_purpose_is_forgotten() -> None:
    backend = machine()
    add_process(backend, [0] * 100)
    sample = MovedSample()
    sample.add(START, 1)
    sample.add(START, 0)  # moved twice: the last counts
    assert (len(sample), sample.bounced(backend, PID)) == (1, (0, 1))
    sample.add(START + PAGE, 1)
    assert sample.bounced(backend, PID) == (1, 2)
    sample.forget()
    assert (len(sample), sample.bounced(backend, PID)) == (0, (0, 0))


# --- the simulator's health ------------------------------------------------------------------------------------------


def test_the_simulated_machine_fares_as_it_says() -> None:
    backend = machine()
    assert isinstance(backend, TellsHealth)
    assert backend.health() == Health(0, 0.0, 0)
    backend.machine.stalled, backend.machine.vmstat["pswpout"] = None, 12
    backend.clock.sleep_ns(7)
    assert backend.health() == Health(7, None, 12)
